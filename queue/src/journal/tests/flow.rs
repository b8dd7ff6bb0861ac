//! What users do when nothing is broken.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::journal::{Body, JournalError, OpenError, Outcome, WhenFull};

#[test]
fn contents_in_pieces_are_read_as_one() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    let pieces = ["one", "", ", two"].map(|piece| Bytes::from_static(piece.as_bytes()));
    for kind in [SINGLE, BEGIN, END] {
        let body: Body = pieces.iter().cloned().collect();
        assert_eq!((body.len(), body.is_empty()), (8, false));
        journal.append(kind, 1, body).wait().unwrap();
    }
    assert_eq!(bodies(&read(&journal, Position::START)), [b"one, two"; 3]);
}

#[test]
fn frames_are_read_in_order_and_survive_a_restart() {
    let disk = MemDisk::default();
    let (journal, recovery) = open(&disk);
    assert!(recovery.open_groups.is_empty() && recovery.gaps.is_empty() && recovery.cut.is_none());
    let id = journal.id();
    let wanted: Vec<Vec<u8>> =
        (0..200u32).map(|number| number.to_le_bytes().repeat(number as usize)).collect();
    let mut last = Position::START;
    for body in &wanted {
        let receipt = append(&journal, SINGLE, 9, body);
        assert!(receipt.position >= last && receipt.end > receipt.position);
        assert_eq!(journal.read(receipt.position).unwrap().body, body);
        last = receipt.end;
    }
    assert_eq!(bodies(&read(&journal, Position::START)), wanted);
    journal.close().unwrap();
    let (journal, recovery) = open(&disk);
    assert!(recovery.gaps.is_empty() && recovery.cut.is_none());
    assert_eq!(journal.id(), id);
    assert_eq!(bodies(&read(&journal, Position::START)), wanted);
    assert!(append(&journal, SINGLE, 0, b"more").position >= last);
    assert!(matches!(journal.read(Position::new(8)), Err(JournalError::NotFound(_))));
}

#[test]
fn groups_without_an_end_are_listed_until_they_get_one() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    let begin = append(&journal, BEGIN, 1, b"b");
    append(&journal, BEGIN, 2, b"");
    let part = append(&journal, PART, 1, b"p");
    assert_eq!(append(&journal, END, 2, b"").stamp.unwrap().seq, 0);
    let refused =
        [(BEGIN, 1), (PART, 2), (END, 3)].map(|(kind, group)| journal.append(kind, group, "").wait());
    assert!(matches!(
        refused,
        [
            Err(JournalError::GroupOpen(1)),
            Err(JournalError::NoSuchGroup(2)),
            Err(JournalError::NoSuchGroup(3))
        ]
    ));
    drop(journal);
    let (journal, recovery) = open(&disk);
    let [group] = &recovery.open_groups[..] else { panic!("{recovery:?}") };
    assert_eq!((group.group, group.has_begin), (1, true));
    assert_eq!(group.frames, [begin.position, part.position]);
    assert_eq!(journal.read(part.position).unwrap().body, "p");
    assert_eq!(append(&journal, END, 1, b"").stamp.unwrap().seq, 1);
    drop(journal);
    assert!(open(&disk).1.open_groups.is_empty());
}

#[test]
fn acknowledged_segments_go_unless_an_open_group_needs_them() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, BEGIN, 1, b"long");
    let mut last = Position::START;
    for _ in 0..30 {
        last = append(&journal, SINGLE, 0, &[1; 1000]).end;
    }
    assert!(disk.files(".seg").len() > 6);
    journal.acknowledge(last).wait().unwrap();
    assert_eq!((journal.acknowledged(), journal.stats().segments), (last, 2));
    assert_eq!(disk.files(".seg").len(), 2, "the first, for the group, and the last");
    assert!(matches!(journal.acknowledge(Position::new(1 << 40)).wait(), Err(JournalError::Beyond(_))));
    drop(journal);
    let (journal, recovery) = open(&disk);
    assert!(recovery.gaps.is_empty(), "a hole made by acknowledging is no gap: {recovery:?}");
    assert_eq!((recovery.open_groups.len(), journal.acknowledged()), (1, last));
    let end = append(&journal, END, 1, b"").end;
    assert_eq!(disk.files(".seg").len(), 2, "the end is not acknowledged");
    journal.acknowledge(end).wait().unwrap();
    assert_eq!(disk.files(".seg").len(), 1);
}

