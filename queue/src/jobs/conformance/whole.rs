//! Queues, workers and reapers together, on the storage under test.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join, try_join_all};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::kit::{Outcome, PROMPT, Subject, new};
use crate::jobs::{
    Accepted, Backoff, Cancelled, EnqueueOptions, Failure, JobContext, JobErrorKind, JobOptions, JobState,
    NewJob, Queue, QueueError, Storage, WaitError, Worker,
};

/// Longer than any wait here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_millis(600);
const FAST: Backoff =
    Backoff { first: Duration::from_millis(20), most: Duration::from_millis(100), jitter: 0.5 };

type Squares = Queue<u64, u64>;

/// The output comes to whoever enqueued the job, at once if it is there already; `null` outputs too.
pub async fn outputs_come_to_those_who_wait(subject: Subject) -> Outcome {
    let queue = queue(&subject.client.storage);
    let worker = Worker::builder(queue.clone(), square).concurrency(4).build().unwrap_or_else(wrong).start();
    let outputs = try_join_all((0..20_u64).map(|number| {
        let queue = queue.clone();
        async move { queue.enqueue_and_wait(number.to_string(), &number, options(), PATIENCE).await }
    }));
    let outputs = outputs.await.unwrap_or_else(wrong);
    assert_eq!(outputs, (0..20).map(|number| number * number).collect::<Vec<u64>>());
    let start = Instant::now();
    assert_eq!(queue.enqueue_and_wait("7", &99, options(), PATIENCE).await.unwrap_or_else(wrong), 49);
    assert_eq!(queue.enqueue("7", &99, options()).await.unwrap_or_else(wrong), Accepted::Completed(49));
    assert_eq!(queue.result("8").await.unwrap_or_else(wrong), Some(64));
    assert!(start.elapsed() < PROMPT);
    let units: Queue<(), ()> =
        Queue::builder(Arc::clone(&subject.client.storage), "units").build().unwrap_or_else(wrong);
    let idle = Worker::builder(units.clone(), async |_| Ok(())).build().unwrap_or_else(wrong).start();
    units.enqueue_and_wait("nothing", &(), options(), PATIENCE).await.unwrap_or_else(wrong);
    join(worker.shutdown(), idle.shutdown()).await.0
}

/// Several waiters on one job, in two processes where there are; one that leaves takes nothing from the others.
pub async fn many_can_wait_for_one_job(subject: Subject) -> Outcome {
    let first = queue(&subject.client.storage);
    let second =
        queue(&subject.second().map_or_else(|| subject.client.storage.clone(), |client| client.storage));
    first.enqueue("a", &3, EnqueueOptions { delay: Some(LEASE), ..options() }).await.unwrap_or_else(wrong);
    let impatient = first.wait("a", Duration::from_millis(50)).await;
    assert!(matches!(impatient, Err(WaitError::TimedOut { .. })), "{impatient:?}");
    let waits = [&first, &second, &first, &second].map(|queue| queue.wait("a", PATIENCE));
    let worker = Worker::builder(second.clone(), square).build().unwrap_or_else(wrong).start();
    let start = Instant::now();
    assert_eq!(try_join_all(waits).await.unwrap_or_else(wrong), [9, 9, 9, 9]);
    assert!(start.elapsed() < PROMPT + LEASE, "{:?}", start.elapsed());
    worker.shutdown().await
}

/// A worker dies with the job; the next one answers.
pub async fn a_wait_outlives_the_worker(subject: Subject) -> Outcome {
    let queue = queue(&subject.client.storage);
    let stuck = async |_: JobContext<u64>| std::future::pending().await;
    let dying = Worker::builder(queue.clone(), stuck).lease(LEASE).build().unwrap_or_else(wrong).start();
    let successor = async {
        while queue.counts().await.unwrap_or_else(wrong).active == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        drop(dying);
        Worker::builder(queue.clone(), square).lease(LEASE).build().unwrap_or_else(wrong).start()
    };
    let (output, worker) = join(queue.enqueue_and_wait("a", &5, options(), PATIENCE), successor).await;
    assert_eq!(output.unwrap_or_else(wrong), 25);
    let status = queue.status("a").await.unwrap_or_else(wrong);
    assert_eq!(status.map(|status| status.job.deliveries), Some(2));
    worker.shutdown().await
}

