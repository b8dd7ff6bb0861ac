//! What a handler gets.

use std::sync::Arc;

use super::lease::Lease;
use crate::jobs::job::{JobOptions, StorageTime};
use crate::jobs::name::JobId;

/// A job, for its handler.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use lockstep_queue::jobs::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let storage = Arc::new(MemoryStorage::new());
/// // A handler that ends early if somebody cancels its job.
/// async fn handler(job: JobContext<u64>) -> Result<u64, Failure> {
///     tokio::select! {
///         () = job.cancelled() => Err(Failure::new("cancelled")),
///         () = tokio::time::sleep(Duration::from_millis(job.payload)) => Ok(job.payload),
///     }
/// }
/// let queue: Queue<u64, u64> = Queue::builder(storage, "naps").build()?;
/// let worker = Worker::builder(queue.clone(), handler).build()?.start();
/// let slept = queue.enqueue_and_wait("a", &10, EnqueueOptions::default(), Duration::from_secs(5)).await?;
/// assert_eq!(slept, 10);
/// worker.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct JobContext<P> {
    /// Its id.
    pub id: JobId,
    /// What it was enqueued with.
    pub payload: P,
    /// Which delivery this is, from 1, of those that count: one that was handed back at a shutdown does not, though its
    /// handler had begun. So at any delivery the job may have been done already, in part, and from the second on whole.
    pub delivery: u32,
    /// How it is treated.
    pub options: JobOptions,
    /// When it was enqueued.
    pub created_at: StorageTime,
    pub(super) lease: Arc<Lease>,
}

impl<P> JobContext<P> {
    /// Returns when somebody asked for the end of this job, which is noticed at the next heartbeat. The handler may
    /// then return any error, and the job is gone; if it returns an output, the job has completed in spite of it.
    pub async fn cancelled(&self) {
        self.lease.end_wanted().await;
    }

    /// Whether somebody asked for the end of this job.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.lease.is_end_wanted() || self.lease.is_lost()
    }

    /// Whether this is the last delivery: a failure now sends the job to the dead letter.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.delivery >= self.options.max_deliveries
    }
}
