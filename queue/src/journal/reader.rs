//! Follows a journal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::append::Stamp;
use super::cursor::{Cursor, READ};
use super::error::JournalError;
use super::gap::Gap;
use super::kind::Kind;
use super::position::Position;
use super::shared::{Progress, Shared};

/// What a reader meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame.
    Frame(Frame),
    /// Something is missing here.
    Gap(Gap),
}

/// A frame as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins.
    pub position: Position,
    /// Where it ends.
    pub end: Position,
    /// Its kind.
    pub kind: Kind,
    /// Its group.
    pub group: u64,
    /// The journal's stamp, if it ends a group.
    pub stamp: Option<Stamp>,
    /// Its contents.
    pub body: Bytes,
}

impl Item {
    /// Where it ends: acknowledge this once it, and all before it, is dealt with.
    #[must_use]
    pub fn end(&self) -> Position {
        match self {
            Self::Frame(frame) => frame.end,
            Self::Gap(gap) => gap.to,
        }
    }

    /// The frame, if it is one.
    #[must_use]
    pub fn into_frame(self) -> Option<Frame> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Gap(_) => None,
        }
    }
}

/// Reads frames in order and waits for new ones at the end. It sees only what is on disk.
///
/// What was removed, which only happens to what was acknowledged, is passed over. Any number of
/// readers may read at once; none of them slows the writer down.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    cursor: Cursor,
    ready: VecDeque<Item>,
    /// How long new frames wait for others.
    gather: Duration,
    /// Until when those wait that are there.
    due: Option<Instant>,
    /// A read under way on another thread; it survives a dropped [`next`](Self::next).
    reading: Option<JoinHandle<Batch>>,
}

type Batch = (Cursor, Result<Vec<Item>, JournalError>);

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from: Position) -> Self {
        let progress = shared.progress.subscribe();
        let cursor = Cursor::new(from.as_u64());
        Self {
            shared,
            progress,
            cursor,
            ready: VecDeque::new(),
            gather: Duration::ZERO,
            due: None,
            reading: None,
        }
    }

    /// Says with a [gap](super::GapCause::Removed) where it passes over what was removed: for one who is in
    /// nobody's way and may therefore be overtaken.
    #[must_use]
    pub fn telling_removed(mut self) -> Self {
        self.cursor = self.cursor.telling_removed();
        self
    }

    /// Lets new frames wait for others, at most for so long (default: not at all). A reader that is in no hurry is not
    /// woken by each sync then.
    #[must_use]
    pub fn gathering(self, gather: Duration) -> Self {
        Self { gather, ..self }
    }

    /// The next frame or gap, as soon as it is on disk; nothing after the journal was closed and
    /// everything was read. May be dropped and called again without losing anything.
    ///
    /// # Errors
    /// If the disk can't be read, in which case the same place is tried again next time, or if the
    /// journal is poisoned and everything before that was read.
    pub async fn next(&mut self) -> Result<Option<Item>, JournalError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if let Some(reading) = &mut self.reading {
                let joined = reading.await;
                self.reading = None;
                // If the runtime is going down the cursor did not move.
                let (cursor, items) = joined.map_err(|_| JournalError::Closed)?;
                self.cursor = cursor;
                self.ready.extend(items?);
                continue;
            }
            let progress = self.progress.borrow_and_update().clone();
            if self.cursor.position() < progress.durable {
                if progress.ended.is_none() {
                    self.gather(progress.durable).await;
                }
                let durable = self.progress.borrow().durable;
                self.read(durable)?;
                continue;
            }
            match progress.ended {
                Some(JournalError::Closed) => return Ok(None),
                Some(error) => return Err(error),
                // The sender lives in what this reader shares.
                None => self.progress.changed().await.map_err(|_| JournalError::Closed)?,
            }
        }
    }

    /// Waits until there is much to be read, or what there is has waited long enough.
    async fn gather(&mut self, durable: u64) {
        if !self.gather.is_zero() && durable.saturating_sub(self.cursor.position()) < READ {
            let due = *self.due.get_or_insert_with(|| Instant::now() + self.gather);
            sleep_until(due).await;
        }
        self.due = None;
    }

    /// The next frame or gap if it was read together with the last one.
    pub fn next_read(&mut self) -> Option<Item> {
        self.ready.pop_front()
    }

    /// The next frame or gap if it is on disk already; reads on this thread.
    ///
    /// # Errors
    /// If the disk can't be read.
    pub fn try_next(&mut self) -> Result<Option<Item>, JournalError> {
        // A read that `next` left behind is read again.
        self.reading = None;
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let durable = self.progress.borrow().durable;
            if self.cursor.position() >= durable {
                return Ok(None);
            }
            let items = self.cursor.read(&self.shared, durable)?;
            self.ready.extend(items);
        }
    }

    /// Has a batch read on a thread that may block, if there is a runtime that has such.
    fn read(&mut self, durable: u64) -> Result<(), JournalError> {
        let Ok(runtime) = Handle::try_current() else {
            let items = self.cursor.read(&self.shared, durable)?;
            self.ready.extend(items);
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        let another = self.cursor.another();
        let mut cursor = std::mem::replace(&mut self.cursor, another);
        self.reading = Some(runtime.spawn_blocking(move || {
            let items = cursor.read(&shared, durable);
            (cursor, items)
        }));
        Ok(())
    }
}
