//! The answer to a step is lost: it was done, and is asked for again.

use lockstep_queue::jobs::EndOutcome::{Done, Lost};
use lockstep_queue::jobs::{Cancelled, Enqueued, JobState, Settings, Storage, StorageError};

use crate::kit::{complete, id, job, open, put, queue, retry, state, take, wish};
use crate::proxy::Proxy;
use crate::server::Flavour::Redis;
use crate::server::Server;

#[tokio::test]
async fn an_enqueue_does_not_find_itself() {
    let server = Server::start(Redis, &[]);
    let proxy = Proxy::to(&server).await;
    let storage = open(proxy.url()).await;
    let first = put(&storage, "first").await.unwrap();
    assert!(matches!(first, Enqueued::New(_)));
    proxy.swallow(1);
    let jobs = vec![job("a"), job("first"), job("a"), job("b")];
    let answers = storage.enqueue(&queue(), jobs).await.unwrap();
    assert!(proxy.has_swallowed());
    use Enqueued::{Duplicate, New};
    let waiting = Duplicate(JobState::Waiting);
    assert!(
        matches!(&answers[..], [New(a), first, again, New(b)]
        if *first == waiting && *again == waiting && a < b),
        "{answers:?}"
    );
    assert_eq!(storage.counts(&queue()).await.unwrap().waiting, 3);
    assert_eq!(put(&storage, "a").await.unwrap(), Duplicate(JobState::Waiting), "another call is another");
}

/// A full queue is not full for those whose jobs filled it.
#[tokio::test]
async fn an_enqueue_that_filled_the_queue_fits_in() {
    let server = Server::start(Redis, &[]);
    let proxy = Proxy::to(&server).await;
    let storage = open(proxy.url()).await;
    storage.configure(&queue(), Settings { max_jobs: Some(2), ..Settings::default() }).await.unwrap();
    proxy.swallow(1);
    let answers = storage.enqueue(&queue(), vec![job("a"), job("b")]).await.unwrap();
    assert!(proxy.has_swallowed());
    assert!(matches!(answers[..], [Enqueued::New(_), Enqueued::New(_)]), "{answers:?}");
    assert!(matches!(put(&storage, "c").await, Err(StorageError::QueueFull { limit: 2 })));
}

#[tokio::test]
async fn an_end_that_took_effect_says_so() {
    let server = Server::start(Redis, &[]);
    let proxy = Proxy::to(&server).await;
    let storage = open(proxy.url()).await;
    for name in ["a", "b", "c"] {
        put(&storage, name).await.unwrap();
    }
    let claimed = storage.finish(&queue(), vec![], wish(2)).await.unwrap().claimed;
    let stale = lockstep_queue::jobs::Token(claimed[0].token.0 - 1);
    let stale = lockstep_queue::jobs::Finish { token: stale, ..complete(&claimed[0]) };
    proxy.swallow(1);
    let ends = vec![complete(&claimed[0]), retry(&claimed[1])];
    let finished = storage.finish(&queue(), ends.clone(), wish(1)).await.unwrap();
    assert!(proxy.has_swallowed());
    assert_eq!(finished.outcomes, [Done, Done]);
    assert_eq!(state(&storage, "a").await, Some(JobState::Completed));
    let finished = storage.finish(&queue(), ends, None).await.unwrap();
    assert_eq!(finished.outcomes, [Lost, Lost], "another call with the same tokens is late");
    proxy.swallow(1);
    let finished = storage.finish(&queue(), vec![stale], None).await.unwrap();
    assert_eq!(finished.outcomes, [Lost], "a lost lease is lost the second time too");
}

/// What would answer something else the second time is not done again.
#[tokio::test]
async fn a_cancel_is_not_repeated() {
    let server = Server::start(Redis, &[]);
    let proxy = Proxy::to(&server).await;
    let storage = open(proxy.url()).await;
    put(&storage, "a").await.unwrap();
    proxy.swallow(1);
    let id = id("a");
    let storage_error = storage.cancel(&queue(), &id).await;
    // The first try does not know the script, so it is that answer that is lost: nothing was cancelled.
    assert!(matches!(storage_error, Err(StorageError::Unavailable { .. })), "{storage_error:?}");
    assert_eq!(storage.cancel(&queue(), &id).await.unwrap(), Cancelled::Done);
    put(&storage, "a").await.unwrap();
    proxy.swallow(1);
    assert!(matches!(storage.cancel(&queue(), &id).await, Err(StorageError::Unavailable { .. })));
    assert_eq!(state(&storage, "a").await, None, "it was done");
    assert!(storage.finish(&queue(), vec![], wish(1)).await.unwrap().claimed.is_empty());
}

#[tokio::test]
async fn an_extension_is_repeated() {
    let server = Server::start(Redis, &[]);
    let proxy = Proxy::to(&server).await;
    let storage = open(proxy.url()).await;
    put(&storage, "a").await.unwrap();
    let claimed = take(&storage).await;
    proxy.swallow(2);
    let lease = vec![(claimed.id.clone(), claimed.token)];
    let extended = storage.extend(&queue(), lease, crate::kit::LONG).await.unwrap();
    assert!(proxy.has_swallowed());
    assert_eq!(extended, [lockstep_queue::jobs::Extended::Held]);
}
