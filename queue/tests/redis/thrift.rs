//! What steps cost, in commands that the server gets.

use std::time::Duration;

use lockstep_queue::jobs::{JobState, Storage};

use crate::kit::{complete, job, open, queue, wish};
use crate::server::Flavour::{Redis, Valkey};
use crate::server::Server;

/// How many scripts the server has run.
fn scripts(server: &Server) -> usize {
    let stats = server.ask("INFO commandstats").unwrap();
    let counts = stats.lines().filter(|line| line.starts_with("cmdstat_eval"));
    counts.map(|line| line.split(['=', ',']).nth(1).unwrap().parse::<usize>().unwrap()).sum()
}

#[tokio::test]
async fn a_batch_is_one_round_trip() {
    for flavour in [Redis, Valkey] {
        let server = Server::start(flavour, &[]);
        let storage = open(server.url()).await;
        let jobs = |from: usize| (from..from + 100).map(|number| job(&number.to_string())).collect();
        storage.enqueue(&queue(), jobs(0)).await.unwrap();
        let claimed = storage.finish(&queue(), vec![], wish(50)).await.unwrap().claimed;
        let before = scripts(&server);
        storage.enqueue(&queue(), jobs(100)).await.unwrap();
        let ends = claimed.iter().map(complete).collect();
        let finished = storage.finish(&queue(), ends, wish(50)).await.unwrap();
        assert_eq!(finished.claimed.len(), 50);
        assert_eq!(scripts(&server) - before, 2);
    }
}

#[tokio::test]
async fn waiting_costs_nothing() {
    let server = Server::start(Redis, &[]);
    let storage = open(server.url()).await;
    storage.wait_for_work(&queue(), Duration::from_millis(100)).await.unwrap();
    let before = scripts(&server);
    let queue = queue();
    let waits = (0..10).map(|_| storage.wait_for_work(&queue, Duration::from_secs(1)));
    futures::future::try_join_all(waits).await.unwrap();
    assert_eq!(scripts(&server) - before, 10, "each looks once");
}

/// What is done to a job touches that job and the ends of orders: the time does not grow with the queue.
#[tokio::test]
async fn nothing_is_left_of_forgotten_jobs() {
    let server = Server::start(Redis, &[]);
    let storage = open(server.url()).await;
    let mut jobs: Vec<_> = (0..200).map(|number| job(&number.to_string())).collect();
    jobs.iter_mut().for_each(|job| job.options.delay = Duration::from_millis(1));
    storage.enqueue(&queue(), jobs).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let claimed = storage.finish(&queue(), vec![], wish(200)).await.unwrap().claimed;
    let ends = claimed.iter().map(complete).collect();
    storage.finish(&queue(), ends, None).await.unwrap();
    for job in storage.list(&queue(), JobState::Completed, None, 500).await.unwrap() {
        assert!(storage.set_retention(&queue(), &job.id, Duration::ZERO).await.unwrap());
    }
    let mut forgotten = 0;
    while let reaped = storage.reap(&queue(), 64, bytes::Bytes::new()).await.unwrap()
        && reaped.forgotten > 0
    {
        assert!(reaped.forgotten <= 64);
        forgotten += reaped.forgotten;
    }
    assert_eq!(forgotten, 200);
    let keys = server.ask("DBSIZE").unwrap();
    assert!(keys.starts_with(":3\r"), "the settings of the queue, all queues, and the schema: {keys}");
    assert_eq!(storage.queues().await.unwrap(), []);
}

/// Limits that no answer could fulfil are as good as none.
#[tokio::test]
async fn large_limits_are_served_in_steps() {
    let server = Server::start(Valkey, &[]);
    let storage = open(server.url()).await;
    let jobs = (0..2500).map(|number| job(&number.to_string())).collect();
    storage.enqueue(&queue(), jobs).await.unwrap();
    assert_eq!(storage.list(&queue(), JobState::Waiting, None, usize::MAX).await.unwrap().len(), 2500);
    let claimed = storage.finish(&queue(), vec![], wish(usize::MAX)).await.unwrap().claimed;
    assert_eq!(claimed.len(), 1000);
    assert_eq!(storage.list(&queue(), JobState::Active, None, usize::MAX).await.unwrap().len(), 1000);
    let reaped = storage.reap(&queue(), usize::MAX, bytes::Bytes::new()).await.unwrap();
    assert!(!reaped.more && reaped.stalled.is_empty());
}
