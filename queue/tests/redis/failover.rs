//! A replica takes the place of the primary. Replication is asynchronous: what the primary acknowledged and had not yet
//! sent is lost, unless the storage waits for replicas.

use std::error::Error as _;
use std::time::Duration;

use futures::StreamExt as _;
use lockstep_queue::jobs::{
    Claimed, End, Enqueued, Event, Extended, Finish, JobState, NotReplicated, RedisOptions, RedisStorage,
    Settings, Storage as _, StorageError, WaitReplicas,
};

use crate::kit::{open, put, queue, state, take, wish};
use crate::load::Load;
use crate::proxy::Proxy;
use crate::server::{Flavour, Server};

fn addresses(primary: &Server, replica: &Server) -> RedisOptions {
    RedisOptions { urls: vec![primary.url(), replica.url()], ..RedisOptions::new("") }
}

fn safe(options: RedisOptions) -> RedisOptions {
    let wait = WaitReplicas { count: 1, timeout: Duration::from_secs(2) };
    RedisOptions { wait_replicas: Some(wait), ..options }
}

/// The replica hears no more of the primary.
fn part(primary: &Server, replica: &Server) {
    replica.signal("STOP");
    primary.ask("CLIENT KILL TYPE replica").unwrap();
}

/// The primary is gone, and the replica takes its place.
fn fail_over(primary: &mut Server, replica: &Server) {
    primary.kill();
    replica.signal("CONT");
    replica.until("REPLICAOF NO ONE", "OK");
}

#[tokio::test]
async fn what_no_replica_has_is_lost() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let mut primary = Server::start(flavour, &[]);
        let replica = Server::replica_of(&primary, &[]);
        let storage = RedisStorage::connect(addresses(&primary, &replica)).await.unwrap();
        assert!(matches!(put(&storage, "before").await.unwrap(), Enqueued::New(_)));
        wait_until_replicated(&primary);
        part(&primary, &replica);
        let acknowledged = put(&storage, "after").await.unwrap();
        assert!(matches!(acknowledged, Enqueued::New(_)));
        fail_over(&mut primary, &replica);
        assert_eq!(state(&storage, "before").await, Some(JobState::Waiting));
        assert_eq!(state(&storage, "after").await, None, "it was acknowledged, and is lost");
    }
}

#[tokio::test]
async fn what_a_replica_has_is_kept() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let mut primary = Server::start(flavour, &[]);
        let replica = Server::replica_of(&primary, &[]);
        let storage = RedisStorage::connect(safe(addresses(&primary, &replica))).await.unwrap();
        assert!(matches!(put(&storage, "before").await.unwrap(), Enqueued::New(_)));
        part(&primary, &replica);
        let error = put(&storage, "after").await.unwrap_err();
        let StorageError::Unavailable { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(
            source.downcast_ref::<NotReplicated>(),
            Some(&NotReplicated { wanted: 1, reached: 0 }),
            "it is not acknowledged: {error}"
        );
        assert!(error.is_transient() && error.source().is_some());
        // What is delivered again when it gets lost is not held up, nor thrown away when it is done.
        let Claimed { id, token, .. } = take(&storage).await;
        let lease = Duration::from_secs(30);
        let extended = storage.extend(&queue(), vec![(id.clone(), token)], lease).await.unwrap();
        assert!(matches!(extended[0], Extended::Held), "{extended:?}");
        storage.reap(&queue(), 10, "expired".into()).await.unwrap();
        let finish = Finish { id, token, end: End::Release };
        let error = storage.finish(&queue(), vec![finish], wish(5)).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(storage.counts(&queue()).await.unwrap().active, 0, "nothing was claimed for nobody");
        fail_over(&mut primary, &replica);
        let storage = open(replica.url()).await;
        assert_eq!(state(&storage, "before").await, Some(JobState::Waiting));
        assert_eq!(state(&storage, "after").await, None);
    }
}

/// The address stays and leads to another server, while the connection that listens to the old one lives on.
#[tokio::test]
async fn events_come_from_the_server_that_took_the_place() {
    let (old, new) = (Server::start(Flavour::Redis, &[]), Server::start(Flavour::Redis, &[]));
    let proxy = Proxy::to(&old).await;
    let storage = open(proxy.url()).await;
    let mut events = storage.events(&queue()).await.unwrap();
    put(&storage, "a").await.unwrap();
    assert_eq!(events.next().await.unwrap().job().unwrap().as_str(), "a");
    proxy.lead_to(&new);
    old.ask("CLIENT KILL TYPE normal").unwrap();
    put(&storage, "b").await.unwrap();
    let missed = async { while events.next().await.unwrap() != Event::Missed {} };
    tokio::time::timeout(Duration::from_secs(30), missed).await.unwrap();
    put(&storage, "c").await.unwrap();
    let told = async { while events.next().await.unwrap().job().is_none_or(|job| job.as_str() != "c") {} };
    tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
}

/// A connection breaks between a change and the wait for its replicas, and by then another call has found the server
/// that took the place, whose replicas know nothing of the change.
#[tokio::test]
async fn replicas_are_waited_for_where_the_change_was_made() {
    let (old, new) = (Server::start(Flavour::Redis, &[]), Server::start(Flavour::Redis, &[]));
    let _replicas = [Server::replica_of(&old, &[]), Server::replica_of(&new, &[])];
    let proxy = Proxy::to(&old).await;
    let storage = RedisStorage::connect(safe(RedisOptions::new(proxy.url()))).await.unwrap();
    let settings = |max_jobs| Settings { max_jobs: Some(max_jobs), ..Settings::default() };
    storage.configure(&queue(), settings(1)).await.unwrap();
    let queue = queue();
    let mut change = storage.configure(&queue, settings(2));
    assert!(futures::poll!(&mut change).is_pending());
    // It is done, and the answer is there, though nobody has looked at it.
    let direct = open(old.url()).await;
    while direct.settings(&queue).await.unwrap() != settings(2) {}
    direct.settings(&queue).await.unwrap();
    proxy.lead_to(&new);
    old.ask("CLIENT KILL TYPE normal").unwrap();
    storage.counts(&queue).await.unwrap();
    change.await.unwrap();
    assert_eq!(open(new.url()).await.settings(&queue).await.unwrap(), settings(2), "it was acknowledged");
}

/// Under load, everything that was acknowledged is there after the failover, and the work goes on with the replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_with_the_replica() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let mut primary = Server::start(flavour, &[]);
        let replica = Server::replica_of(&primary, &[]);
        // It is to stay safe after the failover too.
        let second = Server::replica_of(&replica, &[]);
        let load = Load::start(&RedisStorage::connect(safe(addresses(&primary, &replica))).await.unwrap());
        load.goes_on(200).await;
        fail_over(&mut primary, &replica);
        load.goes_on(200).await;
        load.ends_with_nothing_lost().await;
        drop(second);
    }
}

fn wait_until_replicated(primary: &Server) {
    // A connection waits for what it wrote itself, and thus for all before that.
    primary.until("SET probe 1\r\nWAIT 1 5000", ":1");
}
