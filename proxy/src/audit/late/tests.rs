use std::path::Path;

use bytes::Bytes;
use futures::FutureExt as _;
use lockstep_queue::journal::{Kind, Options, WhenFull};
use serde_json::{Value, json};

use super::*;
use crate::ai::ledger::{End, Entry, Ledger as _, LedgerError, Outcome as Ended};
use crate::audit::contents::{BEGIN, PART};
use crate::audit::open::tests::{begin, config, end, records};
use crate::audit::{Audit, Durability};

/// Segments of four KiB: ends are refused from 16 KiB on, new calls from 12 KiB on.
fn options(dir: &Path) -> Options {
    Options::new(dir).segment_bytes(4096).max_bytes(6 * 4096)
}

fn small(dir: &Path, when_full: WhenFull) -> Audit {
    let (journal, _) = Journal::open(options(dir).when_full(when_full)).unwrap();
    Audit::on(journal, &config(), Durability::Strict)
}

fn too_much() -> Bytes {
    Bytes::from(format!("data: {}\n\n", "x".repeat(20 * 1024)))
}

/// Leaves no room for any end. Parts leave some, which the ends of other calls take.
async fn fill(journal: &Journal) {
    let groups = 1..=20;
    for group in groups.clone() {
        journal.append(BEGIN, group, "").await.unwrap();
    }
    for size in [1000, 10] {
        while journal.append(PART, 1, vec![0; size]).await.is_ok() {}
    }
    for group in groups.skip(1) {
        if journal.append(END, group, vec![0; 100]).await.is_err() {
            return;
        }
    }
    panic!("there is still room");
}

async fn begun(audit: &Audit) -> Box<dyn Entry> {
    audit.ledger.begin(begin()).await.unwrap()
}

/// The only record, once late ends had their time.
async fn record(audit: &Audit) -> Value {
    for _ in 0..2 {
        audit.late.write().await;
    }
    audit.journal.sync().await.unwrap();
    assert_eq!((audit.late.waiting(), audit.journal.stats().open_groups), (0, 0));
    let mut records = records(audit);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[tokio::test]
async fn an_answer_in_one_piece_whose_end_is_refused_was_not_given() {
    let dir = tempfile::tempdir().unwrap();
    let audit = small(dir.path(), WhenFull::Reject);
    let end = End { body: Some(too_much()), streamed: false, ..end(None) };
    assert_eq!(begun(&audit).await.end(end).await, Err(LedgerError::Full));
    assert_eq!(audit.late.waiting(), 1);
    let record = record(&audit).await;
    assert_eq!((&record["outcome"], &record["attempts"][0]["status"]), (&json!("interrupted"), &json!(200)));
    let response = &record["response"];
    assert_eq!(
        (&response["status"], &response["bytes"], &response["body"]),
        (&Value::Null, &json!(0), &Value::Null)
    );
    assert_eq!(record["request"]["body"]["model"], "m");
}

#[tokio::test]
async fn a_stream_whose_end_is_refused_tells_what_is_known_of_it() {
    for (outcome, word, bytes) in
        [(Ended::Complete, "interrupted", 0), (Ended::ClientClosed, "client_closed", too_much().len())]
    {
        let dir = tempfile::tempdir().unwrap();
        let audit = small(dir.path(), WhenFull::Reject);
        let mut entry = begun(&audit).await;
        entry.part(&too_much());
        assert_eq!(entry.end(End { outcome, ..end(None) }).await, Err(LedgerError::Full));
        let record = record(&audit).await;
        assert_eq!((&record["outcome"], &record["response"]["status"]), (&json!(word), &json!(200)));
        assert_eq!(
            (&record["response"]["truncated"], &record["response"]["bytes"]),
            (&json!(true), &json!(bytes))
        );
        assert_eq!(record["response"]["sha256"].is_string(), bytes > 0);
    }
}

#[tokio::test]
async fn ends_that_nobody_waits_for_are_looked_after() {
    for cancelled in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let audit = small(dir.path(), WhenFull::Reject);
        let mut entry = begun(&audit).await;
        entry.part(&too_much());
        if cancelled {
            let _unfinished = entry.end(end(None)).now_or_never();
        } else {
            drop(entry);
        }
        assert_eq!(audit.late.waiting(), 1);
        assert_eq!(record(&audit).await["outcome"], "interrupted");
    }
}

