//! Leases: kept while the worker lives, lost when it can't keep them, and worth nothing then.

use std::time::Duration;

use bytes::Bytes;
use lockstep_queue::jobs::{
    Cancelled, Claim, End, EndOutcome, EnqueueOptions, Extended, Failure, Finish, JobContext, JobErrorKind,
    JobId, JobState, MemoryStorage, QueueName, Reaper, Storage as _, Token, Worker, WorkerId,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::faulty::Fault;
use super::{LEASE, Slow, faulty, others, put, state, status};

#[tokio::test(start_paused = true)]
async fn the_heartbeat_keeps_a_long_job() {
    let (_, queue) = faulty();
    let slow = Slow::of(LEASE * 10);
    let worker = slow.worker(&queue).build().unwrap().start();
    put(&queue, 1).await;
    assert_eq!(queue.wait("1", LEASE * 20).await.unwrap(), 1);
    assert_eq!((slow.counts(), status(&queue, 1).await.job.deliveries), ((1, 1), 1));
    worker.shutdown().await.unwrap();
}

/// A worker that can't renew ends its handler when the lease is over, and what another did stands.
#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_renew_ends_its_handlers() {
    let (storage, queue) = faulty();
    let slow = Slow::of(LEASE * 10);
    let cut_off = slow.worker(&queue).reap(false).build().unwrap().start();
    put(&queue, 1).await;
    sleep(LEASE / 2).await;
    storage.set(Fault::Unreachable);
    let others = others(&storage);
    let rival = Worker::builder(others.clone(), async |job: JobContext<u64>| Ok(job.payload + 100));
    let rival = rival.lease(LEASE).build().unwrap().start();
    assert_eq!(others.wait("1", LEASE * 20).await.unwrap(), 101);
    sleep(LEASE * 20).await;
    // Still cut off, the handler was dropped and never came to its end.
    assert_eq!(slow.counts(), (1, 0));
    storage.set(Fault::None);
    let status = status(&queue, 1).await;
    assert_eq!((status.output, status.job.deliveries), (Some(101), 2));
    cut_off.shutdown().await.unwrap();
    rival.shutdown().await.unwrap();
}

/// The whole process was paused beyond the lease: its late end has no effect on what another finished.
#[tokio::test(start_paused = true)]
async fn a_paused_worker_cannot_end_what_another_finished() {
    for fails in [false, true] {
        let (storage, queue) = faulty();
        // The renewal hears nothing, as if it did not run, and so does not end the handler; see below.
        *storage.extend.lock() = Fault::Hangs;
        let handler = move |job: JobContext<u64>| async move {
            sleep(LEASE / 2).await;
            if fails { Err(Failure::permanent("late")) } else { Ok(job.payload) }
        };
        let paused =
            Worker::builder(queue.clone(), handler).lease(LEASE).reap(false).build().unwrap().start();
        put(&queue, 1).await;
        sleep(LEASE / 3).await;
        // Meanwhile the lease is taken back and the job done by another: as a storage does it whose time ran on.
        steal(&storage.inner, queue.name()).await;
        sleep(LEASE * 3).await;
        let status = status(&queue, 1).await;
        assert_eq!((status.state, status.error), (JobState::Completed, None));
        assert_eq!(status.job.output.as_deref(), Some(&b"42"[..]));
        paused.shutdown().await.unwrap();
    }
}

/// Takes back the only lease of a queue, the second number that it gave out, and does the job.
async fn steal(storage: &MemoryStorage, queue: &QueueName) {
    let proof = (JobId::new("1").unwrap(), Token(2));
    assert_eq!(storage.extend(queue, vec![proof], Duration::ZERO).await.unwrap(), [Extended::Held]);
    assert_eq!(storage.reap(queue, 9, Bytes::new()).await.unwrap().stalled.len(), 1);
    let rival = Claim { worker: WorkerId::new("rival").unwrap(), max: 1, lease: LEASE };
    let job = storage.finish(queue, Vec::new(), Some(rival)).await.unwrap().claimed.remove(0);
    let end = End::Complete { output: "42".into(), retention: LEASE * 100 };
    let ends = vec![Finish { id: job.id, token: job.token, end }];
    assert_eq!(storage.finish(queue, ends, None).await.unwrap().outcomes, [EndOutcome::Done]);
}

/// The handler is told at the next heartbeat, and decides.
#[tokio::test(start_paused = true)]
async fn a_handler_hears_that_its_end_is_wanted() {
    for obeys in [true, false] {
        let (_, queue) = faulty();
        let handler = move |job: JobContext<u64>| async move {
            job.cancelled().await;
            assert!(job.is_cancelled());
            if obeys { Err(Failure::new("cancelled")) } else { Ok(job.payload) }
        };
        let worker = Worker::builder(queue.clone(), handler).lease(LEASE).build().unwrap().start();
        put(&queue, 1).await;
        sleep(LEASE * 2).await;
        assert_eq!(queue.cancel("1").await.unwrap(), Cancelled::Requested);
        assert_eq!(state(&queue, 1).await, JobState::Active);
        sleep(LEASE / 2).await;
        let status = queue.status("1").await.unwrap();
        assert_eq!(status.and_then(|status| status.output), (!obeys).then_some(1));
        worker.shutdown().await.unwrap();
    }
}

/// A handler that never yields to others than its own task starves nobody's lease, on a runtime with threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_keeps_its_lease() {
    let (_, queue) = faulty();
    let handler = async |job: JobContext<u64>| {
        std::thread::sleep(Duration::from_secs(3));
        Ok(job.payload)
    };
    let builder = Worker::builder(queue.clone(), handler).lease(Duration::from_secs(2));
    let worker = builder.build().unwrap().start();
    let output = queue.enqueue_and_wait("1", &1, EnqueueOptions::default(), LEASE).await;
    assert_eq!((output.unwrap(), status(&queue, 1).await.job.deliveries), (1, 1));
    worker.shutdown().await.unwrap();
}

/// A job that kills whoever takes it ends in the dead letter, with the reason.
#[tokio::test(start_paused = true)]
async fn a_job_that_kills_workers_does_not_loop() {
    let (_, queue) = faulty();
    put(&queue, 1).await;
    for _ in 0..3 {
        let slow = Slow::of(LEASE * 10);
        let worker = slow.worker(&queue).build().unwrap().start();
        sleep(LEASE / 2).await;
        assert_eq!(slow.counts(), (1, 0));
        drop(worker);
        // Long enough for the role of the reaper that died with it, and for the lease.
        let reaper = Reaper::new(&queue).run(CancellationToken::new());
        assert!(timeout(LEASE * 2, reaper).await.is_err());
    }
    let (job, error) = queue.dead_letter().inspect("1").await.unwrap().unwrap();
    assert_eq!((job.deliveries, error.kind), (3, JobErrorKind::LeaseExpired));
}
