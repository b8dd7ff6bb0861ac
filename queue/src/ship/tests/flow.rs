//! What happens when nothing is broken.

use super::*;
use crate::ship::{FlushError, ObjectName};

#[tokio::test(start_paused = true)]
async fn batches_are_complete_by_count_by_age_and_on_flush() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(dir.path());
    let sink = Arc::new(MemSink::default());
    let shipper = shipper(&journal, &recovery, &sink, &options().records(3));
    for number in 0..7 {
        append(&journal, BEGIN, number, "a").await;
        append(&journal, END, number, number).await;
    }
    while_running(&shipper, async {
        // The seventh is alone, and leaves after five seconds, which pass at once here.
        sink.has_been_called(3).await;
        append(&journal, SINGLE, 0, "last").await;
        shipper.flushed().await.unwrap();
        shipper.flushed().await.unwrap();
    })
    .await;
    let ranges: Vec<String> = sink
        .keys()
        .iter()
        .map(|key| key.rsplit('/').next().unwrap().replace("000000000000000000", ""))
        .collect();
    assert_eq!(ranges, ["node-00-02.jsonl", "node-03-05.jsonl", "node-06-06.jsonl", "node-07-07.jsonl"]);
    assert_eq!(sink.texts(), ["a+0", "a+1", "a+2", "a+3", "a+4", "a+5", "a+6", "last"]);
    assert_eq!(sink.findings().await, []);
    let stats = shipper.stats();
    assert_eq!((stats.records, stats.batches, stats.in_flight), (8, 4, 0));
    assert_eq!((stats.oldest_unshipped, stats.retries), (None, 0));
    assert_eq!(shipper.flush(Duration::from_secs(1)).await, Err(FlushError::Ended), "nobody runs it");
}

#[tokio::test(start_paused = true)]
async fn batches_end_with_the_hour_and_before_they_grow_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(dir.path());
    let sink = Arc::new(MemSink::default());
    let shipper = shipper(&journal, &recovery, &sink, &options().bytes(5));
    // Without a time, in the first hour, in the next one, in one before, which counts as the same.
    for body in ["none", "5", "6", "2", "large enough", "x"] {
        append(&journal, SINGLE, 0, body).await;
    }
    while_running(&shipper, async { shipper.flushed().await.unwrap() }).await;
    let name = |key: &String| ObjectName::parse(key).unwrap();
    let places: Vec<_> = sink.keys().iter().map(|key| (key[26..33].to_owned(), name(key).first)).collect();
    let wanted = [("hour=05", 0), ("hour=06", 2), ("hour=06", 4), ("hour=06", 5)];
    assert_eq!(places, wanted.map(|(hour, first)| (hour.to_owned(), first)));
}

#[tokio::test]
async fn frames_that_are_far_apart_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(dir.path());
    let sink = Arc::new(MemSink::default());
    let shipper = shipper(&journal, &recovery, &sink, &options().cache(10));
    while_running(&shipper, async {
        append(&journal, BEGIN, 1, "long").await;
        append(&journal, PART, 1, "er").await;
        for _ in 0..100 {
            append(&journal, SINGLE, 0, "x".repeat(200)).await;
        }
        append(&journal, BEGIN, 2, "two").await;
        append(&journal, END, 1, "end").await;
        shipper.flushed().await.unwrap();
    })
    .await;
    assert_eq!(sink.texts().last().unwrap(), "long+er+end");
    assert!(journal.stats().segments < 4, "what is shipped is removed: {:?}", journal.stats());
}

#[tokio::test]
async fn an_idle_journal_holds_nothing_and_the_chain_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(MemSink::default());
    let options = options();
    for round in 0..3 {
        let small = journal::Options::new(dir.path()).segment_bytes(64 * 1024).idle_after(Duration::ZERO);
        let (journal, recovery) = Journal::open(small).unwrap();
        let shipper = shipper(&journal, &recovery, &sink, &options);
        while_running(&shipper, async {
            append(&journal, SINGLE, 0, "y".repeat(10_000 + round)).await;
            shipper.flushed().await.unwrap();
            while journal.stats().bytes_on_disk > 4096 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        journal.shutdown().await.unwrap();
    }
    assert_eq!(sink.texts().len(), 3);
    assert_eq!(sink.findings().await, []);
}
