//! The thread that owns the files.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::chunk::Chunk;
use super::error::JournalError;
use super::kind::Role;
use super::log::Log;
use super::notes;
use super::position::Position;
use super::prepare::Preparer;
use super::queue::{Request, Woken};
use super::retention::Retention;
use super::shared::Shared;
use super::stats::Stats;
use super::tell::{Teller, Waiter};

/// How soon an idle journal asks again for the segment that it ordered.
const POLL: Duration = Duration::from_millis(20);
/// A batch with larger frames gives its memory back.
const KEEP: usize = 4 * 1024 * 1024;

/// Everything the thread owns.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) retention: Retention,
    pub(crate) preparer: Preparer,
    pub(crate) ack: u64,
    /// What the user keeps with the acknowledgement.
    pub(crate) mark: Bytes,
    pub(crate) next_seq: u64,
    pub(crate) last_at: u64,
    /// Frames not written yet.
    pub(crate) chunk: Chunk,
    /// Who is told once everything written is synced.
    pub(crate) waiting: Vec<Waiter>,
    pub(crate) teller: Teller,
    pub(crate) must_sync: bool,
    pub(crate) unsynced_since: Option<Instant>,
    /// Open groups whose begin was dropped.
    pub(crate) dropped_groups: HashSet<u64>,
    /// Segments whose removal is noted; their files go after the next sync.
    pub(crate) unlink: Vec<u64>,
    /// Until when the disk is taken to be full.
    pub(crate) full_until: Option<(Instant, JournalError)>,
    /// When an idle journal looks after itself next.
    pub(crate) idle_due: Instant,
    pub(crate) poison: Option<JournalError>,
    pub(crate) stats: Stats,
}

impl Writer {
    /// Serves until the queue is closed and empty.
    pub(crate) fn run(mut self, headless: bool) {
        self.tidy(headless);
        let mut requests = Vec::new();
        loop {
            match self.shared.queue.take(&mut requests, self.deadline()) {
                Woken::Requests => self.work(&mut requests),
                Woken::Deadline => self.tick(),
                Woken::Closed => break,
            }
        }
        self.finish();
    }

    fn work(&mut self, requests: &mut Vec<Request>) {
        let mut acks = Vec::new();
        for request in requests.drain(..) {
            match request {
                Request::Append(entry) => self.append(entry),
                Request::Acknowledge(ack) => acks.push(ack),
            }
        }
        // Who was refused has been told.
        let _ = self.flush();
        self.acknowledge(acks);
        self.settle();
        self.look_ahead();
        self.idle_due = Instant::now() + self.shared.options.idle_after;
        self.log.staged.keep_at_most(KEEP);
        self.publish();
    }

    /// What is due without being asked for.
    fn tick(&mut self) {
        self.settle();
        if self.idle_at().is_some_and(|at| at <= Instant::now()) {
            if self.preparer.is_ready() {
                // Without room it stays as it is, for another while.
                if self.rotate().and_then(|()| self.flush()).is_ok() {
                    self.must_sync = true;
                    self.settle();
                }
                self.idle_due = Instant::now() + self.shared.options.idle_after;
            } else {
                self.preparer.order(self.log.next_zeros());
                self.idle_due = Instant::now() + POLL;
            }
        }
        self.publish();
    }

    /// Syncs if somebody waits for it or an unsynced frame is due.
    pub(crate) fn settle(&mut self) {
        let within = self.shared.options.sync_within;
        if self.must_sync || self.unsynced_since.is_some_and(|since| since.elapsed() >= within) {
            // Who waited has been told.
            let _ = self.sync();
        }
    }

    /// Makes everything written durable and tells those who waited for it.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        let start = Instant::now();
        self.log.sync().map_err(|error| self.poison_with(error))?;
        let took = start.elapsed();
        self.stats.commits += 1;
        self.stats.commit_time += took;
        self.stats.slowest_commit = self.stats.slowest_commit.max(took);
        self.must_sync = false;
        self.unsynced_since = None;
        let durable = self.log.durable;
        self.shared.progress.send_modify(|progress| progress.durable = durable);
        self.remove_files();
        // Whoever waited finds everything as it is told: the room, the files and the figures.
        self.publish();
        self.tell();
        Ok(())
    }

    /// Tells those whose frames are on disk. While others wait for it already, another thread does that.
    fn tell(&mut self) {
        if self.waiting.len() > 1 && self.shared.queue.has_requests() {
            self.teller.tell(mem::take(&mut self.waiting));
        } else {
            self.waiting.drain(..).for_each(Waiter::done);
        }
    }

    /// After this nothing is written any more, for nobody knows what the disk holds.
    pub(crate) fn poison_with(&mut self, error: std::io::Error) -> JournalError {
        tracing::error!(%error, "a sync failed: the journal takes nothing more until it is opened again");
        let error = JournalError::Poisoned(Arc::new(error));
        self.poison = Some(error.clone());
        self.must_sync = false;
        self.unsynced_since = None;
        for waiter in mem::take(&mut self.waiting) {
            waiter.failed(error.clone());
        }
        for waiter in mem::take(&mut self.chunk).into_waiters() {
            waiter.failed(error.clone());
        }
        self.shared.progress.send_modify(|progress| progress.ended = Some(error.clone()));
        error
    }

    fn deadline(&self) -> Option<Instant> {
        let sync = self.unsynced_since.map(|since| since + self.shared.options.sync_within);
        sync.into_iter().chain(self.idle_at()).min()
    }

    pub(crate) fn publish(&mut self) {
        self.stats.open_groups = self.retention.open_groups();
        self.stats.segments = self.retention.count();
        self.stats.bytes_on_disk = self.used();
        self.stats.capacity = self.shared.options.limit(Role::Begin);
        self.stats.no_segment = self.full_until.is_some();
        self.stats.oldest = Position::new(self.retention.oldest());
        self.stats.acknowledged = Position::new(self.ack);
        self.stats.durable = Position::new(self.log.durable);
        self.shared.stats.lock().clone_from(&self.stats);
    }

    /// Says in the last frame that all before it is on disk, so that a damaged one is known for what
    /// it is.
    fn finish(&mut self) {
        let written = self.flush().and_then(|()| self.sync());
        if written.is_ok() {
            self.note(notes::CLOSE, &[]);
            if let Err(error) = self.flush().and_then(|()| self.sync()) {
                tracing::warn!(%error, "the journal has no room for its last note");
            }
        }
        self.publish();
        self.teller.stop();
        // Before the end is told, for who waits for it does not expect to wait for the disk then.
        self.preparer.stop();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also after a panic: nobody shall wait for a thread that is gone.
        self.shared.queue.close();
        let mut rest = Vec::new();
        while self.shared.queue.take(&mut rest, None) == Woken::Requests {
            rest.clear();
        }
        self.shared.progress.send_modify(|progress| {
            progress.ended.get_or_insert(JournalError::Closed);
        });
    }
}
