//! The storage is away, answers late, or refuses.

use std::time::Duration;

use lockstep_queue::jobs::{EnqueueOptions, JobContext, JobState, WaitError, Worker};
use tokio::time::{Instant, sleep};

use super::faulty::Fault;
use super::{LEASE, Slow, faulty, others, put, state, status};

/// Away for a minute: then the worker goes on by itself.
#[tokio::test(start_paused = true)]
async fn a_worker_outlives_an_outage() {
    for fault in [Fault::Unreachable, Fault::Hangs] {
        let (storage, queue) = faulty();
        storage.set(fault);
        let worker = Slow::default().worker(&queue).build().unwrap().start();
        sleep(Duration::from_secs(60)).await;
        storage.set(Fault::None);
        put(&queue, 1).await;
        let start = Instant::now();
        assert_eq!(queue.wait("1", LEASE * 4).await.unwrap(), 1);
        // A call that hung is given up after the time of a lease.
        assert!(start.elapsed() < LEASE + Duration::from_secs(10), "{:?}", start.elapsed());
        worker.shutdown().await.unwrap();
    }
}

/// The handler has ended while the storage is away: it is told when it is back, as long as the lease lasts.
#[tokio::test(start_paused = true)]
async fn ends_are_told_when_the_storage_is_back() {
    let (storage, queue) = faulty();
    let slow = Slow::of(Duration::from_secs(1));
    let worker = slow.worker(&queue).build().unwrap().start();
    put(&queue, 1).await;
    sleep(Duration::from_millis(10)).await;
    storage.set(Fault::Unreachable);
    sleep(LEASE / 2).await;
    assert_eq!((slow.counts(), state(&others(&storage), 1).await), ((1, 1), JobState::Active));
    storage.set(Fault::None);
    assert_eq!(queue.wait("1", LEASE).await.unwrap(), 1);
    assert_eq!(slow.counts(), (1, 1));
    worker.shutdown().await.unwrap();
}

/// Away for longer than the lease: the job comes again, as at-least-once has it.
#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_told_in_time_is_given_up() {
    let (storage, queue) = faulty();
    let slow = Slow::of(Duration::from_secs(1));
    let worker = slow.worker(&queue).build().unwrap().start();
    put(&queue, 1).await;
    sleep(Duration::from_millis(10)).await;
    storage.set(Fault::Unreachable);
    sleep(LEASE * 2).await;
    let calls = storage.calls.lock().len();
    sleep(LEASE * 4).await;
    let later = storage.calls.lock().clone();
    assert!(later[calls..].iter().all(|ends| *ends == 0), "{later:?}");
    storage.set(Fault::None);
    assert_eq!(queue.wait("1", LEASE * 4).await.unwrap(), 1);
    assert_eq!((slow.counts(), status(&queue, 1).await.job.deliveries), ((2, 2), 2));
    worker.shutdown().await.unwrap();
}

/// It was done, but the worker did not hear of it: told again, the storage does not do it twice.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_harmless() {
    let (storage, queue) = faulty();
    let slow = Slow::of(Duration::from_secs(1));
    let worker = slow.worker(&queue).concurrency(4).build().unwrap().start();
    for number in 0..8 {
        put(&queue, number).await;
    }
    sleep(Duration::from_millis(500)).await;
    *storage.finish.lock() = Fault::AnswerLost;
    sleep(Duration::from_secs(2)).await;
    *storage.finish.lock() = Fault::None;
    for number in 0..8 {
        assert_eq!(queue.wait(number.to_string(), LEASE * 4).await.unwrap(), number);
    }
    // Those that had run were not run again; those whose claim was not heard of came back by their lease.
    let (started, _) = slow.counts();
    assert_eq!(started, 8);
    worker.shutdown().await.unwrap();
}

