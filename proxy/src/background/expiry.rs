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
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::millis;

const QUEUE: &str = "audit-expiry";
const EVERY: Duration = Duration::from_hours(1);
/// A disk that can't be written now may be so for a while.
const ATTEMPTS: u32 = 10;
/// Failed jobs that are kept to be looked at. Each is done again by the next one.
const DEAD: usize = 10;
/// Jobs that are listed at once.
const PAGE: usize = 100;

/// Removes records of one directory.
#[derive(Clone)]
pub(super) struct Expiry {
    queue: Queue<Removal, u64>,
    removals: Removals,
    keep: Duration,
}

/// What does the jobs.
#[derive(Clone)]
struct Removals {
    sink: DirSink,
    /// Why the last one failed, if it did.
    failing: Arc<Mutex<Option<String>>>,
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
        let removals = Removals { sink: DirSink::new(records), failing: Arc::default() };
        Ok(Self { queue, removals, keep })
    }

    pub(super) fn queue_name(&self) -> &QueueName {
        self.queue.name()
    }

    /// Why old records stay, if they do.
    pub(super) fn problem(&self) -> Option<String> {
        let why = self.removals.failing.lock().clone()?;
        Some(format!("records older than audit.sink.keep can't all be removed: {why}"))
    }

    /// Makes the jobs and does them until told to stop.
    pub(super) async fn run(&self, stop: CancellationToken) {
        // Without a worker there is nothing to be scheduled.
        let ended = stop.child_token();
        let work = async {
            self.work(stop).await;
            ended.cancel();
        };
        tokio::join!(work, self.schedule(ended.clone()));
    }

    async fn work(&self, stop: CancellationToken) {
        let removals = self.removals.clone();
        let remove = move |job: JobContext<Removal>| removals.clone().remove(job.payload);
        let worker = match Worker::builder(self.queue.clone(), remove).build() {
            Ok(worker) => worker,
            Err(error) => {
                tracing::error!(%error, "old records are not removed");
                return;
            }
        };
        if let Err(error) = worker.run(stop).await.or_else(closed) {
            tracing::error!(%error, "old records are not removed any more");
        }
    }

    async fn schedule(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.enqueue(Timestamp::now()).await {
                tracing::error!(%error, "old records are not removed this hour");
            }
            if let Err(error) = self.forget_dead().await {
                tracing::warn!(%error, "removals that failed stay in the dead letter");
            }
        }
    }

    /// The same job however often a process is started within an hour.
    async fn enqueue(&self, now: Timestamp) -> Result<(), QueueError> {
        let before = u64::try_from(now.as_millisecond()).unwrap_or(0).saturating_sub(millis(self.keep));
        let id = format!("before-{}", before / millis(EVERY));
        self.queue.enqueue(id, &Removal { before }, EnqueueOptions::default()).await.map(drop)
    }

    /// Keeps the newest of the jobs that failed for good.
    async fn forget_dead(&self) -> Result<(), QueueError> {
        let dead = self.queue.dead_letter().list(None, PAGE).await?;
        for (job, _) in dead.iter().take(dead.len().saturating_sub(DEAD)) {
            self.queue.dead_letter().remove(job.id.as_str()).await?;
        }
        Ok(())
    }
}

impl Removals {
    /// Removing twice is no more than removing once.
    async fn remove(self, Removal { before }: Removal) -> Result<u64, Failure> {
        let sink = self.sink.clone();
        let removed = tokio::task::spawn_blocking(move || sink.remove_before("", before)).await?;
        *self.failing.lock() = removed.as_ref().err().map(ToString::to_string);
        let removed = removed?;
        if removed > 0 {
            tracing::info!(files = removed, "records older than audit.sink.keep were removed");
        }
        Ok(removed)
    }
}

/// A storage that is closed ends its workers in order.
fn closed(error: StorageError) -> Result<(), StorageError> {
    if matches!(error, StorageError::Closed) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lockstep_queue::jobs::{MemoryStorage, NoObserver};

    use super::*;

    /// One whose directory is a file, so that it can remove nothing.
    fn failing(records: &Path) -> Expiry {
        std::fs::write(records, "").unwrap();
        let storage = Arc::new(MemoryStorage::new());
        Expiry::new(storage, records.to_owned(), Duration::from_hours(1), Arc::new(NoObserver)).unwrap()
    }

    #[tokio::test]
    async fn few_of_those_that_failed_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let expiry = failing(&dir.path().join("records"));
        let once = EnqueueOptions { max_deliveries: Some(1), ..EnqueueOptions::default() };
        for number in 0..DEAD + 5 {
            expiry.queue.enqueue(format!("{number:02}"), &Removal { before: 1 }, once).await.unwrap();
        }
        let all_dead = async {
            while expiry.queue.counts().await.unwrap().dead < 15 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = expiry.work(CancellationToken::new()) => panic!("it ended"),
            () = all_dead => {}
        }
        expiry.forget_dead().await.unwrap();
        let left = expiry.queue.dead_letter().list(None, PAGE).await.unwrap();
        assert_eq!((left.len(), left[0].0.id.as_str()), (DEAD, "05"));
    }

    #[tokio::test]
    async fn a_removal_that_fails_is_a_problem_until_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let records = dir.path().join("records");
        let expiry = failing(&records);
        assert_eq!(expiry.problem(), None);
        expiry.removals.clone().remove(Removal { before: 1 }).await.unwrap_err();
        assert!(expiry.problem().unwrap().contains("audit.sink.keep"));
        std::fs::remove_file(&records).unwrap();
        expiry.removals.clone().remove(Removal { before: 1 }).await.unwrap();
        assert_eq!(expiry.problem(), None);
    }
}
