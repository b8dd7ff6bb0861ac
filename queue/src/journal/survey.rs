//! Finds out which segments there should be.

use std::collections::{BTreeMap, BTreeSet};

use super::error::OpenError;
use super::frame::HEADER;
use super::notes::{self, AckNote, SegmentNote};
use super::options::Options;
use super::position::{narrow, wide};
use super::recover::{at, check_format};
use super::scan::{Piece, Scan, scan};
use super::segment;

/// A segment that should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) base: u64,
    /// Where it ends; the last one is still open.
    pub(crate) end: Option<u64>,
    pub(crate) present: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// In order.
    pub(crate) segments: Vec<Planned>,
    /// Files that a crash kept from being removed.
    pub(crate) superfluous: Vec<u64>,
    /// Up to where everything is acknowledged.
    pub(crate) ack: u64,
}

/// Where no note says what was there, what is missing is taken to be segments of this size.
const PIECE: u64 = 16 * 1024 * 1024;

/// The newest note at the beginning of a segment names those before it; later acknowledgements name
/// those that were removed since.
pub(crate) fn survey(options: &Options, files: &BTreeSet<u64>) -> Result<Plan, OpenError> {
    let (disk, dir) = (&*options.disk, options.dir.as_path());
    let mut dropped = BTreeSet::new();
    let mut ends: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    let mut ack = 0;
    let mut extents = BTreeMap::new();
    for base in files.iter().rev().copied() {
        let path = segment::path(dir, base);
        let file = disk.open(&path).map_err(at(&path))?;
        let bytes = segment::load(&*file, None).map_err(at(&path))?;
        check_format(&bytes, base, &path)?;
        let found = scan(&bytes, base, false);
        extents.insert(base, (base + wide(bytes.len()), base + found.end));
        let (note, acks) = read_notes(&bytes, &found);
        for note in acks {
            ack = ack.max(note.ack);
            dropped.extend(note.dropped);
        }
        if let Some(note) = note {
            ack = ack.max(note.ack);
            ends.extend(
                note.kept.into_iter().filter(|(base, end)| base < end).map(|(base, end)| (base, Some(end))),
            );
            break;
        }
    }
    ends.extend(files.last().map(|base| (*base, None)));
    for (base, next) in files.iter().copied().zip(files.iter().skip(1).copied()) {
        match extents.get(&base) {
            Some((reach, _)) if *reach >= next => drop(ends.insert(base, Some(next))),
            Some((_, whole)) => {
                // It is shorter, so there was another segment, which may be acknowledged and gone.
                ends.extend((base < *whole).then_some((base, Some(*whole))));
                ends.extend(missing(*whole, next, ack.max(next.saturating_sub(options.max_bytes))));
            }
            // The note says where it ends.
            None => {}
        }
    }
    ends.retain(|base, _| !dropped.contains(base));
    Ok(Plan {
        ack,
        superfluous: files.iter().copied().filter(|base| !ends.contains_key(base)).collect(),
        segments: ends
            .into_iter()
            .map(|(base, end)| Planned { base, end, present: files.contains(&base) })
            .collect(),
    })
}

/// Segments in place of what is missing from one place to another and still needed.
fn missing(from: u64, to: u64, needed: u64) -> Vec<(u64, Option<u64>)> {
    if needed >= to {
        return Vec::new();
    }
    // It is noted in its place, which takes a header.
    let mut from = (needed & !7).min(to.saturating_sub(HEADER)).max(from);
    let mut segments = Vec::new();
    while from < to {
        let end = if to - from > 2 * PIECE { from + PIECE } else { to };
        segments.push((from, Some(end)));
        from = end;
    }
    segments
}

fn read_notes(bytes: &[u8], found: &Scan) -> (Option<SegmentNote>, Vec<AckNote>) {
    let mut note = None;
    let mut acks = Vec::new();
    for piece in &found.pieces {
        let Piece::Frame { at, header } = *piece else { continue };
        let body = header.body(bytes.get(narrow(at)..).unwrap_or_default());
        match header.kind {
            notes::SEGMENT if at == 0 => note = SegmentNote::decode(body),
            notes::ACK => acks.extend(AckNote::decode(body)),
            _ => {}
        }
    }
    (note, acks)
}
