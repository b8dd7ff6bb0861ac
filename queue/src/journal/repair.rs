//! Keeps a damaged segment as evidence, and notes in its file what is missing.

use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile, write_all};
use super::frame::{self, HEADER};
use super::gap::{Gap, Lost};
use super::notes;
use super::options::Options;
use super::position::narrow;
use super::segment;

/// So many copies are kept: a disk that goes bad must not be filled with them.
const COPIES: usize = 8;
/// Bytes of a gap's frame that are not zero.
const WORDS: usize = 40;
const ENDING: &str = ".damaged";

/// Writes the bytes of a segment to a file that ends in `.damaged`.
pub(crate) fn set_aside(disk: &dyn Disk, dir: &Path, base: u64, bytes: &[u8]) -> io::Result<PathBuf> {
    let names = disk.list(dir)?;
    if names.iter().filter(|name| name.ends_with(ENDING)).count() >= COPIES {
        return Err(io::Error::other("as many copies as are kept are there already"));
    }
    let name =
        (0u32..)
            .map(|count| {
                if count == 0 {
                    format!("{base:016x}{ENDING}")
                } else {
                    format!("{base:016x}.{count}{ENDING}")
                }
            })
            .find(|name| !names.contains(name))
            .unwrap_or_default();
    let path = dir.join(name);
    let file = disk.create(&path)?;
    let written = write_all(&*file, bytes, 0).and_then(|()| file.sync_data());
    written.inspect_err(|_| {
        // Half a copy is worth less than the room.
        let _ = disk.remove(&path);
    })?;
    disk.sync_dir(dir)?;
    Ok(path)
}

/// Puts a frame over each gap that says what is missing. That needs no room on the disk. The file
/// of a missing segment is made anew.
pub(crate) fn note(
    options: &Options,
    base: u64,
    file: Option<&dyn DiskFile>,
    gaps: &[Gap],
) -> io::Result<()> {
    let made;
    let new = file.is_none();
    let file = match file {
        Some(file) => file,
        None => {
            made = options.disk.create(&segment::path(&options.dir, base))?;
            made.set_len(gaps.iter().map(|gap| gap.to.as_u64() - base).max().unwrap_or_default())?;
            options.disk.sync_dir(&options.dir)?;
            &*made
        }
    };
    for gap in gaps {
        let from = gap.from.as_u64();
        let len = (gap.to.as_u64() - from).saturating_sub(HEADER);
        let mut body = vec![0; narrow(len)];
        for (to, byte) in body.iter_mut().zip(notes::encode_gap(gap.cause, gap.lost)) {
            *to = byte;
        }
        let group = match gap.lost {
            Lost::Frame { group, .. } => group,
            Lost::Unknown | Lost::Notes => 0,
        };
        let mut bytes = Vec::new();
        frame::put(&mut bytes, from, notes::GAP, group, 0, iter::once(&body[..]));
        if new {
            // It is full of zeros, and nobody waits for them to be written.
            bytes.truncate(WORDS);
        }
        write_all(file, &bytes, from - base)?;
    }
    file.sync_data()
}
