//! A disk that is full or broken.

use super::*;
use crate::journal::JournalError;

#[test]
fn a_full_disk_rejects_until_there_is_room_and_takes_acknowledgements() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, SINGLE, 0, b"first");
    disk.set(|faults| faults.room = Some(10_000));
    let mut kept = vec![b"first".to_vec()];
    let mut last = Position::START;
    let error = loop {
        match journal.append(SINGLE, 0, vec![1; 700]).wait() {
            Ok(outcome) => last = outcome.receipt().unwrap().end,
            Err(error) => break error,
        }
        kept.push(vec![1; 700]);
    };
    assert!(matches!(error, JournalError::DiskFull(_)), "{error}");
    assert!(journal.append(SINGLE, 0, vec![2; 700]).wait().is_err());
    assert_eq!(bodies(&read(&journal, Position::START)), kept);
    disk.set(|faults| faults.room = Some(0));
    let files = disk.files(".seg").len();
    journal.acknowledge(last).wait().unwrap();
    assert!(disk.files(".seg").len() < files);
    append(&journal, SINGLE, 0, &[3; 700]);
    drop(journal);
    let (journal, recovery) = open(&disk.copy());
    assert!(recovery.gaps.is_empty() && recovery.cut.is_none(), "{recovery:?}");
    assert_eq!(bodies(&read(&journal, last)), [vec![3; 700]]);
}

#[test]
fn a_write_that_stops_halfway_leaves_no_trace() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, BEGIN, 1, b"");
    // A frame that is larger than a segment grows the file.
    disk.set(|faults| faults.room = Some(9000));
    assert!(journal.append(END, 1, vec![9; 20_000]).wait().unwrap_err().is_full());
    disk.set(|faults| faults.room = None);
    assert_eq!(append(&journal, END, 1, b"short").stamp.unwrap().seq, 0);
    let traces = |path: &std::path::PathBuf| disk.read(path).windows(16).any(|bytes| bytes == [9; 16]);
    assert!(!disk.files(".seg").iter().any(traces));
    drop(journal);
    let (journal, recovery) = open(&disk);
    assert!(recovery.gaps.is_empty() && recovery.cut.is_none() && recovery.open_groups.is_empty());
    assert_eq!(bodies(&read(&journal, Position::START)), [&b""[..], b"short"]);
}

#[test]
fn short_writes_are_gone_on_with() {
    let disk = MemDisk::default();
    disk.set(|faults| faults.short_writes = Some(7));
    let (journal, _) = open(&disk);
    let wanted: Vec<Vec<u8>> = (0..50u8).map(|byte| vec![byte; 300]).collect();
    for body in &wanted {
        append(&journal, SINGLE, 0, body);
    }
    drop(journal);
    assert_eq!(bodies(&read(&open(&disk).0, Position::START)), wanted);
}

#[test]
fn a_failed_write_is_refused_and_the_next_one_tried() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    disk.set(|faults| faults.fail_writes = true);
    let error = journal.append(SINGLE, 0, "lost").wait().unwrap_err();
    assert!(matches!(error, JournalError::Write(_)), "{error}");
    disk.set(|faults| faults.fail_writes = false);
    append(&journal, SINGLE, 0, b"kept");
    drop(journal);
    assert_eq!(bodies(&read(&open(&disk).0, Position::START)), [b"kept"]);
}

#[tokio::test]
async fn a_failed_sync_poisons_the_journal_for_everybody() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    journal.append(SINGLE, 0, "kept").await.unwrap();
    disk.set(|faults| faults.fail_sync = true);
    let waiting = (0..10).map(|_| journal.append(SINGLE, 0, "uncertain"));
    for outcome in futures::future::join_all(waiting).await {
        assert!(matches!(outcome, Err(JournalError::Poisoned(_))));
    }
    disk.set(|faults| faults.fail_sync = false);
    assert!(matches!(journal.append(SINGLE, 0, "").await, Err(JournalError::Poisoned(_))));
    assert!(matches!(journal.acknowledge(Position::START).await, Err(JournalError::Poisoned(_))));
    let mut reader = journal.reader(Position::START);
    assert_eq!(reader.next().await.unwrap().unwrap().into_frame().unwrap().body, "kept");
    assert!(matches!(reader.next().await, Err(JournalError::Poisoned(_))));
    assert!(matches!(journal.shutdown().await, Err(JournalError::Poisoned(_))));
    let (journal, _) = open(&disk);
    journal.append(SINGLE, 0, "again").await.unwrap();
}

#[test]
fn a_directory_that_can_not_be_synced_poisons_it_too() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    disk.set(|faults| faults.fail_dir_sync = true);
    let error = (0..20).find_map(|_| journal.append(SINGLE, 0, vec![1; 1000]).wait().err());
    assert!(matches!(error, Some(JournalError::Poisoned(_))));
}

#[test]
fn an_unreadable_disk_is_said_so_and_tried_again() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, SINGLE, 0, b"here");
    let mut reader = journal.reader(Position::START);
    disk.set(|faults| faults.fail_reads = true);
    assert!(matches!(reader.try_next(), Err(JournalError::Read(_))));
    disk.set(|faults| faults.fail_reads = false);
    assert_eq!(reader.try_next().unwrap().unwrap().into_frame().unwrap().body, "here");
}

#[test]
fn one_sync_serves_all_that_wait() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    let before = disk.syncs();
    let waiting: Vec<_> = (0..1000).map(|_| journal.append(SINGLE, 0, "")).collect();
    for append in waiting {
        append.wait().unwrap();
    }
    assert!(disk.syncs() - before < 900);
}
