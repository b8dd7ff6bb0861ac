//! The server forgets scripts, or is gone for a while.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use lockstep_queue::jobs::{Event, NewJob, RedisOptions, RedisStorage, Storage, StorageError};
use tokio::task::JoinSet;

use crate::kit::{hasty, id, job, open, put, queue, state, take, wish};
use crate::load::Load;
use crate::server::{Flavour, Server};

/// Everything that the server said is done is in its log. (With `everysec` it puts off writing while the disk is busy.)
const KEEPS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_scripts_are_brought_again() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let server = Server::start(flavour, &[]);
        let load = Load::start(&open(server.url()).await);
        for _ in 0..20 {
            load.goes_on(20).await;
            server.ask("SCRIPT FLUSH").unwrap();
        }
        assert!(load.told.failures.lock().is_empty(), "{:?}", load.told.failures.lock());
        load.ends_with_nothing_lost().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_nothing() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let mut server = Server::start(flavour, &KEEPS);
        let load = Load::start(&open(server.url()).await);
        for _ in 0..5 {
            load.goes_on(50).await;
            server.kill();
            tokio::time::sleep(Duration::from_millis(30)).await;
            server.resume();
        }
        load.goes_on(50).await;
        assert!(load.told.failures.lock().is_empty(), "{:?}", load.told.failures.lock());
        load.ends_with_nothing_lost().await;
    }
}

#[tokio::test]
async fn a_server_that_stays_away_is_said_to_be_unavailable() {
    let mut server = Server::start(Flavour::Redis, &KEEPS);
    let storage = RedisStorage::connect(hasty(server.url())).await.unwrap();
    put(&storage, "a").await.unwrap();
    server.kill();
    let error = put(&storage, "b").await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }) && error.is_transient(), "{error:?}");
    server.resume();
    assert_eq!(take(&storage).await.id.as_str(), "a");
    assert_eq!(state(&storage, "b").await, None);
}

/// Many who enqueue meanwhile don't wait for each other's patience.
#[tokio::test]
async fn nobody_waits_longer_than_told_for_a_server_that_is_away() {
    let mut server = Server::start(Flavour::Redis, &KEEPS);
    let options = RedisOptions { patience: Duration::from_secs(1), ..hasty(server.url()) };
    let storage = RedisStorage::connect(options).await.unwrap();
    put(&storage, "a").await.unwrap();
    server.kill();
    let start = Instant::now();
    let queue = queue();
    let enqueues = (0..30).map(|number| {
        // Each is a step for itself.
        let large = NewJob { payload: vec![7; 1 << 20].into(), ..job(&number.to_string()) };
        storage.enqueue(&queue, vec![large])
    });
    for answer in futures::future::join_all(enqueues).await {
        assert!(matches!(answer, Err(StorageError::Unavailable { .. })), "{answer:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    server.resume();
    put(&storage, "b").await.unwrap();
}

#[tokio::test]
async fn watchers_are_told_that_they_missed_something() {
    let mut server = Server::start(Flavour::Valkey, &KEEPS);
    let storage = open(server.url()).await;
    let mut events = storage.events(&queue()).await.unwrap();
    put(&storage, "a").await.unwrap();
    assert_eq!(events.next().await.unwrap().job().unwrap().as_str(), "a");
    server.kill();
    server.resume();
    assert_eq!(events.next().await.unwrap(), Event::Missed);
    put(&storage, "b").await.unwrap();
    assert_eq!(events.next().await.unwrap().job().unwrap().as_str(), "b");
    storage.close().await.unwrap();
    assert_eq!(events.next().await, None);
}

/// Somebody who waits through a restart is woken by what is enqueued after it.
#[tokio::test]
async fn waits_outlive_a_restart() {
    let mut server = Server::start(Flavour::Redis, &KEEPS);
    let (storage, other) = (open(server.url()).await, open(server.url()).await);
    let mut wait = JoinSet::new();
    wait.spawn(async move {
        loop {
            storage.wait_for_work(&queue(), Duration::from_secs(60)).await.unwrap();
            if let Some(job) = storage.finish(&queue(), vec![], wish(1)).await.unwrap().claimed.pop() {
                return job;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.kill();
    server.resume();
    // The listener may not be back yet: then it finds the job when it is.
    put(&other, "a").await.unwrap();
    let job =
        tokio::time::timeout(Duration::from_secs(10), wait.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(job.id.as_str(), "a");
}

/// After a failover to a server whose clock is an hour behind, time goes on.
#[tokio::test]
async fn a_clock_that_went_back_goes_on() {
    let server = Server::start(Flavour::Redis, &[]);
    let storage = open(server.url()).await;
    put(&storage, "a").await.unwrap();
    let before = storage.get(&queue(), &id("a")).await.unwrap().unwrap().created_at;
    let hour = 3_600_000;
    let later = before.0 + hour;
    server.ask(&format!("HSET \"lockstep:{{%7Bmail%7D: é}}:meta\" clock {later}")).unwrap();
    let mut delayed = job("b");
    let delay = Duration::from_secs(3);
    delayed.options.delay = delay;
    storage.enqueue(&queue(), vec![delayed]).await.unwrap();
    let created = storage.get(&queue(), &id("b")).await.unwrap().unwrap().created_at;
    assert!(created.0 >= later, "it does not go back: {created:?}");
    let (first, rest) = (take(&storage).await, storage.finish(&queue(), vec![], wish(1)).await.unwrap());
    assert_eq!((first.id.as_str(), rest.claimed.len()), ("a", 0));
    let due_in = rest.next_in.unwrap();
    assert!(due_in <= delay, "{due_in:?}");
    storage.wait_for_work(&queue(), Duration::from_secs(60)).await.unwrap();
    assert_eq!(take(&storage).await.id.as_str(), "b");
    assert_eq!(storage.counts(&queue()).await.unwrap().active, 2);
}
