//! Does the jobs of a queue: claims them, runs the handler, keeps their leases, and reports how they ended.
//!
//! One task, the pump, runs the handlers and talks to the storage: what has ended and what is wanted next go in one
//! step, and while a step is under way the next one gathers. Another task renews the leases, so that they are kept
//! also while a handler does not yield.

mod backoff;
mod builder;
mod context;
mod hook;
mod lease;
mod pump;
mod renew;
mod report;
mod run;
mod running;

pub use backoff::Backoff;
pub use builder::WorkerBuilder;
pub use context::JobContext;
pub use hook::{Changes, Ended};
pub use running::RunningWorker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::codec::{Codec, Json};
use super::error::StorageError;
use super::failure::Failure;
use super::name::WorkerId;
use super::queue::Queue;
use super::reaper::Reaper;
use hook::Hook;
use lease::Leases;

/// Does the jobs of one queue with one handler. Any number of workers may serve a queue, on any machine.
///
/// The handlers of one worker share one task, as many at once as its concurrency says; they must not block. Work
/// for the processor belongs in `spawn_blocking`, or in several workers.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use lockstep_queue::jobs::{EnqueueOptions, JobContext, MemoryStorage, Queue, Worker};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = Arc::new(MemoryStorage::new());
/// let queue: Queue<u64, u64> = Queue::builder(storage, "squares").build()?;
/// let square = async |job: JobContext<u64>| Ok(job.payload * job.payload);
/// let worker = Worker::builder(queue.clone(), square).concurrency(8).build()?.start();
///
/// let (payload, options) = (12, EnqueueOptions::default());
/// let output = queue.enqueue_and_wait("of-12", &payload, options, Duration::from_secs(5)).await?;
/// assert_eq!(output, 144);
/// worker.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub struct Worker<P, O, H, C = Json> {
    queue: Queue<P, O, C>,
    handler: H,
    settings: Settings,
    hook: Option<Hook<O>>,
    reaper: Option<Reaper>,
}

/// How a worker works.
#[derive(Debug, Clone)]
struct Settings {
    id: WorkerId,
    concurrency: usize,
    lease: Duration,
    heartbeat: Duration,
    backoff: Backoff,
    grace: Duration,
    idle: Duration,
}

impl<P, O, H, F, C> Worker<P, O, H, C>
where
    P: DeserializeOwned + Send + 'static,
    O: Serialize + Send + Sync + 'static,
    H: Fn(JobContext<P>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<O, Failure>> + Send + 'static,
    C: Codec,
{
    /// Works in tasks of its own until it is shut down.
    #[must_use = "dropped, it ends at once, and its jobs come back only by their leases"]
    pub fn start(self) -> RunningWorker {
        RunningWorker::start(|stop| self.run(stop))
    }

    /// Works until it is told to stop; then no job is claimed any more, those at work may end within the grace,
    /// and the rest is handed back. All its tasks have ended when it returns.
    ///
    /// # Errors
    /// If the storage was closed.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StorageError> {
        let Self { queue, handler, settings, hook, reaper } = self;
        // The reaper has to end too where it is the storage that ends the pump.
        let (stop, leases) = (stop.child_token(), Arc::new(Leases::default()));
        let (mut helpers, helpers_stop) = (JoinSet::new(), CancellationToken::new());
        // Also if this future is dropped.
        let _end = helpers_stop.clone().drop_guard();
        let renewal = renew::Renewal::new(&queue.core.name, &queue.core.storage, &leases, &settings);
        let renewal_stop = helpers_stop.clone();
        helpers.spawn(async move { renewal.run(renewal_stop).await });
        if let Some(reaper) = reaper {
            let reaper_stop = stop.clone();
            helpers.spawn(async move { reaper.run(reaper_stop).await });
        }
        let runner = run::Runner { queue, handler, settings, hook, leases };
        let result = pump::Pump::new(&runner).run(stop.clone()).await;
        stop.cancel();
        helpers_stop.cancel();
        while helpers.join_next().await.is_some() {}
        result
    }
}

impl<P, O, H, C: Codec> fmt::Debug for Worker<P, O, H, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Worker");
        shown.field("queue", &self.queue).field("settings", &self.settings).finish_non_exhaustive()
    }
}
