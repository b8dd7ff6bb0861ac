//! Files that were cut or changed.

use std::path::Path;

use super::*;
use crate::journal::{Frame, GapCause, Lost, OpenError, frame, notes, segment};

/// A journal of several segments, closed, and what is in it.
fn sample() -> (MemDisk, Vec<Frame>) {
    sample_of(9)
}

pub(super) fn sample_of(count: u8) -> (MemDisk, Vec<Frame>) {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, BEGIN, 1, b"begin");
    for byte in 0..count {
        append(&journal, SINGLE, u64::from(byte), &vec![byte; usize::from(byte) * 150 + 3]);
    }
    append(&journal, PART, 1, b"part");
    append(&journal, END, 1, b"end");
    let frames = read(&journal, Position::START).into_iter().filter_map(Item::into_frame).collect();
    journal.close().unwrap();
    assert!(disk.files(".seg").len() > 1);
    (disk, frames)
}

/// Opens it: each frame is there or reported missing, to the opener and, unless cut off, to readers,
/// this time and the next time.
fn check(disk: &MemDisk, frames: &[Frame]) {
    let (journal, recovery) = open(disk);
    let items = read(&journal, Position::START);
    let found: Vec<&Frame> = items
        .iter()
        .filter_map(|item| if let Item::Frame(frame) = item { Some(frame) } else { None })
        .collect();
    for frame in frames {
        let there = found.contains(&frame);
        let gap = recovery.gaps.iter().any(|gap| gap.from <= frame.position && frame.end <= gap.to);
        let cut = recovery.cut.is_some_and(|cut| cut.at <= frame.position);
        assert!(there != (gap || cut), "{frame:?} {recovery:?}");
    }
    assert!(found.len() <= frames.len() && found.is_sorted_by_key(|frame| frame.position));
    let gaps = items.iter().filter_map(|item| if let Item::Gap(gap) = item { Some(*gap) } else { None });
    assert_eq!(gaps.collect::<Vec<_>>(), recovery.gaps);
    assert_eq!(
        recovery.set_aside.is_empty(),
        recovery.gaps.iter().all(|gap| gap.cause == GapCause::MissingSegment)
    );
    append(&journal, SINGLE, 0, b"goes on");
    drop(journal);
    let (journal, recovery) = open(disk);
    assert!(recovery.gaps.is_empty() && recovery.cut.is_none(), "mended once: {recovery:?}");
    let again = read(&journal, Position::START);
    assert_eq!(again[..items.len()], items);
    assert_eq!(again.len(), items.len() + 1);
}

/// The bytes of a file that are in use, and a few of the zeros after them.
fn used(disk: &MemDisk, path: &Path) -> usize {
    let bytes = disk.read(path);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    bytes.len().min(end + 40)
}

fn base_of(path: &Path) -> u64 {
    segment::base_of(path.file_name().unwrap().to_str().unwrap()).unwrap()
}

