//! Servers that can't or won't.

use std::time::{Duration, Instant};

use bytes::Bytes;
use lockstep_queue::jobs::{
    Cancelled, End, Finish, NewJob, QueueName, RedisOptions, RedisStorage, Settings, Storage, StorageError,
    WorkerId,
};

use crate::kit::{LONG, complete, hasty, id, job, open, put, queue, state, wish};
use crate::server::{Flavour, Server};

#[tokio::test]
async fn nobody_there() {
    let mut server = Server::start(Flavour::Redis, &[]);
    server.kill();
    let error = RedisStorage::connect(hasty(server.url())).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    let error = RedisStorage::connect(RedisOptions::new("http://x")).await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }), "{error:?}");
}

/// A server that accepts and says nothing.
#[tokio::test]
async fn nobody_answers() {
    let server = Server::start(Flavour::Redis, &[]);
    let options = RedisOptions { timeout: Duration::from_millis(200), ..hasty(server.url()) };
    let storage = RedisStorage::connect(options.clone()).await.unwrap();
    server.signal("STOP");
    let error = put(&storage, "a").await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    let error = RedisStorage::connect(options).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    server.signal("CONT");
    put(&storage, "b").await.unwrap();
}

#[tokio::test]
async fn a_wrong_password() {
    let server = Server::start(Flavour::Redis, &["--requirepass", "secret"]);
    let with = |password: &str| server.url().replace("//", &format!("//:{password}@"));
    let error = RedisStorage::connect(hasty(with("other"))).await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }) && !error.is_transient(), "{error:?}");
    put(&open(with("secret")).await, "a").await.unwrap();
}

#[tokio::test]
async fn a_replica_alone() {
    let primary = Server::start(Flavour::Valkey, &[]);
    let replica = Server::replica_of(&primary, &[]);
    let error = RedisStorage::connect(hasty(replica.url())).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_layout() {
    let server = Server::start(Flavour::Redis, &[]);
    let storage = open(server.url()).await;
    server.ask("SET lockstep:schema 2").unwrap();
    let error = RedisStorage::connect(hasty(server.url())).await.unwrap_err();
    assert!(matches!(error, StorageError::NewerSchema { found: 2, known: 1 }), "{error:?}");
    // Also one that was connected before finds it when it connects again.
    server.ask("CLIENT KILL TYPE normal").unwrap();
    let error = put(&storage, "a").await.unwrap_err();
    assert!(matches!(error, StorageError::NewerSchema { .. }), "{error:?}");
    server.ask("SET lockstep:schema what").unwrap();
    let error = RedisStorage::connect(hasty(server.url())).await.unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
}

/// Out of memory, nothing more is taken; what is there is done and forgotten, and makes room.
#[tokio::test]
async fn no_memory() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let server = Server::start(flavour, &[]);
        fill(&server).await;
        // Also a process that starts now.
        let storage = open(server.url()).await;
        let error = put(&storage, "new").await.unwrap_err();
        assert!(matches!(error, StorageError::Full(_)) && error.is_transient(), "{error:?}");
        assert_eq!(state(&storage, "new").await, None);
        let other = QueueName::new("other").unwrap();
        let paused = Settings { paused: true, ..Settings::default() };
        storage.configure(&other, paused).await.unwrap();
        let reaper = WorkerId::new("reaper").unwrap();
        assert!(storage.lead(&other, &reaper, LONG).await.unwrap());
        storage.resign(&other, &reaper).await.unwrap();
        storage.wait_for_work(&other, Duration::from_millis(500)).await.unwrap();
        assert_eq!(storage.cancel(&queue(), &id("0")).await.unwrap(), Cancelled::Done);

        let mut ends = vec![];
        loop {
            let finished = storage.finish(&queue(), ends, wish(100)).await.unwrap();
            if finished.claimed.is_empty() {
                break;
            }
            let leases = finished.claimed.iter().map(|job| (job.id.clone(), job.token)).collect();
            storage.extend(&queue(), leases, LONG).await.unwrap();
            let end = End::Complete { output: Bytes::new(), retention: Duration::ZERO };
            ends = finished.claimed.iter().map(|job| Finish { end: end.clone(), ..complete(job) }).collect();
        }
        while storage.reap(&queue(), 500, Bytes::new()).await.unwrap().more {}
        // The server frees in the background.
        let begun = Instant::now();
        while put(&storage, "new").await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no room was made");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Fills a server with jobs, until it has less memory than it uses.
async fn fill(server: &Server) {
    let storage = open(server.url()).await;
    for hundred in 0..10 {
        let large = |number: usize| NewJob { payload: vec![7; 10_000].into(), ..job(&number.to_string()) };
        let jobs = (hundred * 100..hundred * 100 + 100).map(large).collect();
        storage.enqueue(&queue(), jobs).await.unwrap();
    }
    storage.close().await.unwrap();
    let memory = server.ask("INFO memory").unwrap();
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let limit = used.trim().parse::<u64>().unwrap() - 5_000_000;
    server.ask(&format!("CONFIG SET maxmemory {limit}")).unwrap();
}

/// What is not ours is said to be so.
#[tokio::test]
async fn something_else_in_the_place_of_a_job() {
    let server = Server::start(Flavour::Redis, &[]);
    let storage = open(server.url()).await;
    put(&storage, "a").await.unwrap();
    server.ask("HSET \"lockstep:{%7Bmail%7D: é}:job:a\" header short").unwrap();
    let error = storage.get(&queue(), &crate::kit::id("a")).await.unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }) && !error.is_transient(), "{error:?}");
}
