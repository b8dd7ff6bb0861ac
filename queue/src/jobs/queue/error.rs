//! What can go wrong at a queue.

use std::time::Duration;

use crate::jobs::codec::CodecError;
use crate::jobs::error::StorageError;
use crate::jobs::failure::JobError;
use crate::jobs::name::{JobId, NameError};

/// A call to a queue failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// The storage did.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The id can't be one.
    #[error(transparent)]
    Id(#[from] NameError),
    /// The payload can't be encoded.
    #[error("the payload can't be encoded: {0}")]
    Encode(CodecError),
    /// The payload is longer than the queue takes.
    #[error(
        "the payload has {len} bytes, more than the {limit} that this queue takes; put it elsewhere and enqueue where it is"
    )]
    PayloadTooLarge {
        /// Its length in bytes.
        len: usize,
        /// The most.
        limit: usize,
    },
    /// What is stored of a job is not of the type of this queue.
    #[error("the stored {what} of job {id} is not what this queue expects: {source}")]
    Decode {
        /// Which job.
        id: JobId,
        /// `payload` or `output`.
        what: &'static str,
        /// Why.
        source: CodecError,
    },
}

/// Waiting for a job brought no output.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WaitError {
    /// It did not end in time. The job goes on; ask again with its id.
    #[error("job {id} did not end within {waited:?}; it goes on")]
    TimedOut {
        /// Which job.
        id: JobId,
        /// How long was waited.
        waited: Duration,
    },
    /// It failed for good, and is in the dead letter.
    #[error("job {id} failed: {error}")]
    Dead {
        /// Which job.
        id: JobId,
        /// Why.
        error: JobError,
    },
    /// It was cancelled, or removed before its output was read, or there never was one.
    #[error(
        "there is no job {0}: it was cancelled or removed, its retention is over, or it was never enqueued"
    )]
    Gone(JobId),
    /// The queue could not tell.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<StorageError> for WaitError {
    fn from(error: StorageError) -> Self {
        Self::Queue(error.into())
    }
}

impl QueueError {
    /// Whether the same call may well work later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_transient(),
            Self::Id(_) | Self::Encode(_) | Self::PayloadTooLarge { .. } | Self::Decode { .. } => false,
        }
    }
}
