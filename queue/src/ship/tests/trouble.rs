//! Sinks that fail, refuse and hold something else.

use super::mem_sink::Fault;
use super::*;
use crate::ship::verify::Finding;
use crate::ship::{FlushError, ShipError};

#[tokio::test(start_paused = true)]
async fn failed_and_refused_uploads_are_tried_again_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(dir.path());
    let sink = Arc::new(MemSink::default());
    let shipper = shipper(&journal, &recovery, &sink, &options().records(1).in_flight(2));
    sink.fail([Fault::Before, Fault::After, Fault::Refused, Fault::Before, Fault::Refused, Fault::After]);
    let start = tokio::time::Instant::now();
    while_running(&shipper, async {
        for number in 0..6 {
            append(&journal, SINGLE, 0, format!("r{number}")).await;
        }
        shipper.flushed().await.unwrap();
    })
    .await;
    assert!(start.elapsed() >= Duration::from_secs(180), "a refused one waits for minutes");
    assert_eq!(sink.texts(), ["r0", "r1", "r2", "r3", "r4", "r5"]);
    assert_eq!(sink.findings().await, []);
    let stats = shipper.stats();
    assert_eq!((stats.retries, stats.refusals, stats.conflicts, stats.batches), (4, 2, 0, 6));
}

#[tokio::test]
async fn acknowledgements_are_in_order_and_few_batches_wait_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(dir.path());
    let sink = Arc::new(MemSink::default());
    let shipper = shipper(&journal, &recovery, &sink, &options().records(1).in_flight(3));
    sink.hold(Some("-00000000000000000001-"));
    while_running(&shipper, async {
        let first = append(&journal, SINGLE, 0, "r0").await;
        for number in 1..9 {
            append(&journal, SINGLE, 0, format!("r{number}")).await;
        }
        sink.has_been_called(4).await;
        while sink.keys().len() < 3 || journal.acknowledged() < first.end {
            tokio::task::yield_now().await;
        }
        assert_eq!(journal.acknowledged(), first.end, "the second one holds the others");
        assert_eq!(shipper.flush(Duration::from_millis(20)).await, Err(FlushError::Late));
        assert_eq!((sink.keys().len(), shipper.stats().in_flight), (3, 3), "and no more are sent");
        assert!(shipper.stats().oldest_unshipped.is_none(), "these records say no time");
    })
    .await;
    assert_eq!(shipper.flush(Duration::from_secs(9)).await, Err(FlushError::Ended));
}

#[tokio::test]
async fn a_key_that_is_taken_is_an_alarm_and_the_batch_goes_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(dir.path());
    let sink = Arc::new(MemSink::default());
    let taken = "year=1970/month=01/day=01/hour=00/node-00000000000000000000-00000000000000000000.jsonl";
    sink.insert(taken, b"{\"text\":\"foreign\"}\n");
    let shipper = shipper(&journal, &recovery, &sink, &options().records(1));
    while_running(&shipper, async {
        append(&journal, SINGLE, 0, "mine").await;
        append(&journal, SINGLE, 0, "next").await;
        shipper.flushed().await.unwrap();
    })
    .await;
    assert_eq!(sink.object(taken), "{\"text\":\"foreign\"}\n");
    assert_eq!(sink.texts(), ["mine", "foreign", "next"]);
    assert_eq!(shipper.stats().conflicts, 1);
    let wanted = [Finding::Conflict, Finding::Duplicate { records: 0..1 }, Finding::Unchained { line: 1 }];
    assert_eq!(sink.findings().await, wanted);
}

#[tokio::test]
async fn it_ends_on_request_and_with_the_journal_and_starts_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(dir.path());
    let sink = Arc::new(MemSink::default());
    sink.hold(Some("node"));
    let shipper = shipper(&journal, &recovery, &sink, &options().records(1));
    append(&journal, SINGLE, 0, "x").await;
    shipper.run(sink.has_been_called(1)).await.unwrap();
    assert_eq!(shipper.flushed().await, Err(FlushError::Ended));
    assert!(matches!(shipper.run(std::future::pending()).await, Err(ShipError::Started)));
    sink.hold(None);
    journal.shutdown().await.unwrap();

    let (journal, recovery) = open(dir.path());
    let again = self::shipper(&journal, &recovery, &sink, &options());
    journal.shutdown().await.unwrap();
    assert!(matches!(again.run(std::future::pending()).await, Err(ShipError::Journal(_))));
    let (journal, mut recovery) = open(dir.path());
    recovery.mark = "other".into();
    let other = Shipper::new(journal, &recovery, Arc::new(Plain), sink, None, &options());
    assert!(matches!(other, Err(ShipError::Mark)));
}
