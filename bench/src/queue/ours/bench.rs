//! A queue with a worker, ready for one shape of load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lockstep_queue::jobs::{Ending, JobContext, Observe, Queue, QueueName, RunningWorker, Storage, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::shapes;
use crate::error::{Context as _, Result};
use crate::queue::cell::Shape;
use crate::queue::options::CellOptions;

/// The queue under load.
pub(super) type Jobs = Queue<Payload, bool>;

/// What the peers send too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Payload {
    data: String,
}

/// What one visit needs.
pub(super) struct Bench {
    pub(super) queue: Jobs,
    pub(super) payload: Payload,
    pub(super) jobs: usize,
    pub(super) concurrency: usize,
    shape: Shape,
    completed: Arc<Completed>,
    worker: Option<RunningWorker>,
}

/// Counts completions that are stored.
#[derive(Debug, Default)]
struct Completed {
    count: AtomicUsize,
    wanted: usize,
    all: Notify,
}

impl Observe for Completed {
    fn ended(&self, _queue: &QueueName, how: Ending, _ran: Duration) {
        if how == Ending::Completed && self.count.fetch_add(1, Ordering::Relaxed) + 1 == self.wanted {
            self.all.notify_one();
        }
    }
}

impl Bench {
    /// Does what is not measured.
    pub(super) async fn prepare(
        storage: &Arc<dyn Storage>,
        name: &str,
        jobs: usize,
        options: &CellOptions,
    ) -> Result<Self> {
        let completed = Arc::new(Completed { wanted: jobs, ..Completed::default() });
        let observe: Arc<dyn Observe> = Arc::<Completed>::clone(&completed);
        let queue = Queue::builder(Arc::clone(storage), name).observe(observe).build();
        let queue = queue.context(|| "cannot make the queue".to_owned())?;
        let payload = Payload { data: "x".repeat(options.payload) };
        let CellOptions { shape, concurrency, .. } = *options;
        let mut bench = Self { queue, payload, jobs, concurrency, shape, completed, worker: None };
        match shape {
            Shape::Drain => shapes::fill(&bench).await?,
            Shape::Wait => bench.work()?,
            Shape::Enqueue | Shape::Pipeline => {}
        }
        Ok(bench)
    }

    /// Does what is measured. Returns how long callers waited, where they do.
    pub(super) async fn run(&mut self) -> Result<Vec<Duration>> {
        if matches!(self.shape, Shape::Pipeline | Shape::Drain) {
            self.work()?;
        }
        match self.shape {
            Shape::Enqueue => shapes::enqueue(self).await?,
            Shape::Pipeline => {
                shapes::enqueue(self).await?;
                self.completed.all.notified().await;
            }
            Shape::Drain => self.completed.all.notified().await,
            Shape::Wait => return shapes::wait(self).await,
        }
        Ok(Vec::new())
    }

    /// Ends the worker.
    pub(super) async fn close(self) -> Result<()> {
        let Some(worker) = self.worker else { return Ok(()) };
        worker.shutdown().await.context(|| "the worker failed".to_owned())
    }

    fn work(&mut self) -> Result<()> {
        let worker = Worker::builder(self.queue.clone(), async |_: JobContext<Payload>| Ok(true));
        let worker = worker.concurrency(self.concurrency).build();
        self.worker = Some(worker.context(|| "cannot make the worker".to_owned())?.start());
        Ok(())
    }
}
