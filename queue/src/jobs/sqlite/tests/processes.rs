//! Several storages on one file: to SQLite they are the same as several processes.

use std::os::unix::fs::MetadataExt as _;
use std::pin::pin;

use futures::future::maybe_done;
use futures::{StreamExt, poll};

use super::*;
use crate::jobs::{Event, Settings};

#[tokio::test]
async fn work_of_others_is_heard_of() {
    let directory = TempDir::new().unwrap();
    let (here, there) = (open(&directory).await, open(&directory).await);
    let mut events = here.events(&queue()).await.unwrap();
    let waiting = async { here.wait_for_work(&queue(), Duration::from_secs(60)).await };
    let enqueue = async { there.enqueue(&queue(), vec![job("a")]).await.unwrap() };
    let (waited, _) = tokio::join!(tokio::time::timeout(Duration::from_secs(30), waiting), enqueue);
    waited.expect("not only when the time is over").unwrap();
    assert_eq!(events.next().await, Some(Event::Missed));
    assert_eq!(here.finish(&queue(), vec![], wish(5)).await.unwrap().claimed.len(), 1);
}

#[tokio::test]
async fn what_happens_here_is_told_in_full() {
    let directory = TempDir::new().unwrap();
    let storage = open(&directory).await;
    let events = storage.events(&queue()).await.unwrap();
    storage.enqueue(&queue(), vec![job("a")]).await.unwrap();
    let claimed = storage.finish(&queue(), vec![], wish(1)).await.unwrap().claimed;
    storage.finish(&queue(), vec![complete(&claimed[0])], None).await.unwrap();
    storage.configure(&queue(), Settings { paused: true, ..Settings::default() }).await.unwrap();
    storage.close().await.unwrap();
    let id = || JobId::new("a").unwrap();
    assert_eq!(
        events.collect::<Vec<_>>().await,
        [Event::Enqueued(id()), Event::Started(id()), Event::Completed(id()), Event::Paused]
    );
}

/// By them other programs tell whether somebody uses the file: without, an older SQLite takes itself for the last one and
/// removes the log.
#[tokio::test]
async fn a_file_opened_again_keeps_its_locks() {
    let directory = TempDir::new().unwrap();
    let _first = open(&directory).await;
    let file = std::fs::metadata(directory.path().join("jobs.db")).unwrap().ino();
    let is_locked = || std::fs::read_to_string("/proc/locks").unwrap().contains(&format!(":{file} "));
    assert!(is_locked());
    let _second = open(&directory).await;
    assert!(is_locked());
}

/// What is under way is done, whether or not somebody looks for its answer while the storage is closed.
#[tokio::test]
async fn calls_that_nobody_polls_do_not_keep_it_open() {
    let directory = TempDir::new().unwrap();
    let (storage, queue) = (open(&directory).await, queue());
    let mut write = pin!(maybe_done(storage.enqueue(&queue, vec![job("a")])));
    let mut read = pin!(maybe_done(storage.counts(&queue)));
    let _begun = (poll!(&mut write), poll!(&mut read));
    tokio::time::timeout(Duration::from_secs(30), storage.close()).await.unwrap().unwrap();
    tokio::join!(&mut write, &mut read);
    assert!(matches!(write.take_output().unwrap().unwrap()[..], [Enqueued::New(_)]));
    read.take_output().unwrap().unwrap();
}

#[tokio::test]
async fn two_storages_never_give_one_job_twice() {
    let directory = TempDir::new().unwrap();
    let storages = [open(&directory).await, open(&directory).await];
    let jobs = (0..400).map(|number| job(&number.to_string())).collect();
    storages[0].enqueue(&queue(), jobs).await.unwrap();
    let drain = async |storage: &SqliteStorage| {
        let mut seen = Vec::new();
        loop {
            let claimed = storage.finish(&queue(), vec![], wish(3)).await.unwrap().claimed;
            if claimed.is_empty() {
                return seen;
            }
            seen.extend(claimed.into_iter().map(|claimed| claimed.id));
        }
    };
    // Both get their turn; after that the file's lock may go to one of them over and over.
    let mut seen = Vec::new();
    for storage in &storages {
        let claimed = storage.finish(&queue(), vec![], wish(3)).await.unwrap().claimed;
        assert_eq!(claimed.len(), 3);
        seen.extend(claimed.into_iter().map(|claimed| claimed.id));
    }
    let (here, there) = tokio::join!(drain(&storages[0]), drain(&storages[1]));
    seen.extend(here.into_iter().chain(there));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 400);
}
