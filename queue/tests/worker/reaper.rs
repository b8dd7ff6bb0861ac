//! Several reapers elect one; one that can't keep its role steps down by its own clock.

use std::time::Duration;

use lockstep_queue::jobs::Reaper;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::faulty::Fault;
use super::{LEASE, Slow, faulty, others, put, status};

const INTERVAL: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn one_does_the_work_and_another_takes_over_at_once() {
    let (storage, queue) = faulty();
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(Reaper::new(&queue).interval(INTERVAL).run(stop.clone()));
    sleep(Duration::from_secs(1)).await;
    let (second_stop, second) = (CancellationToken::new(), Reaper::new(&queue).interval(INTERVAL));
    tasks.spawn(second.run(second_stop.clone()));
    sleep(INTERVAL * 10).await;
    // One look each interval, by one of them.
    let looks = *storage.reaps.lock();
    assert!((10..=12).contains(&looks), "{looks}");
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    sleep(INTERVAL * 2).await;
    assert!(*storage.reaps.lock() > looks);
    second_stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
}

/// The name of a worker is for people, and several may have the same.
#[tokio::test(start_paused = true)]
async fn of_workers_with_one_name_one_does_the_work() {
    let (storage, queue) = faulty();
    let worker = || Slow::default().worker(&queue).name("host").build().unwrap().start();
    let workers = [worker(), worker()];
    sleep(INTERVAL * 10).await;
    let looks = *storage.reaps.lock();
    assert!((10..=12).contains(&looks), "{looks}");
    for worker in workers {
        worker.shutdown().await.unwrap();
    }
}

/// Its renewals fail, but its upkeep would work: once its time is over, it does no more, and another leads alone.
#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_steps_down() {
    let (storage, queue) = faulty();
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(Reaper::new(&queue).interval(INTERVAL).run(stop.clone()));
    sleep(INTERVAL * 2).await;
    for fault in [Fault::Unreachable, Fault::AnswerLost] {
        *storage.lead.lock() = fault;
        sleep(INTERVAL * 4).await;
        let looks = *storage.reaps.lock();
        sleep(INTERVAL * 10).await;
        assert_eq!(*storage.reaps.lock(), looks);
        *storage.lead.lock() = Fault::None;
        sleep(INTERVAL * 4).await;
        assert!(*storage.reaps.lock() > looks);
    }
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
}

/// No event is needed, and no worker that is still known: the periodic look finds every expired lease.
#[tokio::test(start_paused = true)]
async fn jobs_of_dead_workers_are_found_by_looking() {
    let (storage, queue) = faulty();
    let dead = Slow::of(LEASE * 100).worker(&queue).build().unwrap().start();
    put(&queue, 1).await;
    sleep(Duration::from_secs(1)).await;
    drop(dead);
    // Nobody is there for a long time.
    sleep(LEASE * 1000).await;
    let worker = Slow::default().worker(&others(&storage)).build().unwrap().start();
    assert_eq!(queue.wait("1", LEASE).await.unwrap(), 1);
    assert_eq!(status(&queue, 1).await.job.deliveries, 2);
    worker.shutdown().await.unwrap();
}
