//! Files that were cut or changed.

use std::path::Path;

use super::*;
use crate::journal::{Frame, GapCause, Lost};

/// A journal of several segments, closed, and what is in it.
fn sample() -> (MemDisk, Vec<Frame>) {
    let disk = MemDisk::default();
    let (journal, _) = open(&disk);
    append(&journal, BEGIN, 1, b"begin");
    for byte in 0..9u8 {
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
    let base = u64::from_str_radix(path.file_stem().unwrap().to_str().unwrap(), 16).unwrap();
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