#[tokio::test]
async fn an_end_that_is_written_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let audit = small(dir.path(), WhenFull::Reject);
    drop(begun(&audit).await);
    assert_eq!(record(&audit).await["outcome"], "interrupted");
}

#[tokio::test]
async fn an_end_waits_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let audit = small(dir.path(), WhenFull::Reject);
    let journal = &audit.journal;
    let mut shipped = None;
    for _ in 0..2 {
        let single = journal.append(Kind::single::<9>(), 0, vec![0; 3500]).await.unwrap();
        shipped = single.receipt();
    }
    let entry = begun(&audit).await;
    fill(journal).await;
    let others = journal.stats().open_groups - 1;
    assert_eq!(entry.end(end(Some("{}"))).await, Err(LedgerError::Full));
    audit.late.write().await;
    assert_eq!(audit.late.waiting(), 1);
    journal.acknowledge(shipped.unwrap().end).await.unwrap();
    audit.late.write().await;
    assert_eq!(audit.late.waiting(), 0);
    journal.sync().await.unwrap();
    assert_eq!(journal.stats().open_groups, others);
}

#[test]
fn a_full_journal_keeps_nobody_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let audit = small(dir.path(), WhenFull::Reject);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(fill(&audit.journal));
    audit.journal.close().unwrap();
    drop(audit);
    let (journal, recovery) = Journal::open(options(dir.path())).unwrap();
    let audit = Audit::on(journal, &config(), Durability::Strict);
    audit.end_interrupted(&recovery).unwrap();
    assert!(!recovery.open_groups.is_empty());
    assert_eq!(audit.late.waiting(), recovery.open_groups.len());
    audit.journal.close().unwrap();
    audit.end_interrupted(&recovery).unwrap_err();
}

#[tokio::test]
async fn parts_that_were_dropped_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let audit = small(dir.path(), WhenFull::Drop);
    let mut entry = begun(&audit).await;
    for _ in 0..4 {
        entry.part(&too_much());
    }
    entry.end(end(None)).await.unwrap();
    let record = record(&audit).await;
    assert_eq!((&record["outcome"], &record["response"]["truncated"]), (&json!("complete"), &json!(true)));
}

#[tokio::test]
async fn a_stream_whose_parts_are_refused_is_not_brought_to_its_end() {
    for (outcome, ended, word) in [
        (Ended::Complete, Err(LedgerError::Full), "interrupted"),
        (Ended::ClientClosed, Ok(()), "client_closed"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let audit = small(dir.path(), WhenFull::Reject);
        let mut entry = begun(&audit).await;
        for _ in 0..4 {
            entry.part(&too_much());
        }
        assert_eq!(entry.end(End { outcome, ..end(None) }).await, ended);
        let record = record(&audit).await;
        assert_eq!((&record["outcome"], &record["response"]["truncated"]), (&json!(word), &json!(true)));
    }
}

#[tokio::test]
async fn what_could_not_even_wait_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let late = &small(dir.path(), WhenFull::Reject).late;
    for group in 0..MAX as u64 + 2 {
        late.keep(Late { group, head: EndHead::interrupted(), append: None });
    }
    assert_eq!((late.waiting(), late.lost()), (MAX, 2));
}

#[test]
fn what_can_not_get_better_is_not_tried_again() {
    let io = || Arc::new(std::io::Error::other("x"));
    for (error, again) in [
        (JournalError::Busy { frames: 1, bytes: 1 }, true),
        (JournalError::Full { bytes: 1, limit: 1 }, true),
        (JournalError::DiskFull(io()), true),
        (JournalError::TooLarge { len: 1, limit: 1 }, true),
        (JournalError::Poisoned(io()), false),
        (JournalError::Closed, false),
        (JournalError::NoSuchGroup(1), false),
    ] {
        assert_eq!(may_be_tried_again(&error), again, "{error}");
    }
}