#[test]
fn an_idle_journal_lets_go_of_what_is_acknowledged() {
    let disk = MemDisk::default();
    let options = options(&disk).segment_bytes(64 * 1024).idle_after(Duration::from_millis(1));
    let (journal, _) = Journal::open(options).unwrap();
    let end = append(&journal, SINGLE, 0, &[7; 30_000]).end;
    journal.acknowledge(end).wait().unwrap();
    while journal.stats().bytes_on_disk > 4096 {
        std::thread::yield_now();
    }
    let bytes: Vec<u8> = disk.files("").iter().flat_map(|path| disk.read(path)).collect();
    assert!(!bytes.windows(16).any(|bytes| bytes == [7; 16]));
    drop(journal);
    let (journal, recovery) = open(&disk);
    assert!(recovery.gaps.is_empty());
    assert_eq!(journal.acknowledged(), end);
}

#[test]
fn a_full_journal_rejects_begins_takes_ends_and_recovers() {
    let disk = MemDisk::default();
    let (journal, _) = Journal::open(options(&disk).max_bytes(8 * 4096)).unwrap();
    append(&journal, BEGIN, 1, b"");
    let mut last = Position::START;
    let error = loop {
        match journal.append(SINGLE, 0, vec![1; 500]).wait() {
            Ok(outcome) => last = outcome.receipt().unwrap().end,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { limit: 20_480, .. }), "{error}");
    append(&journal, PART, 1, &[2; 500]);
    append(&journal, END, 1, &[2; 500]);
    assert_eq!(journal.stats().rejected, 1);
    let taken: usize = disk.files("").iter().map(|path| disk.read(path).len()).sum();
    assert!(taken <= 8 * 4096, "{taken}");
    journal.acknowledge(last).wait().unwrap();
    append(&journal, BEGIN, 1, &[1; 500]);
}

#[test]
fn parts_leave_room_for_ends() {
    let disk = MemDisk::default();
    let (journal, _) = Journal::open(options(&disk).max_bytes(8 * 4096)).unwrap();
    for group in 1..=3 {
        append(&journal, BEGIN, group, b"");
    }
    let until_refused = |kind: Kind, group: u64| loop {
        if let Err(error) = journal.append(kind, group, vec![1; 200]).wait() {
            break error;
        }
    };
    let error = until_refused(SINGLE, 0);
    assert!(matches!(error, JournalError::Full { limit: 20_480, .. }), "{error}");
    let error = until_refused(PART, 1);
    assert!(matches!(error, JournalError::Full { limit: 22_528, .. }), "{error}");
    for group in 1..=3 {
        append(&journal, END, group, &[2; 500]);
    }
}

#[test]
fn dropping_is_counted_and_covers_whole_groups() {
    let disk = MemDisk::default();
    let options = options(&disk).max_bytes(8 * 4096).when_full(WhenFull::Drop);
    let (journal, _) = Journal::open(options).unwrap();
    while journal.append(SINGLE, 0, vec![1; 500]).wait().unwrap() != Outcome::Dropped {}
    for kind in [BEGIN, PART, END] {
        assert_eq!(journal.append(kind, 5, vec![0; 500]).wait().unwrap(), Outcome::Dropped);
    }
    assert!(matches!(journal.append(PART, 5, "").wait(), Err(JournalError::NoSuchGroup(5))));
    assert_eq!((journal.stats().dropped, journal.stats().rejected), (4, 0));
}

#[test]
fn only_one_may_have_it_open() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    assert!(matches!(Journal::open(options(&disk)), Err(OpenError::Locked(_))));
    drop(journal);
    open(&disk);
    assert!(matches!(Journal::open(options(&disk).max_bytes(1)), Err(OpenError::Options(_))));
}

#[test]
fn the_operating_systems_disk_locks_and_keeps_modes() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("a/journal");
    let (journal, _) = Journal::open(Options::new(&dir).segment_bytes(8192)).unwrap();
    assert!(matches!(Journal::open(Options::new(&dir)), Err(OpenError::Locked(_))));
    for body in 0..20u8 {
        append(&journal, SINGLE, 0, &[body; 1000]);
    }
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 3 && files.iter().all(|path| mode(path) == 0o600), "{files:?}");
    journal.close().unwrap();
    let (journal, recovery) = Journal::open(Options::new(&dir)).unwrap();
    assert!(recovery.gaps.is_empty() && recovery.cut.is_none());
    assert_eq!(read(&journal, Position::START).len(), 20);
}

#[test]
fn an_unsynced_append_is_synced_soon_and_seen_by_readers_then() {
    let disk = MemDisk::default();
    let (journal, _) = Journal::open(options(&disk).sync_within(Duration::from_millis(30))).unwrap();
    let end = journal.append_unsynced(SINGLE, 0, "later").wait().unwrap().receipt().unwrap().end;
    while journal.stats().durable < end {
        std::thread::yield_now();
    }
    assert_eq!(bodies(&read(&journal, Position::START)), [b"later"]);
}

