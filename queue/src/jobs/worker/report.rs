//! What is to be told to the storage: how deliveries ended. It is kept until the storage has answered, or until the
//! lease has surely expired, after which the answer could only be that it is lost.

use tracing::{error, warn};

use super::run::Done;
use crate::jobs::error::StorageError;
use crate::jobs::observe::Ending;
use crate::jobs::storage::{EndOutcome, Finish};

/// Deliveries reported in one call at most.
const BATCH: usize = 1000;

/// Ended deliveries that the storage has not confirmed.
#[derive(Debug, Default)]
pub(super) struct Report {
    waiting: Vec<Done>,
    under_way: Vec<Done>,
    /// Whether the call under way repeats one whose answer was never seen.
    is_repeated: bool,
    /// One at a time, to find the one that the storage refuses.
    is_alone: bool,
}

/// What became of a delivery that was reported.
pub(super) enum Settled {
    /// As reported.
    Done(Done),
    /// The lease was lost, or expired before the storage could be told.
    Lost(Done),
}

impl Report {
    pub(super) fn add(&mut self, done: Done) {
        self.waiting.push(done);
    }

    /// Whether all is confirmed.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    pub(super) const fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether other wishes have to stay out of the calls, so that it is clear what the storage refused.
    pub(super) const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// All that are not confirmed.
    pub(super) fn all(&self) -> impl Iterator<Item = &Done> {
        self.waiting.iter().chain(&self.under_way)
    }

    /// What the next call reports.
    pub(super) fn begin(&mut self) -> Vec<Finish> {
        let count = self.waiting.len().min(if self.is_alone { 1 } else { BATCH });
        self.under_way = if count == self.waiting.len() {
            std::mem::take(&mut self.waiting)
        } else {
            self.waiting.drain(..count).collect()
        };
        let finish = |done: &Done| Finish {
            id: done.lease.id.clone(),
            token: done.lease.token,
            end: done.end.clone(),
        };
        self.under_way.iter().map(finish).collect()
    }

    /// The storage has answered.
    pub(super) fn settle(&mut self, outcomes: &[EndOutcome]) -> Vec<Settled> {
        let is_repeated = std::mem::take(&mut self.is_repeated);
        self.is_alone &= !self.waiting.is_empty();
        let settled = self.under_way.drain(..).zip(outcomes).map(|(done, outcome)| match outcome {
            EndOutcome::Done => Settled::Done(done),
            EndOutcome::Cancelled => Settled::Done(Done { how: Ending::Cancelled, ..done }),
            // The first call may have been done although its answer was lost.
            EndOutcome::Lost if is_repeated => Settled::Done(done),
            EndOutcome::Lost => Settled::Lost(done),
        });
        settled.collect()
    }

    /// The storage could not be asked, or refused. What makes no sense to report again is given back.
    pub(super) fn fail(&mut self, failure: &StorageError) -> Vec<Settled> {
        let mut given_up = Vec::new();
        // Together with others, or with a claim, it may not be what was refused.
        if !failure.is_transient() && self.is_alone && self.under_way.len() == 1 {
            error!(error = %failure, "the storage refuses what became of a job; its lease will expire");
            given_up.extend(self.under_way.drain(..).map(Settled::Lost));
        } else {
            self.is_alone |= !failure.is_transient() && !self.under_way.is_empty();
            self.is_repeated = !self.under_way.is_empty();
        }
        self.under_way.append(&mut self.waiting);
        for done in self.under_way.drain(..) {
            if done.lease.has_expired() {
                warn!(id = %done.lease.id, "the lease expired before the storage could be told");
                given_up.push(Settled::Lost(done));
            } else {
                self.waiting.push(done);
            }
        }
        self.is_alone &= !self.waiting.is_empty();
        given_up
    }
}
