//! Several storages on one file: to SQLite they are the same as several processes.

use futures::StreamExt;

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
