//! Servers that can't or won't.

use std::time::Duration;

use bytes::Bytes;
use lockstep_queue::jobs::{JobState, NewJob, RedisOptions, RedisStorage, Storage, StorageError};

use crate::kit::{hasty, job, open, put, queue, state, take};
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

/// A step that can't be written is not begun.
#[tokio::test]
async fn no_memory() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let server = Server::start(flavour, &[]);
        let storage = open(server.url()).await;
        put(&storage, "a").await.unwrap();
        server.ask("CONFIG SET maxmemory 1").unwrap();
        let large = NewJob { payload: Bytes::from(vec![7; 1 << 20]), ..job("b") };
        let error = storage.enqueue(&queue(), vec![large]).await.unwrap_err();
        assert!(matches!(error, StorageError::Full(_)) && error.is_transient(), "{error:?}");
        let error = storage.finish(&queue(), vec![], crate::kit::wish(1)).await.unwrap_err();
        assert!(matches!(error, StorageError::Full(_)), "{error:?}");
        server.ask("CONFIG SET maxmemory 0").unwrap();
        assert_eq!(state(&storage, "a").await, Some(JobState::Waiting));
        assert_eq!(state(&storage, "b").await, None);
        assert_eq!(take(&storage).await.id.as_str(), "a");
    }
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
