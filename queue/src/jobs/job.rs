//! What is stored of a job, as storages and queues exchange it. Payloads, outputs and errors are opaque bytes
//! here; the typed [`Queue`](super::Queue) gives them their meaning.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::name::{JobId, WorkerId};

/// How long an ended job is kept, with its id, unless it says otherwise.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(3600);
/// How often a job is delivered, unless it says otherwise.
pub const DEFAULT_MAX_DELIVERIES: u32 = 3;

/// The longest payload, output or error that a storage takes, in bytes; longer ones are
/// [`StorageError::TooLarge`](super::StorageError::TooLarge).
pub const MAX_PAYLOAD: usize = 16 * 1024 * 1024;

/// Proves that a worker holds the lease of this very delivery. Every claim makes a new one, larger than all
/// before it in its queue, also of earlier jobs with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub u64);

/// Tells apart jobs that had the same id one after the other. Each accepted job gets a new one, larger than all
/// before it in its queue; it may share its counter with [`Token`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// A moment by the storage's clock, in milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct StorageTime(pub u64);

/// A job to be enqueued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Its id. While another job holds it, this one is a duplicate.
    pub id: JobId,
    /// What the handler gets.
    pub payload: Bytes,
    /// How it is to be treated.
    pub options: JobOptions,
}

/// How a job is treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOptions {
    /// Higher ones go first; within one priority, the order is that of becoming ready.
    pub priority: i32,
    /// Not delivered earlier than this after it was enqueued.
    pub delay: Duration,
    /// How many deliveries it gets in all. The last one failed or its lease expired: dead letter. At least 1.
    pub max_deliveries: u32,
    /// How long the completed job is kept.
    pub retention: Duration,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Ready to be claimed.
    Waiting,
    /// Will be ready later: delayed, or between two attempts.
    Delayed,
    /// A worker has it, under a lease.
    Active,
    /// Ended well. Kept until its retention ends.
    Completed,
    /// In the dead letter: kept until it is retried or removed.
    Dead,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Which of the jobs with this id it is.
    pub generation: Generation,
    /// Where it is.
    pub state: JobState,
    /// What it was enqueued with.
    pub payload: Bytes,
    /// As enqueued; `retention` as changed later.
    pub options: JobOptions,
    /// How many times it was claimed.
    pub deliveries: u32,
    /// When it was enqueued.
    pub created_at: StorageTime,
    /// When it becomes ready, or became ready last.
    pub ready_at: StorageTime,
    /// When it ended; for [`JobState::Completed`] and [`JobState::Dead`].
    pub ended_at: Option<StorageTime>,
    /// When an ended job will be forgotten.
    pub expires_at: Option<StorageTime>,
    /// Who has it, for [`JobState::Active`], and until when unless the lease is extended.
    pub lease: Option<(WorkerId, StorageTime)>,
    /// Somebody asked for its end while it was active.
    pub cancel_requested: bool,
    /// What its handler returned; for [`JobState::Completed`].
    pub output: Option<Bytes>,
    /// Why the last attempt failed, if one did.
    pub error: Option<Bytes>,
}

/// A job that was claimed, for the worker that claimed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its id.
    pub id: JobId,
    /// Proof of the lease.
    pub token: Token,
    /// What it was enqueued with.
    pub payload: Bytes,
    /// How it is treated.
    pub options: JobOptions,
    /// Which delivery this is, from 1.
    pub delivery: u32,
    /// When it was enqueued.
    pub created_at: StorageTime,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            priority: 0,
            delay: Duration::ZERO,
            max_deliveries: DEFAULT_MAX_DELIVERIES,
            retention: DEFAULT_RETENTION,
        }
    }
}

impl StorageTime {
    /// The moment so long after this one; the end of time if that is beyond it.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after another moment this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, other: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(other.0))
    }
}

impl JobState {
    /// Whether it came to its end, so that it will not be delivered any more by itself.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Dead)
    }
}