#[test]
fn a_frame_may_be_larger_than_a_segment() {
    let disk = MemDisk::default();
    let (journal, _) = Journal::open(options(&disk).max_frame(500_000)).unwrap();
    append(&journal, SINGLE, 0, b"before");
    append(&journal, SINGLE, 0, &[7; 500_000]);
    append(&journal, SINGLE, 0, b"after");
    let error = journal.append(SINGLE, 0, vec![0; 500_001]).wait().unwrap_err();
    assert!(matches!(error, JournalError::TooLarge { len: 500_001, limit: 500_000 }));
    journal.close().unwrap();
    assert!(matches!(journal.append(SINGLE, 0, "").wait(), Err(JournalError::Closed)));
    let lengths: Vec<usize> = bodies(&read(&open(&disk).0, Position::START)).iter().map(Vec::len).collect();
    assert_eq!(lengths, [6, 500_000, 5]);
}

#[tokio::test]
async fn a_reader_follows_the_head_and_ends_with_the_journal() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    let mut reader = journal.reader(Position::START);
    let following = tokio::task::JoinSet::from_iter([async move {
        let mut seen = Vec::new();
        while let Some(item) = reader.next().await.unwrap() {
            seen.push(item.into_frame().unwrap().body);
        }
        seen
    }]);
    let wanted: Vec<_> = (0..100u8).map(|byte| bytes::Bytes::from(vec![byte; 100])).collect();
    futures::future::try_join_all(wanted.iter().map(|body| journal.append(SINGLE, 0, body.clone())))
        .await
        .unwrap();
    assert!(journal.stats().commits < 60, "waiting appends share a sync");
    journal.shutdown().await.unwrap();
    assert_eq!(following.join_all().await, [wanted]);
}

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let (journal, _) = open(&MemDisk::default());
    for byte in 0..50u8 {
        journal.append(SINGLE, 0, vec![byte]).await.unwrap();
    }
    let mut reader = journal.reader(Position::START);
    let mut seen = Vec::new();
    while seen.len() < 50 {
        // Polled once, then dropped.
        if let Some(item) = futures::FutureExt::now_or_never(reader.next()) {
            seen.push(item.unwrap().unwrap().into_frame().unwrap().body[0]);
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, (0..50).collect::<Vec<u8>>());
}

#[test]
fn a_long_group_holds_its_own_segments_only() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, BEGIN, 1, b"long");
    append(&journal, BEGIN, 2, b"");
    let mut last = Position::START;
    // Each group ends in a segment after the one it began in, among frames of the next.
    for group in 2..60 {
        append(&journal, PART, group, &[1; 3000]);
        append(&journal, BEGIN, group + 1, b"");
        last = append(&journal, END, group, b"").end;
        journal.acknowledge(last).wait().unwrap();
    }
    assert!(journal.stats().segments <= 4, "{:?}", journal.stats());
    journal.close().unwrap();
    let (journal, recovery) = open(&disk);
    let open_groups: Vec<u64> = recovery.open_groups.iter().map(|group| group.group).collect();
    assert_eq!(open_groups, [1, 60], "none that ended");
    assert_eq!(journal.acknowledged(), last);
}

#[test]
fn a_dropped_end_leaves_its_group_closed() {
    let disk = MemDisk::default();
    let options = options(&disk).max_bytes(8 * 4096).when_full(WhenFull::Drop);
    let (journal, _) = Journal::open(options).unwrap();
    append(&journal, BEGIN, 1, b"");
    while journal.append(SINGLE, 0, vec![1; 500]).wait().unwrap() != Outcome::Dropped {}
    // The parts fit, the end does not; all are in one batch, or several: it is the same.
    let parts: Vec<_> = (0..3).map(|_| journal.append(PART, 1, vec![2; 600])).collect();
    let end = journal.append(END, 1, vec![3; 9000]);
    let stored = parts.into_iter().map(|part| part.wait().unwrap()).collect::<Vec<_>>();
    assert!(stored.iter().all(|outcome| *outcome != Outcome::Dropped));
    assert_eq!(end.wait().unwrap(), Outcome::Dropped);
    assert!(matches!(journal.append(PART, 1, "").wait(), Err(JournalError::NoSuchGroup(1))));
    assert_eq!(journal.stats().open_groups, 0);
}

#[test]
fn times_that_overflow_the_clock_are_refused() {
    let disk = MemDisk::default();
    let options = options(&disk).idle_after(Duration::MAX);
    assert!(matches!(Journal::open(options), Err(OpenError::Options(_))));
}

