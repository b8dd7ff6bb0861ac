//! Why attempts fail: what a handler returns, and what is kept of it with the job.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Characters of a message that are kept.
const MESSAGE: usize = 16 * 1024;
/// Sources of an error that are kept.
const SOURCES: usize = 16;

/// What a handler returns when it could not do the job. Every error becomes one by `?` and is then tried again;
/// [`permanent`](Self::permanent) ones are not.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use lockstep_queue::jobs::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let storage = Arc::new(MemoryStorage::new());
/// async fn handler(job: JobContext<String>) -> Result<u64, Failure> {
///     if job.payload.is_empty() {
///         return Err(Failure::permanent("nothing to do"));
///     }
///     if job.payload == "busy" {
///         return Err(Failure::new("come later").after(Duration::from_secs(60)));
///     }
///     // Every error will do.
///     Ok(job.payload.parse()?)
/// }
/// let queue: Queue<String, u64> = Queue::builder(storage, "numbers").build()?;
/// let worker = Worker::builder(queue, handler).build()?.start();
/// worker.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) error: JobError,
    pub(super) retry: Retry,
}

/// Whether a failed attempt is followed by another, if deliveries are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// By the worker's backoff.
    Backoff,
    /// After so long.
    After(Duration),
    /// It is not.
    Never,
}

/// What is kept of a failure, as JSON, with the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    /// What went wrong, for people.
    pub message: String,
    /// In which way.
    #[serde(default)]
    pub kind: JobErrorKind,
    /// What the error came from, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
}

/// In which way an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobErrorKind {
    /// The handler said so.
    #[default]
    Failed,
    /// The handler panicked.
    Panicked,
    /// The payload is not what the handler takes.
    Undecodable,
    /// The output can't be encoded, or is too long.
    Unencodable,
    /// The worker was gone, and this was the last delivery.
    LeaseExpired,
}

impl Failure {
    /// A failure with a message, to be tried again.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        let error = JobError::new(JobErrorKind::Failed, message);
        Self { error, retry: Retry::Backoff }
    }

    /// A failure that no further attempt can mend: the job goes to the dead letter at once.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { retry: Retry::Never, ..Self::new(message) }
    }

    /// The next attempt comes after so long, instead of the worker's backoff.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.retry = Retry::After(delay);
        self
    }

    /// Of this kind, and no further attempt.
    pub(super) fn of(kind: JobErrorKind, message: impl Into<String>) -> Self {
        Self { error: JobError::new(kind, message), retry: Retry::Never }
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut sources = Vec::new();
        let mut next = error.source();
        while let Some(source) = next.filter(|_| sources.len() < SOURCES) {
            sources.push(bounded(source.to_string()));
            next = source.source();
        }
        let mut failure = Self::new(error.to_string());
        failure.error.sources = sources;
        failure
    }
}

impl JobError {
    /// An error of a kind. What is too long of the message is cut.
    #[must_use]
    pub fn new(kind: JobErrorKind, message: impl Into<String>) -> Self {
        Self { message: bounded(message.into()), kind, sources: Vec::new() }
    }

    /// As it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        // Strings and names only: it can't fail.
        serde_json::to_vec(self).map(Bytes::from).unwrap_or_default()
    }

    /// What was kept; other text is taken as the message.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Self::new(JobErrorKind::Failed, String::from_utf8_lossy(bytes)))
    }
}

fn bounded(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MESSAGE) {
        text.truncate(end);
        text.push('…');
    }
    text
}
