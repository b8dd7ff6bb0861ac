//! A disk that is full or broken.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::journal::{Append, JournalError};

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

#[test]
fn a_write_that_is_told_to_have_failed_leaves_no_frame() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, SINGLE, 0, b"before");
    // Several frames in one write, of which the last one is whole on the disk.
    disk.set(|faults| faults.fail_late = true);
    let refused = [journal.append(BEGIN, 1, vec![8; 1500]), journal.append_unsynced(END, 1, "whole")];
    assert!(refused.into_iter().map(Append::wait).all(|outcome| outcome.is_err()));
    append(&journal, SINGLE, 0, &[7; 1467]);
    drop(journal);
    let traces = |path: &std::path::PathBuf| disk.read(path).windows(5).any(|bytes| bytes == b"whole");
    assert!(!disk.files(".seg").iter().any(traces));
    let (journal, recovery) = open(&disk);
    assert!(recovery.gaps.is_empty() && recovery.open_groups.is_empty(), "{recovery:?}");
    assert_eq!(bodies(&read(&journal, Position::START)), [&b"before"[..], &[7; 1467]]);
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
    disk.set(|faults| faults.fail_reads_beyond = Some(0));
    assert!(matches!(reader.try_next(), Err(JournalError::Read(_))));
    disk.set(|faults| faults.fail_reads_beyond = None);
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

#[test]
fn damage_after_frames_in_the_same_read_loses_none_of_them() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    let frames: Vec<_> = (0..3u8).map(|byte| append(&journal, SINGLE, 0, &[byte; 600])).collect();
    let place = usize::try_from(frames[2].position.as_u64()).unwrap();
    disk.edit(&disk.files(".seg")[0], |bytes| bytes[place + 40] ^= 1);
    let mut reader = journal.reader(Position::START);
    // The damage is looked at in a read of its own, which begins and ends elsewhere.
    disk.set(|faults| faults.fail_reads_after = Some(1));
    let first = [reader.try_next(), reader.try_next()].map(|item| item.unwrap().unwrap().end());
    assert_eq!(first, [frames[0].end, frames[1].end]);
    assert!(matches!(reader.try_next(), Err(JournalError::Read(_))));
    disk.set(|faults| faults.fail_reads_after = None);
    assert!(matches!(reader.try_next().unwrap(), Some(Item::Gap(gap)) if gap.to == frames[2].end));
}

#[test]
fn a_refused_frame_does_not_come_back_after_a_power_loss() {
    for seed in 0..50 {
        let disk = MemDisk::default();
        let (journal, _) = open(&disk);
        let mut kept = vec![append(&journal, BEGIN, 1, b"").end];
        // All in one or two batches, of which one stops in the middle.
        disk.set(|faults| {
            (faults.short_writes, faults.fail_writes_beyond) = (Some(1024), Some(2000));
        });
        let appends: Vec<_> =
            disk.while_stopped(|| (0..5).map(|_| journal.append(PART, 1, vec![9; 480])).collect());
        let receipts = appends.into_iter().filter_map(|append| append.wait().ok()?.receipt());
        kept.extend(receipts.map(|receipt| receipt.end));
        let after = disk.after_power_loss(&mut StdRng::seed_from_u64(seed));
        let found = read(&open(&after).0, Position::START);
        assert_eq!(found.iter().map(Item::end).collect::<Vec<_>>(), kept, "{seed}");
    }
}

#[test]
fn after_a_failed_sync_what_only_the_cache_holds_is_written_again() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, SINGLE, 0, b"kept");
    disk.set(|faults| faults.fail_sync = true);
    assert!(journal.append(SINGLE, 0, vec![1; 2000]).wait().is_err());
    disk.set(|faults| faults.fail_sync = false);
    drop(journal);
    let (journal, _) = open(&disk);
    let found = read(&journal, Position::START);
    append(&journal, SINGLE, 0, b"after");
    let (after, recovery) = open(&disk.after_power_loss(&mut StdRng::seed_from_u64(1)));
    assert!(recovery.gaps.is_empty(), "{recovery:?}");
    assert_eq!(read(&after, Position::START)[..found.len()], found, "what was read once stays");
}

#[test]
fn a_full_journal_asks_neither_the_disk_for_room_nor_for_a_sync_each_time() {
    let disk = MemDisk::default();
    let (journal, _) = Journal::open(options(&disk).retry_after(Duration::from_secs(3600))).unwrap();
    disk.set(|faults| faults.room = Some(0));
    let mut last = Position::START;
    while let Ok(outcome) = journal.append(SINGLE, 0, vec![1; 700]).wait() {
        last = outcome.receipt().unwrap().end;
    }
    let before = disk.syncs();
    for _ in 0..100 {
        assert!(journal.append(SINGLE, 0, vec![1; 700]).wait().unwrap_err().is_full());
    }
    assert_eq!(disk.syncs(), before);
    disk.set(|faults| faults.room = None);
    assert!(journal.append(SINGLE, 0, vec![1; 700]).wait().is_err(), "not asked yet");
    journal.acknowledge(last).wait().unwrap();
}