#[test]
fn every_flipped_byte_is_harmless_or_reported() {
    let (disk, frames) = sample();
    for path in disk.files(".seg") {
        for at in 0..used(&disk, &path) {
            let copy = disk.copy();
            copy.edit(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            check(&copy, &frames);
        }
    }
}

#[test]
fn a_sealed_segment_cut_at_any_byte_is_reported() {
    let (disk, frames) = sample();
    let path = &disk.files(".seg")[0];
    for at in 0..used(&disk, path) {
        let copy = disk.copy();
        copy.edit(path, |bytes| bytes.truncate(at));
        check(&copy, &frames);
    }
}

#[test]
fn the_last_segment_cut_at_any_byte_ends_after_its_last_whole_frame() {
    let (disk, frames) = sample();
    let path = disk.files(".seg").pop().unwrap();
    let base = base_of(&path);
    for at in 0..used(&disk, &path) {
        let copy = disk.copy();
        copy.edit(&path, |bytes| bytes.truncate(at));
        let (journal, recovery) = open(&copy);
        let end = base + at as u64;
        let whole: Vec<&Frame> = frames.iter().filter(|frame| frame.end.as_u64() <= end).collect();
        let items = read(&journal, Position::START);
        assert_eq!(
            items.iter().cloned().filter_map(Item::into_frame).collect::<Vec<_>>().iter().collect::<Vec<_>>(),
            whole
        );
        assert!(recovery.gaps.is_empty());
        append(&journal, SINGLE, 0, b"goes on");
        assert_eq!(read(&journal, Position::START).len(), whole.len() + 1);
    }
}

#[test]
fn wiped_and_noisy_stretches_are_reported() {
    let (disk, frames) = sample();
    let mut rng: rand::rngs::StdRng = rand::SeedableRng::seed_from_u64(1);
    use rand::RngExt as _;
    for round in 0..500 {
        let copy = disk.copy();
        let paths = copy.files(".seg");
        // Not the very end: what is missing there can't be told from what was never written.
        let path = &paths[round % (paths.len() - 1)];
        copy.edit(path, |bytes| {
            let from = rng.random_range(0..bytes.len());
            let to = rng.random_range(from..bytes.len());
            bytes[from..to].iter_mut().for_each(|byte| *byte = if round % 2 == 0 { 0 } else { rng.random() });
        });
        check(&copy, &frames);
    }
}

#[test]
fn a_missing_segment_is_reported_with_its_extent() {
    let (disk, frames) = sample();
    let first = &disk.files(".seg")[0];
    disk.lose(first);
    let copy = disk.copy();
    let (journal, recovery) = open(&copy);
    assert_eq!(recovery.gaps.len(), 1);
    assert_eq!((recovery.gaps[0].cause, recovery.gaps[0].from), (GapCause::MissingSegment, Position::START));
    assert!(recovery.open_groups.is_empty(), "its end is there");
    drop(journal);
    check(&disk, &frames);
}

#[test]
fn a_damaged_body_is_known_by_its_header_and_kept_as_evidence() {
    let (disk, frames) = sample();
    let path = disk.files(".seg")[0].clone();
    let frame = &frames[3];
    disk.edit(&path, |bytes| bytes[usize::try_from(frame.position.as_u64()).unwrap() + 40] ^= 1);
    let evidence = disk.read(&path);
    let (journal, recovery) = open(&disk);
    assert_eq!(recovery.gaps[0].lost, Lost::Frame { kind: frame.kind, group: frame.group });
    assert_eq!((recovery.gaps[0].cause, recovery.gaps.len()), (GapCause::Damaged, 1));
    assert_eq!(disk.read(&recovery.set_aside[0]), evidence);
    assert!(recovery.set_aside[0].to_str().unwrap().ends_with(".damaged"));
    let end = read(&journal, Position::START).last().unwrap().end();
    journal.acknowledge(end).wait().unwrap();
    assert!(!disk.files(".seg").contains(&path), "a gap is acknowledged like a frame");
}

#[test]
fn damage_under_an_open_journal_is_seen_by_its_readers() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    let frames: Vec<_> = (0..5u8).map(|byte| append(&journal, SINGLE, 0, &[byte; 50])).collect();
    let path = &disk.files(".seg")[0];
    disk.edit(path, |bytes| bytes[usize::try_from(frames[2].position.as_u64()).unwrap() + 1] ^= 1);
    let items = read(&journal, Position::START);
    assert_eq!(items.len(), 5);
    assert!(matches!(items[2], Item::Gap(gap) if gap.from == frames[2].position && gap.to == frames[2].end));
}

