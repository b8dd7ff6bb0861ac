//! Finds out which segments there should be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::disk::Disk;
use super::error::OpenError;
use super::notes::{self, AckNote, SegmentNote};
use super::position::narrow;
use super::recover::{at, check_format};
use super::scan::{Piece, scan};
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

/// The newest note at the beginning of a segment names those before it; later acknowledgements name
/// those that were removed since.
pub(crate) fn survey(disk: &dyn Disk, dir: &Path, files: &BTreeSet<u64>) -> Result<Plan, OpenError> {
    let mut dropped = BTreeSet::new();
    let mut ends: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    // Without any note, all files count.
    let mut noted = 0;
    let mut ack = 0;
    for base in files.iter().rev().copied() {
        let path = segment::path(dir, base);
        let file = disk.open(&path).map_err(at(&path))?;
        let bytes = segment::load(&*file, None).map_err(at(&path))?;
        check_format(&bytes, base, &path)?;
        let (note, acks) = read_notes(&bytes, base);
        for note in acks {
            ack = ack.max(note.ack);
            dropped.extend(note.dropped);
        }
        if let Some(note) = note {
            ack = ack.max(note.ack);
            ends.extend(
                note.kept.into_iter().filter(|(base, end)| base < end).map(|(base, end)| (base, Some(end))),
            );
            noted = base;
            break;
        }
    }
    let following = files.iter().skip(1).copied().map(Some).chain([None]);
    ends.extend(files.iter().copied().zip(following).filter(|(base, _)| *base >= noted));
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

fn read_notes(bytes: &[u8], base: u64) -> (Option<SegmentNote>, Vec<AckNote>) {
    let mut note = None;
    let mut acks = Vec::new();
    for piece in scan(bytes, base, false).pieces {
        let Piece::Frame { at, header } = piece else { continue };
        let body = header.body(bytes.get(narrow(at)..).unwrap_or_default());
        match header.kind {
            notes::SEGMENT if at == 0 => note = SegmentNote::decode(body),
            notes::ACK => acks.extend(AckNote::decode(body)),
            _ => {}
        }
    }
    (note, acks)
}
