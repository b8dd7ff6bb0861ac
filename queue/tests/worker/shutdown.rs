//! Told to stop: nothing more is claimed, what is at work may end in time, the rest goes back.

use std::time::Duration;

use lockstep_queue::jobs::{JobState, Storage as _, StorageError};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::faulty::Fault;
use super::{LEASE, Slow, faulty, put, state, status};

#[tokio::test(start_paused = true)]
async fn jobs_at_work_may_end_within_the_grace() {
    let (_, queue) = faulty();
    let slow = Slow::of(Duration::from_secs(20));
    let worker = slow.worker(&queue).grace(Duration::from_secs(25)).build().unwrap().start();
    put(&queue, 1).await;
    put(&queue, 2).await;
    sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    worker.shutdown().await.unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(19) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!((state(&queue, 1).await, state(&queue, 2).await), (JobState::Completed, JobState::Waiting));
    assert_eq!(slow.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_rest_is_handed_back_uncounted() {
    let (_, queue) = faulty();
    let slow = Slow::of(LEASE * 100);
    let builder = slow.worker(&queue).concurrency(3).grace(LEASE * 4);
    let worker = builder.build().unwrap().start();
    for number in 0..5 {
        put(&queue, number).await;
    }
    sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    worker.shutdown().await.unwrap();
    // Leases are renewed during the grace too.
    assert!(start.elapsed() >= LEASE * 4 && start.elapsed() < LEASE * 4 + Duration::from_secs(1));
    for number in 0..5 {
        let status = status(&queue, number).await;
        assert_eq!((status.state, status.job.deliveries), (JobState::Waiting, 0));
    }
    assert_eq!(slow.counts(), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stops_at_once() {
    let (_, queue) = faulty();
    let worker = Slow::default().worker(&queue).build().unwrap().start();
    sleep(LEASE).await;
    let start = Instant::now();
    worker.shutdown().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_storage_does_not_hold_the_end_up() {
    for fault in [Fault::Unreachable, Fault::Hangs] {
        let (storage, queue) = faulty();
        let slow = Slow::of(Duration::from_secs(5));
        let worker = slow.worker(&queue).grace(Duration::from_secs(10)).build().unwrap().start();
        put(&queue, 1).await;
        sleep(Duration::from_secs(1)).await;
        storage.set(fault);
        let start = Instant::now();
        worker.shutdown().await.unwrap();
        assert!(start.elapsed() <= Duration::from_secs(18), "{:?}", start.elapsed());
    }
}

/// Two queues share a storage; the end of one leaves the other at work.
#[tokio::test(start_paused = true)]
async fn the_end_of_one_worker_leaves_the_storage_to_others() {
    let (_, queue) = faulty();
    let slow = Slow::of(Duration::from_secs(1));
    let (one, two) =
        (slow.worker(&queue).build().unwrap().start(), slow.worker(&queue).build().unwrap().start());
    one.shutdown().await.unwrap();
    put(&queue, 1).await;
    assert_eq!(queue.wait("1", LEASE).await.unwrap(), 1);
    two.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_closed_storage_ends_the_worker_with_an_error() {
    let (storage, queue) = faulty();
    let stop = CancellationToken::new();
    let worker = Slow::default().worker(&queue).build().unwrap().start();
    sleep(LEASE).await;
    storage.close().await.unwrap();
    assert!(matches!(worker.ended().await, Err(StorageError::Closed)));
    // The token of the application is its own.
    let worker = Slow::default().worker(&queue).build().unwrap();
    assert!(matches!(worker.run(stop.clone()).await, Err(StorageError::Closed)));
    assert!(!stop.is_cancelled());
}