#[test]
fn a_mark_is_kept_with_the_acknowledgement_and_outlives_the_segments() {
    let disk = MemDisk::default();
    let (journal, recovery) = open(&disk);
    assert!(recovery.mark.is_empty());
    let first = append(&journal, SINGLE, 0, &[1; 1000]).end;
    journal.acknowledge_with(first, "one").wait().unwrap();
    journal.acknowledge_with(first, "two").wait().unwrap();
    drop(journal);
    let (journal, recovery) = open(&disk);
    assert_eq!((&*recovery.mark, journal.acknowledged()), (&b"two"[..], first));
    let mut last = first;
    for _ in 0..10 {
        last = append(&journal, SINGLE, 0, &[1; 1000]).end;
    }
    journal.acknowledge(last).wait().unwrap();
    assert_eq!(journal.stats().segments, 1, "the segment of the mark is gone");
    let refused = journal.acknowledge_with(last, vec![0; Journal::MAX_MARK + 1]).wait();
    assert!(matches!(refused, Err(JournalError::TooLarge { .. })));
    drop(journal);
    assert_eq!(open(&disk).1.mark, "two");
}

#[test]
fn a_sync_takes_along_what_nobody_waited_for() {
    let disk = MemDisk::default();
    let (journal, _) = Journal::open(options(&disk).sync_within(Duration::from_secs(3600))).unwrap();
    journal.append_unsynced(SINGLE, 0, "late").wait().unwrap();
    assert!(read(&journal, Position::START).is_empty(), "readers see what is on disk only");
    let acknowledged = journal.acknowledged();
    journal.sync().wait().unwrap();
    assert_eq!(bodies(&read(&journal, Position::START)), [b"late".to_vec()]);
    assert_eq!(journal.acknowledged(), acknowledged);
}

#[test]
fn where_it_spares_the_cache_all_is_written_and_read_in_whole_blocks() {
    let disk = MemDisk::direct();
    let (journal, _) = open(&disk);
    // Opening reads files as they are, whatever their length.
    let at_first = disk.not_in_blocks();
    let sizes = [1, 4000, 100, 9000, 3000, 3000];
    for size in sizes {
        append(&journal, SINGLE, 0, &vec![7; size]);
    }
    let found = read(&journal, Position::START);
    assert_eq!(bodies(&found).iter().map(Vec::len).collect::<Vec<_>>(), sizes);
    assert_eq!(disk.not_in_blocks(), at_first);
}

#[test]
fn zeros_are_written_ahead_of_small_syncs_and_reserved_ahead_of_large_ones() {
    for (len, is_reserved) in [(1024, false), (256 * 1024, true)] {
        let disk = MemDisk::default();
        let options = options(&disk).segment_bytes(1024 * 1024).max_bytes(16 * 1024 * 1024);
        let (journal, _) = Journal::open(options.clone()).unwrap();
        let body = vec![7; len];
        let receipts: Vec<_> =
            (0..2 * 1024 * 1024 / len).map(|_| append(&journal, SINGLE, 0, &body)).collect();
        assert_eq!(disk.reserved() > 0, is_reserved, "frames of {len} bytes");
        journal.close().unwrap();
        let (journal, recovery) = Journal::open(options).unwrap();
        assert!(recovery.gaps.is_empty());
        let found = bodies(&read(&journal, Position::START));
        assert_eq!(found.len(), receipts.len());
        assert!(found.iter().all(|found| *found == body));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_gathers_waits_for_little_and_not_for_much() {
    const GATHER: Duration = Duration::from_millis(50);
    let (journal, _) = open(&MemDisk::default());
    let mut reader = journal.reader(Position::START).gathering(GATHER);
    let began = tokio::time::Instant::now();
    for body in [&b"one"[..], b"two"] {
        journal.append(SINGLE, 0, body.to_vec()).await.unwrap();
    }
    // Dropped and called again, it waits no longer.
    let half = tokio::time::timeout(GATHER / 2, reader.next()).await;
    assert!(half.is_err());
    let first = reader.next().await.unwrap().and_then(Item::into_frame).unwrap();
    assert_eq!((first.body, began.elapsed()), ("one".into(), GATHER));
    let second = reader.next_read().and_then(Item::into_frame).unwrap();
    assert_eq!((second.body, reader.next_read()), ("two".into(), None));

    for _ in 0..40 {
        journal.append(SINGLE, 0, vec![0; 8192]).await.unwrap();
    }
    reader.next().await.unwrap().unwrap();
    assert_eq!(began.elapsed(), GATHER, "much is read at once");
}

#[test]
fn a_frame_that_never_fits_is_too_large_and_not_a_matter_of_room() {
    let options = options(&MemDisk::default()).max_bytes(4 * 4096);
    let (journal, _) = Journal::open(options).unwrap();
    let refused = journal.append(SINGLE, 0, vec![0; 5000]).wait();
    assert!(matches!(refused, Err(JournalError::TooLarge { len: 5000, limit: 4064 })), "{refused:?}");
    append(&journal, SINGLE, 0, &[0; 3000]);
}