/// One end that the storage refuses keeps nobody else's from being told.
#[tokio::test(start_paused = true)]
async fn a_refused_end_is_told_apart_from_the_others() {
    let (storage, queue) = faulty();
    *storage.finish.lock() = Fault::Refuses("3");
    let slow = Slow::of(Duration::from_secs(1));
    let worker = slow.worker(&queue).concurrency(6).reap(false).build().unwrap().start();
    for number in 0..6 {
        put(&queue, number).await;
    }
    for number in [0, 1, 2, 4, 5] {
        assert_eq!(queue.wait(number.to_string(), LEASE).await.unwrap(), number);
    }
    put(&queue, 6).await;
    assert_eq!(queue.wait("6", LEASE).await.unwrap(), 6);
    assert_eq!(state(&queue, 3).await, JobState::Active);
    worker.shutdown().await.unwrap();
}

/// After an end that was given up, because it was refused or its lease expired meanwhile, the worker goes on.
#[tokio::test(start_paused = true)]
async fn a_refused_end_does_not_stop_the_worker() {
    for expires in [false, true] {
        let (storage, queue) = faulty();
        *storage.finish.lock() = Fault::Refuses("1");
        let slow = Slow::of(Duration::from_secs(1));
        let worker = slow.worker(&queue).reap(false).build().unwrap().start();
        put(&queue, 1).await;
        sleep(Duration::from_millis(1010)).await;
        if expires {
            // Before it is refused for the second time.
            storage.set(Fault::Unreachable);
            sleep(LEASE * 2).await;
            storage.set(Fault::None);
        }
        put(&queue, 2).await;
        assert_eq!(queue.wait("2", LEASE).await.unwrap(), 2);
        assert_eq!(state(&queue, 1).await, JobState::Active);
        worker.shutdown().await.unwrap();
    }
}

/// All ends that are there go in one call, with the next claim.
#[tokio::test(start_paused = true)]
async fn one_call_ends_many_and_claims_as_many() {
    let (storage, queue) = faulty();
    for number in 0..40 {
        put(&queue, number).await;
    }
    let handler = async |job: JobContext<u64>| Ok(job.payload);
    let worker = Worker::builder(queue.clone(), handler).concurrency(10).build().unwrap().start();
    assert_eq!(queue.wait("39", LEASE).await.unwrap(), 39);
    // Perhaps one more because of news that were old.
    assert_eq!(storage.calls.lock()[..5], [0, 10, 10, 10, 10]);
    worker.shutdown().await.unwrap();
}

/// Every event is lost: who waits reads the state now and then.
#[tokio::test(start_paused = true)]
async fn waits_need_no_events() {
    let (storage, queue) = faulty();
    *storage.other.lock() = Fault::AnswerLost;
    // The stream is silent from the start.
    queue.wait("1", Duration::from_millis(1)).await.unwrap_err();
    *storage.other.lock() = Fault::None;
    let worker = Slow::of(Duration::from_secs(2)).worker(&others(&storage)).build().unwrap().start();
    let start = Instant::now();
    let output = queue.enqueue_and_wait("1", &1, EnqueueOptions::default(), LEASE).await;
    assert_eq!(output.unwrap(), 1);
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
    worker.shutdown().await.unwrap();
}

/// The storage is away while somebody waits: the wait goes on, and is over when it should be.
#[tokio::test(start_paused = true)]
async fn waits_outlive_an_outage_but_not_their_time() {
    for fault in [Fault::Unreachable, Fault::Hangs] {
        let (storage, queue) = faulty();
        let worker = Slow::of(Duration::from_secs(1)).worker(&others(&storage)).build().unwrap().start();
        let outage = async {
            sleep(Duration::from_millis(500)).await;
            storage.set(fault);
            sleep(LEASE).await;
            storage.set(Fault::None);
        };
        let wait = queue.enqueue_and_wait("1", &1, EnqueueOptions::default(), LEASE * 2);
        let (output, ()) = tokio::join!(wait, outage);
        assert_eq!(output.unwrap(), 1);
        storage.set(fault);
        let start = Instant::now();
        let late = queue.wait("1", LEASE).await;
        assert!(matches!(late, Err(WaitError::TimedOut { .. })), "{late:?}");
        assert!(start.elapsed() <= LEASE + Duration::from_secs(2), "{:?}", start.elapsed());
        worker.shutdown().await.unwrap();
    }
}
