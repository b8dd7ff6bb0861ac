//! The journal as its users see it.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::append::{Acknowledge, Append, Pending};
use super::body::Body;
use super::chunk::Chunk;
use super::cursor::Cursor;
use super::error::{JournalError, OpenError};
use super::kind::Kind;
use super::options::Options;
use super::position::{Position, wide};
use super::prepare::Preparer;
use super::queue::{Ack, Entry, Queue};
use super::reader::{Frame, Reader};
use super::recover::{Recovered, at, recover};
use super::recovery::Recovery;
use super::shared::{Progress, Shared};
use super::stats::Stats;
use super::tell::Teller;
use super::writer::Writer;

/// An open journal. Clones share it; the last one to be dropped closes it.
#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// The longest mark that an acknowledgement keeps.
    pub const MAX_MARK: usize = 16 * 1024;

    /// Opens the journal, or makes it, and tells what was found. Reads all of it, to find damage.
    ///
    /// # Errors
    /// If another journal has the directory open, a newer release wrote it, the options contradict
    /// each other or the file system refuses. Damage is no error.
    pub fn open(options: Options) -> Result<(Self, Recovery), OpenError> {
        options.check()?;
        let dir = options.dir.clone();
        let claim = options.disk.claim(&dir).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked(dir.clone()),
            _ => at(&dir)(error),
        })?;
        let Recovered { log, replay, id, headless, report } = recover(&options)?;
        let size = u64::from(options.segment_bytes);
        let preparer = Preparer::start(Arc::clone(&options.disk), dir.clone(), size).map_err(at(&dir))?;
        let teller = Teller::start().map_err(at(&dir))?;
        let sealed = replay.retention.sealed().map(|(base, end)| (base, Some(end)));
        let shared = Arc::new(Shared {
            id,
            queue: Queue::new(options.queue_frames, options.queue_bytes),
            catalog: Mutex::new(sealed.chain([(log.base, None)]).collect()),
            progress: watch::Sender::new(Progress { durable: log.durable, ended: None }),
            stats: Mutex::default(),
            options,
        });
        let idle_due = Instant::now() + shared.options.idle_after;
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            log,
            retention: replay.retention,
            preparer,
            ack: replay.ack,
            mark: replay.mark,
            next_seq: replay.next_seq,
            last_at: replay.last_at,
            chunk: Chunk::default(),
            waiting: Vec::new(),
            teller,
            must_sync: false,
            unsynced_since: None,
            dropped_groups: std::collections::HashSet::new(),
            unlink: Vec::new(),
            full_until: None,
            idle_due,
            poison: None,
            stats: Stats::default(),
        };
        writer.publish();
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                writer.run(headless);
                // Only now may somebody else have the directory.
                drop(claim);
            })
            .map_err(at(&dir))?;
        Ok((Self { inner: Arc::new(Inner { shared, thread: Mutex::new(Some(thread)) }) }, report))
    }

    /// Appends a frame. It takes its place in the order of the calls; the future resolves when it is
    /// on disk, or was refused. The frame is written whether or not the future is kept.
    pub fn append(&self, kind: Kind, group: u64, body: impl Into<Body>) -> Append {
        self.enqueue(kind, group, body.into(), true)
    }

    /// Appends a frame that need not be on disk at once. The future resolves when the operating
    /// system has it: it survives the end of the process, but a power loss only after the next sync,
    /// at most [`sync_within`](Options::sync_within) later.
    pub fn append_unsynced(&self, kind: Kind, group: u64, body: impl Into<Body>) -> Append {
        self.enqueue(kind, group, body.into(), false)
    }

    fn enqueue(&self, kind: Kind, group: u64, body: Body, synced: bool) -> Append {
        let shared = &self.inner.shared;
        let (reply, receiver) = oneshot::channel();
        let limit = shared.options.max_frame;
        let queued = if wide(body.len()) > u64::from(limit) {
            Err(JournalError::TooLarge { len: body.len(), limit })
        } else {
            shared.queue.append(Entry { kind, group, body, synced, reply })
        };
        Pending::new(receiver, queued)
    }

    /// Resolves when everything that was appended before this call is on disk, unsynced appends included.
    pub fn sync(&self) -> Acknowledge {
        // Acknowledges nothing new, and is answered after a sync as every acknowledgement is.
        self.acknowledge(Position::START)
    }

    /// Acknowledges everything before a position: it will not be needed again, and goes from the disk
    /// as soon as its whole segment is acknowledged and no open group has frames in it. The future
    /// resolves when the acknowledgement is on disk. A lower position than before changes nothing.
    pub fn acknowledge(&self, upto: Position) -> Acknowledge {
        let (reply, receiver) = oneshot::channel();
        let ack = Ack { upto: upto.as_u64(), mark: None, reply };
        Pending::new(receiver, self.inner.shared.queue.acknowledge(ack))
    }

    /// As [`acknowledge`](Self::acknowledge), and keeps a few bytes of the user's with it, in place of
    /// those of an earlier call: they reach the disk together, outlive every segment, and are given back
    /// as [`Recovery::mark`]. With the position of an earlier acknowledgement only the mark changes.
    ///
    /// At most [`MAX_MARK`](Self::MAX_MARK) bytes, or it fails with
    /// [`TooLarge`](JournalError::TooLarge).
    pub fn acknowledge_with(&self, upto: Position, mark: impl Into<Bytes>) -> Acknowledge {
        let (reply, receiver) = oneshot::channel();
        let mark = mark.into();
        let queued = if mark.len() > Self::MAX_MARK {
            let limit = u32::try_from(Self::MAX_MARK).unwrap_or(u32::MAX);
            Err(JournalError::TooLarge { len: mark.len(), limit })
        } else {
            self.inner.shared.queue.acknowledge(Ack { upto: upto.as_u64(), mark: Some(mark), reply })
        };
        Pending::new(receiver, queued)
    }

    /// A reader that begins at a position, such as [`acknowledged`](Self::acknowledged) or
    /// [`oldest`](Self::oldest). It must be one where a frame begins or ends.
    #[must_use]
    pub fn reader(&self, from: Position) -> Reader {
        Reader::new(Arc::clone(&self.inner.shared), from)
    }

    /// Reads the frame that begins at a position, on this thread.
    ///
    /// # Errors
    /// If none begins there or it is not on disk yet, or the disk can't be read.
    pub fn read(&self, position: Position) -> Result<Frame, JournalError> {
        let durable = self.inner.shared.progress.borrow().durable;
        Cursor::new(position.as_u64()).read_one(&self.inner.shared, durable)
    }

    /// Up to where everything is acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> Position {
        self.inner.shared.stats.lock().acknowledged
    }

    /// Up to where everything is on disk.
    #[must_use]
    pub fn durable(&self) -> Position {
        Position::new(self.inner.shared.progress.borrow().durable)
    }

    /// Where the oldest segment begins. Frames from here to [`acknowledged`](Self::acknowledged) are
    /// kept because of groups that are open, or ended later.
    #[must_use]
    pub fn oldest(&self) -> Position {
        self.inner.shared.stats.lock().oldest
    }

    /// A number made with the journal and kept with it: tells it from one made later in its place.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.inner.shared.id
    }

    /// What it counted, as of the last batch.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.shared.stats.lock().clone()
    }

    /// Takes nothing more, writes and syncs what was taken, and returns when the files are closed.
    ///
    /// # Errors
    /// If the journal is poisoned: what was not acknowledged may be lost.
    pub async fn shutdown(&self) -> Result<(), JournalError> {
        self.inner.shared.queue.close();
        let mut progress = self.inner.shared.progress.subscribe();
        // The writer is at its end: joining it does not wait for the disk.
        let _ = progress.wait_for(|progress| progress.ended.is_some()).await;
        self.inner.join()
    }

    /// As [`shutdown`](Self::shutdown), for threads that are not part of an async runtime.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown).
    pub fn close(&self) -> Result<(), JournalError> {
        self.inner.shared.queue.close();
        self.inner.join()
    }
}

impl Inner {
    fn join(&self) -> Result<(), JournalError> {
        if self.thread.lock().take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's writer thread panicked");
        }
        match self.shared.progress.borrow().ended.clone() {
            Some(error @ JournalError::Poisoned(_)) => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
        // Who wants to know the outcome shuts down.
        let _ = self.join();
    }
}
