//! What storages tell about jobs: hints for waiters and for people who watch, never the truth itself.

use super::name::JobId;
use super::storage::{End, EndOutcome, Finish};

/// Something happened to a job, or to the queue.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use lockstep_queue::jobs::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let storage = Arc::new(MemoryStorage::new());
/// use futures::StreamExt as _;
///
/// let queue: Queue<u64, u64> = Queue::builder(storage, "numbers").build()?;
/// let mut events = queue.events().await?;
/// queue.enqueue("a", &1, EnqueueOptions::default()).await?;
/// queue.cancel("a").await?;
/// assert_eq!(events.next().await, Some(Event::Enqueued(JobId::new("a")?)));
/// assert_eq!(events.next().await, Some(Event::Cancelled(JobId::new("a")?)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A job was accepted.
    Enqueued(JobId),
    /// A worker claimed it.
    Started(JobId),
    /// It ended well.
    Completed(JobId),
    /// An attempt failed; there will be another.
    Retrying(JobId),
    /// It is in the dead letter.
    Dead(JobId),
    /// Its lease had expired; it is waiting again.
    Stalled(JobId),
    /// It was cancelled and is gone.
    Cancelled(JobId),
    /// The queue was paused.
    Paused,
    /// The queue was resumed.
    Resumed,
    /// Some events were missed here: state must be read again.
    Missed,
}

impl Event {
    /// What a delivery's end came to, if anybody is told of it.
    pub(super) fn of_end(finish: &Finish, outcome: EndOutcome) -> Option<Self> {
        let id = finish.id.clone();
        match (outcome, &finish.end) {
            (EndOutcome::Lost, _) | (EndOutcome::Done, End::Release) => None,
            (EndOutcome::Cancelled, _) | (EndOutcome::Done, End::Cancelled) => Some(Self::Cancelled(id)),
            (EndOutcome::Done, End::Complete { .. }) => Some(Self::Completed(id)),
            (EndOutcome::Done, End::Retry { .. }) => Some(Self::Retrying(id)),
            (EndOutcome::Done, End::Dead { .. }) => Some(Self::Dead(id)),
        }
    }

    /// The job that it is about, if it is about one.
    #[must_use]
    pub const fn job(&self) -> Option<&JobId> {
        match self {
            Self::Enqueued(id)
            | Self::Started(id)
            | Self::Completed(id)
            | Self::Retrying(id)
            | Self::Dead(id)
            | Self::Stalled(id)
            | Self::Cancelled(id) => Some(id),
            Self::Paused | Self::Resumed | Self::Missed => None,
        }
    }
}
