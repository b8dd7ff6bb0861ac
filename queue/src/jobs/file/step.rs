//! What the log of a file storage holds: each step as it was asked for, with the time at which it was done.
//! The index does the same again with them, so nothing of what came out need be written.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::error::StorageError;
use super::super::index::{Index, Swept};
use super::super::job::{NewJob, StorageTime, Token};
use super::super::name::{JobId, QueueName};
use super::super::storage::{Cancelled, Claim, Enqueued, Extended, Finish, Finished, Settings};

/// A step, and when it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) at: StorageTime,
    pub(super) queue: QueueName,
    pub(super) step: Step,
}

/// Something that changes jobs. Variants are numbered on disk: new ones go to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    Enqueue(Vec<NewJob>),
    Finish { ends: Vec<Finish>, next: Option<Claim> },
    Extend { leases: Vec<(JobId, Token)>, lease: Duration },
    Cancel(JobId),
    Retry(JobId),
    Remove(JobId),
    SetRetention { id: JobId, retention: Duration },
    Configure(Settings),
    Reap { limit: usize, error: Bytes },
}

/// What came out of a step.
#[derive(Debug)]
pub(super) enum Outcome {
    Enqueued(Result<Vec<Enqueued>, StorageError>),
    Finished { finished: Finished, is_limited: bool },
    Extended(Vec<Extended>),
    Cancelled(Cancelled),
    Done(bool),
    Configured { before: Settings },
    Reaped(Swept),
}

impl Step {
    /// Whether its caller may rely on it after a power loss. A claim, and what only keeps it, need not be: the
    /// job is delivered again then.
    pub(super) fn must_be_synced(&self) -> bool {
        match self {
            Self::Finish { ends, .. } => !ends.is_empty(),
            Self::Extend { .. } | Self::Reap { .. } => false,
            _ => true,
        }
    }
}

impl Entry {
    /// Does the step.
    pub(super) fn apply(&self, index: &mut Index) -> Outcome {
        let (queue, now) = (index.queue_mut(&self.queue), self.at);
        match &self.step {
            Step::Enqueue(jobs) => Outcome::Enqueued(queue.enqueue(now, jobs)),
            Step::Finish { ends, next } => Outcome::Finished {
                finished: queue.finish(now, ends, next.as_ref()),
                is_limited: queue.settings().concurrency.is_some(),
            },
            Step::Extend { leases, lease } => Outcome::Extended(queue.extend(now, leases, *lease)),
            Step::Cancel(id) => Outcome::Cancelled(queue.cancel(now, id)),
            Step::Retry(id) => Outcome::Done(queue.retry(now, id)),
            Step::Remove(id) => Outcome::Done(queue.remove(now, id)),
            Step::SetRetention { id, retention } => Outcome::Done(queue.set_retention(now, id, *retention)),
            Step::Configure(settings) => Outcome::Configured { before: queue.configure(*settings) },
            Step::Reap { limit, error } => Outcome::Reaped(queue.reap(now, *limit, error)),
        }
    }
}
