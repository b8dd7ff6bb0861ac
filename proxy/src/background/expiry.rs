//! Removes shipped records from a directory sink once they are older than `audit.sink.keep`: a job an hour.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lockstep_queue::jobs::{
    BuildError, EnqueueOptions, Failure, JobContext, Observe, Queue, QueueError, QueueName, Storage,
    StorageError, Worker,
};
use lockstep_queue::ship::DirSink;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::millis;

const QUEUE: &str = "audit-expiry";
const EVERY: Duration = Duration::from_hours(1);
/// A disk that can't be written now may be so for a while.
const ATTEMPTS: u32 = 10;

/// Removes records of one directory.
#[derive(Clone)]
pub(super) struct Expiry {
    queue: Queue<Removal, u64>,
    sink: DirSink,
    keep: Duration,
}

/// Records to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Removal {
    /// All that ended before, in milliseconds since 1970.
    before: u64,
}

impl Expiry {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        records: PathBuf,
        keep: Duration,
        observe: Arc<dyn Observe>,
    ) -> Result<Self, BuildError> {
        let queue = Queue::builder(storage, QUEUE).max_deliveries(ATTEMPTS).observe(observe).build()?;
        Ok(Self { queue, sink: DirSink::new(records), keep })
    }

    pub(super) fn queue_name(&self) -> &QueueName {
        self.queue.name()
    }

    /// Makes the jobs and does them until told to stop.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let sink = self.sink.clone();
        let worker = Worker::builder(self.queue.clone(), move |job| remove(sink.clone(), job)).build();
        let worker = match worker {
            Ok(worker) => worker,
            Err(error) => {
                tracing::error!(%error, "old records are not removed");
                return;
            }
        };
        let (done, ()) = tokio::join!(worker.run(stop.clone()), self.schedule(stop));
        if let Err(error) = done.or_else(closed) {
            tracing::error!(%error, "old records are not removed any more");
        }
    }

    async fn schedule(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.enqueue(Timestamp::now()).await {
                tracing::error!(%error, "old records are not removed this hour");
            }
        }
    }

    /// The same job however often a process is started within an hour.
    async fn enqueue(&self, now: Timestamp) -> Result<(), QueueError> {
        let before = u64::try_from(now.as_millisecond()).unwrap_or(0).saturating_sub(millis(self.keep));
        let id = format!("before-{}", before / millis(EVERY));
        self.queue.enqueue(id, &Removal { before }, EnqueueOptions::default()).await.map(drop)
    }
}

/// Removing twice is no more than removing once.
async fn remove(sink: DirSink, job: JobContext<Removal>) -> Result<u64, Failure> {
    let before = job.payload.before;
    let removed = tokio::task::spawn_blocking(move || sink.remove_before("", before)).await??;
    if removed > 0 {
        tracing::info!(files = removed, "records older than audit.sink.keep were removed");
    }
    Ok(removed)
}

/// A storage that is closed ends its workers in order.
fn closed(error: StorageError) -> Result<(), StorageError> {
    if matches!(error, StorageError::Closed) { Ok(()) } else { Err(error) }
}