#[test]
fn damage_without_room_to_set_it_aside_does_not_stop_a_start() {
    let (disk, frames) = sample();
    disk.edit(&disk.files(".seg")[0], |bytes| bytes[500] ^= 1);
    disk.set(|faults| faults.room = Some(0));
    let (journal, recovery) = open(&disk);
    assert_eq!((recovery.gaps.len(), recovery.set_aside.len()), (1, 0));
    assert_eq!(read(&journal, Position::START).len(), frames.len());
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let (disk, _) = sample();
    let path = disk.files(".seg").pop().unwrap();
    disk.edit(&path, |bytes| {
        let mut note = Vec::new();
        // The format, then what nobody knows yet.
        frame::put(
            &mut note,
            base_of(&path),
            notes::SEGMENT,
            0,
            0,
            [&2u64.to_le_bytes()[..], b"else"].into_iter(),
        );
        bytes[..note.len()].copy_from_slice(&note);
    });
    let before: Vec<_> = disk.files("").iter().map(|path| disk.read(path)).collect();
    let error = Journal::open(options(&disk)).unwrap_err();
    assert!(matches!(&error, OpenError::Format { format: 2, path: found } if *found == path), "{error}");
    assert_eq!(disk.files("").iter().map(|path| disk.read(path)).collect::<Vec<_>>(), before);
}

/// Damages the first frame of the last segment, which names the others.
fn behead(disk: &MemDisk) {
    disk.edit(&disk.files(".seg").pop().unwrap(), |bytes| bytes[5] ^= 1);
}

/// A group begun long ago, much that was acknowledged since, and a frame at the end.
fn holed() -> (MemDisk, Receipt) {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, BEGIN, 1, b"holds the first segment");
    for _ in 0..100 {
        let last = append(&journal, SINGLE, 0, &[1; 100_000]).end;
        journal.acknowledge(last).wait().unwrap();
    }
    let last = append(&journal, SINGLE, 0, b"last");
    journal.close().unwrap();
    (disk, last)
}

#[test]
fn a_long_hole_is_passed_over_although_the_note_that_explains_it_is_lost() {
    for also_acknowledgements in [false, true] {
        let (disk, last) = holed();
        let path = disk.files(".seg").pop().unwrap();
        let wiped = if also_acknowledgements { last.position.as_u64() - base_of(&path) } else { 8 };
        disk.edit(&path, |bytes| bytes[..usize::try_from(wiped).unwrap()].fill(0));
        let (journal, recovery) = open(&disk);
        // Without any acknowledgement, the most that the journal may hold is taken to be missing.
        let missing: u64 = (recovery.gaps.iter())
            .filter(|gap| gap.cause == GapCause::MissingSegment)
            .map(|gap| gap.to.as_u64() - gap.from.as_u64())
            .sum();
        assert_eq!(missing, if also_acknowledgements { 1 << 20 } else { 0 }, "{recovery:?}");
        assert_eq!(recovery.open_groups.len(), 1);
        assert_eq!(journal.read(last.position).unwrap().body, "last");
        drop(journal);
        assert!(open(&disk).1.gaps.is_empty());
    }
}

#[test]
fn lost_segments_are_reported_although_the_note_that_names_them_is_lost() {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    for _ in 0..10 {
        append(&journal, SINGLE, 0, &[1; 2000]);
    }
    journal.close().unwrap();
    let files = disk.files(".seg");
    let [.., lost, also_lost, _] = &files[..] else { panic!("{files:?}") };
    disk.lose(lost);
    disk.lose(also_lost);
    behead(&disk);
    let (journal, recovery) = open(&disk);
    let causes: Vec<GapCause> = recovery.gaps.iter().map(|gap| gap.cause).collect();
    assert_eq!(causes, [GapCause::MissingSegment, GapCause::Damaged]);
    let items = read(&journal, Position::START);
    let gaps = items.iter().filter_map(|item| if let Item::Gap(gap) = item { Some(*gap) } else { None });
    assert_eq!(gaps.collect::<Vec<_>>(), recovery.gaps);
    assert_eq!(bodies(&items).len(), 10 - 2, "each has a segment of its own");
}

#[test]
fn copies_of_damaged_segments_do_not_fill_the_disk() {
    let (disk, _) = sample();
    for round in 0..12 {
        disk.edit(&disk.files(".seg")[0], |bytes| bytes[500] ^= 1);
        let (journal, recovery) = open(&disk);
        assert_eq!(recovery.set_aside.len(), usize::from(round < 8));
        drop(journal);
    }
}
