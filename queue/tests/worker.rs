//! Workers in trouble: storages that fail, hang and lie, leases that run out, ends that are wanted. Time is paused:
//! it passes when all wait.
#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

#[path = "worker/faulty.rs"]
mod faulty;
#[path = "worker/lease.rs"]
mod lease;
#[path = "worker/measure.rs"]
mod measure;
#[path = "worker/queue.rs"]
mod queue;
#[path = "worker/reaper.rs"]
mod reaper;
#[path = "worker/shutdown.rs"]
mod shutdown;
#[path = "worker/storage.rs"]
mod storage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use faulty::Faulty;
use lockstep_queue::jobs::{
    Backoff, EnqueueOptions, Failure, JobContext, JobState, MemoryStorage, Queue, Status, Worker,
    WorkerBuilder,
};

const LEASE: Duration = Duration::from_secs(30);

type Numbers = Queue<u64, u64>;

/// A queue on a storage that can be made to fail.
fn faulty() -> (Arc<Faulty>, Numbers) {
    let storage = Arc::new(Faulty::new(MemoryStorage::new()));
    (Arc::clone(&storage), Queue::builder(storage, "numbers").build().unwrap())
}

/// Another queue on the same jobs, on a storage that never fails: what others see and do.
fn others(storage: &Faulty) -> Numbers {
    Queue::builder(Arc::new(storage.inner.clone()), "numbers").build().unwrap()
}

async fn put(queue: &Numbers, number: u64) {
    queue.enqueue(number.to_string(), &number, EnqueueOptions::default()).await.unwrap();
}

async fn status(queue: &Numbers, number: u64) -> Status<u64> {
    queue.status(number.to_string()).await.unwrap().unwrap()
}

async fn state(queue: &Numbers, number: u64) -> JobState {
    status(queue, number).await.state
}

/// A handler that takes so long, and counts its starts and ends.
#[derive(Debug, Clone, Default)]
struct Slow {
    takes: Duration,
    started: Arc<AtomicU32>,
    ended: Arc<AtomicU32>,
}

impl Slow {
    fn of(takes: Duration) -> Self {
        Self { takes, ..Self::default() }
    }

    fn counts(&self) -> (u32, u32) {
        (self.started.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed))
    }

    fn handler(&self) -> impl Fn(JobContext<u64>) -> SlowFuture + Send + Sync + use<> {
        let slow = self.clone();
        move |job| {
            let slow = slow.clone();
            Box::pin(async move {
                slow.started.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(slow.takes).await;
                slow.ended.fetch_add(1, Ordering::Relaxed);
                Ok(job.payload)
            })
        }
    }

    fn worker(
        &self,
        queue: &Numbers,
    ) -> WorkerBuilder<u64, u64, impl Fn(JobContext<u64>) -> SlowFuture + use<>> {
        Worker::builder(queue.clone(), self.handler()).lease(LEASE)
    }
}

type SlowFuture = std::pin::Pin<Box<dyn Future<Output = Result<u64, Failure>> + Send>>;

#[tokio::test(start_paused = true)]
async fn attempts_are_spaced_by_the_backoff() {
    let (_, queue) = faulty();
    let handler = async |_: JobContext<u64>| Err::<u64, _>(Failure::new("no"));
    let backoff = Backoff { jitter: 0.0, ..Backoff::default() };
    let worker = Worker::builder(queue.clone(), handler).backoff(backoff).build().unwrap().start();
    let options = EnqueueOptions { max_deliveries: Some(5), ..EnqueueOptions::default() };
    let start = tokio::time::Instant::now();
    queue.enqueue_and_wait("a", &1, options, Duration::from_secs(60)).await.unwrap_err();
    // 1 + 2 + 4 + 8 seconds between five attempts.
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(15) && took < Duration::from_secs(16), "{took:?}");
    worker.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_whether_and_when_it_is_tried_again() {
    let (_, queue) = faulty();
    let handler = async |job: JobContext<u64>| match job.payload {
        0 => Err::<u64, _>(Failure::permanent("never")),
        _ if job.is_last() => Ok(7),
        _ => Err(Failure::new("later").after(Duration::from_secs(100))),
    };
    let worker = Worker::builder(queue.clone(), handler).build().unwrap().start();
    let wait = Duration::from_secs(1000);
    queue.enqueue_and_wait("0", &0, EnqueueOptions::default(), wait).await.unwrap_err();
    assert_eq!(status(&queue, 0).await.job.deliveries, 1);
    let start = tokio::time::Instant::now();
    assert_eq!(queue.enqueue_and_wait("1", &1, EnqueueOptions::default(), wait).await.unwrap(), 7);
    assert!(start.elapsed() >= Duration::from_secs(200) && start.elapsed() < Duration::from_secs(201));
    worker.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_keep_their_sources() {
    let (_, queue) = faulty();
    let handler = async |_: JobContext<u64>| {
        let source = std::io::Error::other("the disk is gone");
        let error = lockstep_queue::jobs::StorageError::Full(Arc::new(source));
        Err::<u64, _>(Failure::from(error))
    };
    let worker = Worker::builder(queue.clone(), handler).build().unwrap().start();
    let options = EnqueueOptions { max_deliveries: Some(1), ..EnqueueOptions::default() };
    queue.enqueue_and_wait("0", &0, options, LEASE).await.unwrap_err();
    let (_, error) = queue.dead_letter().inspect("0").await.unwrap().unwrap();
    assert!(error.message.contains("has no room") && error.message.contains("the disk is gone"), "{error:?}");
    worker.shutdown().await.unwrap();
}

#[test]
fn options_that_make_no_sense_are_all_named() {
    let (_, queue) = faulty();
    let slow = Slow::default();
    let worker = slow.worker(&queue).concurrency(0).lease(Duration::ZERO).heartbeat(LEASE).build();
    let problems = worker.unwrap_err().problems;
    assert_eq!(problems.len(), 3, "{problems:?}");
    let builder = Queue::<u64, u64>::builder(Arc::new(MemoryStorage::new()), "");
    let problems = builder.max_deliveries(0).max_payload(0).build().unwrap_err().problems;
    assert_eq!(problems.len(), 3, "{problems:?}");
}
