//! What is measured: a trait that an application turns into its metrics.

use std::fmt::Debug;
use std::time::Duration;

use super::name::QueueName;

/// Is told what queues, workers and reapers do. Called inline: must be quick and must not block.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use lockstep_queue::jobs::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let storage = Arc::new(MemoryStorage::new());
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// #[derive(Debug, Default)]
/// struct Enqueued(AtomicUsize);
///
/// impl Observe for Enqueued {
///     fn enqueued(&self, _: &QueueName, jobs: usize) {
///         self.0.fetch_add(jobs, Ordering::Relaxed);
///     }
/// }
///
/// let counter = Arc::new(Enqueued::default());
/// let queue: Queue<u64, ()> = Queue::builder(storage, "numbers").observe(counter.clone()).build()?;
/// queue.enqueue("a", &1, EnqueueOptions::default()).await?;
/// assert_eq!(counter.0.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
pub trait Observe: Debug + Send + Sync + 'static {
    /// Jobs were accepted.
    fn enqueued(&self, queue: &QueueName, jobs: usize) {
        let _ = (queue, jobs);
    }

    /// Jobs were not, because their ids are taken.
    fn duplicates(&self, queue: &QueueName, jobs: usize) {
        let _ = (queue, jobs);
    }

    /// A job was claimed. `waited`: since it was ready first, by this machine's time of day against the storage's;
    /// none for later deliveries.
    fn claimed(&self, queue: &QueueName, waited: Option<Duration>) {
        let _ = (queue, waited);
    }

    /// A delivery ended, after the handler had run so long.
    fn ended(&self, queue: &QueueName, how: Ending, ran: Duration) {
        let _ = (queue, how, ran);
    }

    /// Jobs whose lease had expired were taken back.
    fn stalled(&self, queue: &QueueName, jobs: usize) {
        let _ = (queue, jobs);
    }

    /// Jobs whose lease had expired at their last delivery went to the dead letter.
    fn stalled_dead(&self, queue: &QueueName, jobs: usize) {
        let _ = (queue, jobs);
    }

    /// Ended jobs were forgotten.
    fn forgotten(&self, queue: &QueueName, jobs: usize) {
        let _ = (queue, jobs);
    }

    /// A call to the storage failed.
    fn storage_failed(&self, queue: &QueueName) {
        let _ = queue;
    }
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The job is done.
    Completed,
    /// The attempt failed; another follows.
    Retried,
    /// The job is in the dead letter.
    Dead,
    /// Its end had been wanted.
    Cancelled,
    /// Handed back unharmed.
    Released,
    /// The lease was lost: what the handler did has no effect on the job.
    Lost,
}

/// Measures nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observe for NoObserver {}

impl Ending {
    /// A word for labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retried => "retried",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}
