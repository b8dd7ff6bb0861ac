//! Ends that the journal refused, mostly for want of room. Each is kept in few words until the journal takes
//! it, for a call without an end is never shipped and holds on to its part of the disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lockstep_queue::journal::{Append, Journal, JournalError};
use parking_lot::Mutex;

use super::contents::{BodyHead, END, EndHead, Headers, encode};
use super::record::INTERRUPTED;
use crate::ai::ledger::Outcome::Complete;

/// Ends that are kept. A journal without room takes no new calls, so there are no more than calls at a time.
const MAX: usize = 16 * 1024;

/// The ends that the journal has not taken yet. [`write`](Self::write) must be called by somebody.
#[derive(Debug)]
pub struct LateEnds {
    journal: Journal,
    waiting: Mutex<VecDeque<Late>>,
    lost: AtomicU64,
}

/// An end on its way into the journal. If it is refused, or dropped before that is known, it is kept.
#[derive(Debug)]
#[must_use = "whether the end got through is known only when it was waited for"]
pub struct Ending {
    ends: Arc<LateEnds>,
    late: Option<Late>,
}

/// An end that is not known to be in the journal.
#[derive(Debug)]
struct Late {
    group: u64,
    /// What is said in its place if it is refused.
    head: EndHead,
    /// Its write, as long as nobody knows what came of it.
    append: Option<Append>,
}

impl LateEnds {
    /// None yet.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self { journal, waiting: Mutex::default(), lost: AtomicU64::new(0) }
    }

    /// Looks after the write of an end. If it is refused, `head` is the end instead.
    pub fn follow(self: &Arc<Self>, group: u64, append: Append, head: EndHead) -> Ending {
        let late = Some(Late { group, head, append: Some(append) });
        Ending { ends: Arc::clone(self), late }
    }

    /// Writes what the journal takes by now. To be called twice a second.
    pub async fn write(&self) {
        while let Some(mut late) = self.first() {
            if !late.write(&self.journal).await {
                // The next ones would fare no better.
                self.waiting.lock().push_front(late);
                return;
            }
        }
    }

    /// How many wait for the journal.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    /// How many could not be kept: those calls are open until the next start ends them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn first(&self) -> Option<Late> {
        self.waiting.lock().pop_front()
    }

    fn keep(&self, late: Late) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < MAX {
            waiting.push_back(late);
            return;
        }
        drop(waiting);
        if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(
                kept = MAX,
                "more calls can't be ended in the audit journal until the next start"
            );
        }
    }
}

impl Ending {
    /// Waits until the journal has it.
    ///
    /// # Errors
    /// If the journal refused it.
    pub async fn written(mut self) -> Result<(), JournalError> {
        let Some(late) = &mut self.late else { return Ok(()) };
        let result = late.outcome().await;
        if !result.as_ref().is_err_and(may_be_tried_again) {
            self.late = None;
        }
        result
    }

    /// Waits until the journal has it or has refused it, on a thread that is not part of an async runtime.
    ///
    /// # Errors
    /// If it will never have it.
    pub fn wait(mut self) -> Result<(), JournalError> {
        let append = self.late.as_mut().and_then(|late| late.append.take());
        match append.map(Append::wait) {
            Some(Err(error)) if may_be_tried_again(&error) => Ok(()),
            result => {
                self.late = None;
                result.map_or(Ok(()), |result| result.map(drop))
            }
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(late) = self.late.take() {
            self.ends.keep(late);
        }
    }
}

impl Late {
    /// What came of the write.
    async fn outcome(&mut self) -> Result<(), JournalError> {
        let Some(append) = &mut self.append else { return Ok(()) };
        let outcome = append.await;
        self.append = None;
        // What was dropped for want of room is counted by the journal, and its group is closed.
        outcome.map(drop)
    }

    /// Writes it unless it is there; false if it must wait.
    async fn write(&mut self, journal: &Journal) -> bool {
        if self.append.is_none() {
            let Ok(contents) = encode(&self.head, &[]) else { return true };
            self.append = Some(journal.append_unsynced(END, self.group, contents));
        }
        !self.outcome().await.is_err_and(|error| may_be_tried_again(&error))
    }
}

impl EndHead {
    /// The same end as far as it is known if the journal refused it. The client was not given the end of its
    /// answer then; one that was to come in one piece, it was not given at all. Of one that came `in_parts`,
    /// those that are not in the journal are lost.
    #[must_use]
    pub fn refused(self, in_parts: bool) -> Self {
        let mut head = self;
        head.body.truncated |= head.body.bytes > 0;
        if head.outcome == Complete.as_str() {
            INTERRUPTED.clone_into(&mut head.outcome);
            // They count what the client was about to get.
            (head.body.bytes, head.body.sha256) = (0, None);
        }
        if !in_parts {
            head.body = BodyHead::default();
            (head.status, head.first_byte_at, head.headers) = (None, None, Headers::new());
            head.attempts.iter_mut().for_each(|attempt| attempt.delivered = 0);
        }
        head
    }
}

/// Whether another try can get through: the journal goes on, and the call is open in it.
fn may_be_tried_again(error: &JournalError) -> bool {
    !matches!(error, JournalError::Poisoned(_) | JournalError::Closed | JournalError::NoSuchGroup(_))
}

#[cfg(test)]
mod tests;