/// Attempts that fail are repeated, then the job is in the dead letter with its error; retried by hand, it is done.
pub async fn failures_end_in_the_dead_letter(subject: Subject) -> Outcome {
    let queue = queue(&subject.client.storage);
    let (attempts, is_mended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (seen, mended) = (Arc::clone(&attempts), Arc::clone(&is_mended));
    let handler = move |job: JobContext<u64>| {
        let (seen, mended) = (Arc::clone(&seen), Arc::clone(&mended));
        async move {
            let attempt = seen.fetch_add(1, Ordering::Relaxed) + 1;
            match mended.load(Ordering::Relaxed) {
                0 => Err(Failure::new(format!("attempt {attempt}"))),
                _ => Ok(job.payload),
            }
        }
    };
    let worker = Worker::builder(queue.clone(), handler).backoff(FAST).build().unwrap_or_else(wrong).start();
    let dead = queue.enqueue_and_wait("a", &1, options(), PATIENCE).await;
    assert!(matches!(&dead, Err(WaitError::Dead { error, .. }) if error.message == "attempt 3"), "{dead:?}");
    assert_eq!(attempts.load(Ordering::Relaxed), 3);
    let letter = queue.dead_letter();
    let listed = letter.list(None, 9).await.unwrap_or_else(wrong);
    let listed: Vec<_> =
        listed.iter().map(|(job, error)| (job.id.as_str(), error.message.as_str())).collect();
    assert_eq!(listed, [("a", "attempt 3")]);
    is_mended.store(1, Ordering::Relaxed);
    assert!(letter.retry("a").await.unwrap_or_else(wrong));
    assert_eq!(queue.wait("a", PATIENCE).await.unwrap_or_else(wrong), 1);
    assert_eq!(letter.list(None, 9).await.unwrap_or_else(wrong), []);
    worker.shutdown().await
}

/// Payloads of another type and handlers that panic: the job fails, the worker goes on.
pub async fn bad_jobs_do_not_stop_the_worker(subject: Subject) -> Outcome {
    let storage = &subject.client.storage;
    let queue = queue(storage);
    let handler = async |job: JobContext<u64>| {
        assert!(job.payload != 13, "unlucky");
        Ok(job.payload)
    };
    let worker = Worker::builder(queue.clone(), handler).backoff(FAST).build().unwrap_or_else(wrong).start();
    let bad = NewJob { payload: Bytes::from_static(b"\xff no number"), ..new("bad", JobOptions::default()) };
    storage.enqueue(queue.name(), vec![bad]).await?;
    let undecodable = queue.wait("bad", PATIENCE).await;
    let panicked = queue.enqueue_and_wait("panic", &13, options(), PATIENCE).await;
    for (outcome, expected) in [(undecodable, JobErrorKind::Undecodable), (panicked, JobErrorKind::Panicked)]
    {
        assert!(
            matches!(&outcome, Err(WaitError::Dead { error, .. }) if error.kind == expected),
            "{outcome:?}"
        );
    }
    assert_eq!(queue.enqueue_and_wait("good", &1, options(), PATIENCE).await.unwrap_or_else(wrong), 1);
    let deliveries =
        async |id| queue.status(id).await.unwrap_or_else(wrong).map(|status| status.job.deliveries);
    assert_eq!((deliveries("bad").await, deliveries("panic").await), (Some(1), Some(3)));
    let texts = Queue::builder(Arc::clone(storage), "whole").namespace("conformance");
    let texts: Queue<u64, String> = texts.build().unwrap_or_else(wrong);
    let wrong_type = texts.wait("good", PATIENCE).await;
    assert!(matches!(wrong_type, Err(WaitError::Queue(QueueError::Decode { .. }))), "{wrong_type:?}");
    worker.shutdown().await
}

/// A waiting job is gone and its waiter told at once; a running one is told, and ends when it likes.
pub async fn cancelled_jobs_end(subject: Subject) -> Outcome {
    let queue = queue(&subject.client.storage);
    let wait = queue.enqueue_and_wait("waiting", &1, options(), PATIENCE);
    let cancel = async {
        sleep(Duration::from_millis(200)).await;
        queue.cancel("waiting").await.unwrap_or_else(wrong)
    };
    let start = Instant::now();
    let (waited, cancelled) = join(wait, cancel).await;
    assert_eq!(cancelled, Cancelled::Done);
    assert!(matches!(waited, Err(WaitError::Gone(_))), "{waited:?}");
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    let handler = async |job: JobContext<u64>| {
        job.cancelled().await;
        Err::<u64, _>(Failure::new("as you wish"))
    };
    let builder = Worker::builder(queue.clone(), handler).lease(LEASE);
    let worker = builder.build().unwrap_or_else(wrong).start();
    let wait = queue.enqueue_and_wait("running", &1, options(), PATIENCE);
    let cancel = async {
        while queue.counts().await.unwrap_or_else(wrong).active == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        queue.cancel("running").await.unwrap_or_else(wrong)
    };
    let (waited, cancelled) = join(wait, cancel).await;
    assert_eq!(cancelled, Cancelled::Requested);
    assert!(matches!(waited, Err(WaitError::Gone(_))), "{waited:?}");
    worker.shutdown().await?;
    let again = queue.enqueue("running", &1, options()).await.unwrap_or_else(wrong);
    assert!(matches!(again, Accepted::New(_)), "{again:?}");
    Ok(())
}

/// Told to stop, a worker lets what is at work end, and hands the rest back unharmed.
pub async fn a_stopped_worker_hands_back(subject: Subject) -> Outcome {
    let queue = queue(&subject.client.storage);
    let handler = async |job: JobContext<u64>| {
        match job.payload {
            0 => sleep(Duration::from_millis(300)).await,
            _ => std::future::pending().await,
        }
        Ok(job.payload)
    };
    let builder = Worker::builder(queue.clone(), handler).concurrency(2).grace(Duration::from_secs(1));
    let worker = builder.build().unwrap_or_else(wrong).start();
    for number in 0..3_u64 {
        queue.enqueue(number.to_string(), &number, options()).await.unwrap_or_else(wrong);
    }
    while queue.counts().await.unwrap_or_else(wrong).active < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    worker.shutdown().await?;
    let state = async |id| {
        queue.status(id).await.unwrap_or_else(wrong).map(|status| (status.state, status.job.deliveries))
    };
    assert_eq!(state("0").await, Some((JobState::Completed, 1)));
    assert_eq!(state("1").await, Some((JobState::Waiting, 0)));
    assert_eq!(state("2").await, Some((JobState::Waiting, 0)));
    Ok(())
}

/// Two workers with reapers, in two processes where there are, and one that dies: each job is completed once.
pub async fn all_jobs_are_done(subject: Subject) -> Outcome {
    const JOBS: u64 = 400;
    let storages = [Some(subject.client.storage.clone()), subject.second().map(|client| client.storage)];
    let queues: Vec<_> = storages.iter().flatten().map(queue).collect();
    let runs: Arc<Mutex<HashMap<u64, u32>>> = Arc::default();
    let start = |queue: &Squares| {
        let runs = Arc::clone(&runs);
        let handler = move |job: JobContext<u64>| {
            *runs.lock().entry(job.payload).or_default() += 1;
            async move {
                sleep(Duration::from_millis(job.payload % 5)).await;
                Ok(job.payload)
            }
        };
        let builder = Worker::builder(queue.clone(), handler).concurrency(10).lease(LEASE);
        builder.build().unwrap_or_else(wrong).start()
    };
    let mut workers: Vec<_> = queues.iter().cycle().take(3).map(start).collect();
    for (number, queue) in (0..JOBS).zip(queues.iter().cycle()) {
        let options = EnqueueOptions { max_deliveries: Some(9), ..options() };
        queue.enqueue(number.to_string(), &number, options).await.unwrap_or_else(wrong);
        if number == JOBS / 2 {
            drop(workers.pop());
        }
    }
    let Some(first) = queues.first() else { return Ok(()) };
    let started = Instant::now();
    while first.counts().await.unwrap_or_else(wrong).completed < JOBS && started.elapsed() < PATIENCE {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(first.counts().await.unwrap_or_else(wrong).completed, JOBS);
    let runs = runs.lock().clone();
    let repeated = runs.values().filter(|times| **times > 1).count();
    // Those that the dead worker had, and no others.
    assert!(runs.len() == 400 && repeated <= 20, "{repeated} of {} ran again", runs.len());
    for worker in workers {
        worker.shutdown().await?;
    }
    Ok(())
}

fn queue(storage: &Arc<dyn Storage>) -> Squares {
    Queue::builder(Arc::clone(storage), "whole").namespace("conformance").build().unwrap_or_else(wrong)
}

async fn square(job: JobContext<u64>) -> Result<u64, Failure> {
    Ok(job.payload * job.payload)
}

fn options() -> EnqueueOptions {
    EnqueueOptions::default()
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn wrong<T>(error: impl std::fmt::Display) -> T {
    panic!("{error}")
}
