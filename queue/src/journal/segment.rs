//! The files of segments.

use std::io;
use std::path::{Path, PathBuf};

use super::blocks::Blocks;
use super::disk::{Disk, DiskFile, read_full, write_all};
use super::frame::ALIGN;
use super::position::{narrow, wide};

/// The file that becomes the next segment.
pub(crate) const NEXT: &str = "next.tmp";

/// Zeros are written in pieces with a sync after each, so that the syncs of the writer never wait
/// for many of them.
const SLICE: u64 = 1024 * 1024;
/// No journal gets so long.
const LIMIT: u64 = 1 << 62;
/// What is read at once from a medium that has unreadable places.
const BLOCK: usize = 4096;

/// The file of the segment that begins at `base`.
pub(crate) fn path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:016x}.seg"))
}

/// Where the segment begins whose file has this name.
pub(crate) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    let base =
        u64::from_str_radix(digits, 16).ok().filter(|base| *base < LIMIT && base.is_multiple_of(ALIGN))?;
    // One spelling only: no signs, no capitals.
    (format!("{base:016x}") == digits).then_some(base)
}

/// Whether the zeros ahead of the writer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeros {
    /// A sync that changes no metadata takes a third less time.
    Written,
    /// For a writer that syncs much at once: it waits for the bytes, and everything would be written twice.
    Reserved,
}

/// Makes the file that becomes the next segment, zeros from end to end.
pub(crate) fn prepare(disk: &dyn Disk, dir: &Path, size: u64, zeros: Zeros) -> io::Result<Box<dyn DiskFile>> {
    let path = dir.join(NEXT);
    let file = disk.create(&path)?;
    let reserved = zeros == Zeros::Reserved && reserve(&*file, size);
    if !reserved {
        fill(&*file, size).inspect_err(|_| {
            // The room it took is wanted by others.
            let _ = disk.remove(&path);
        })?;
    }
    Ok(file)
}

/// Whether it could. What is not on disk by now is with the first sync of the writer.
fn reserve(file: &dyn DiskFile, size: u64) -> bool {
    file.reserve(size).and_then(|()| file.sync_data()).is_ok()
}

fn fill(file: &dyn DiskFile, size: u64) -> io::Result<()> {
    let zeros = Blocks::zeros(narrow(size.min(SLICE)));
    let mut offset = 0;
    while offset < size {
        let slice = zeros.get(..narrow(size - offset)).unwrap_or(&zeros);
        write_all(file, slice, offset)?;
        file.sync_data()?;
        offset += wide(slice.len());
    }
    Ok(())
}

/// Reads a segment: `len` bytes, or what is there. What is unreadable or missing becomes zeros.
pub(crate) fn load(file: &dyn DiskFile, len: Option<u64>) -> io::Result<Vec<u8>> {
    let size = file.size()?;
    let mut bytes = vec![0; narrow(len.map_or(size, |len| len.min(size)))];
    if let Err(error) = read_full(file, &mut bytes, 0) {
        tracing::error!(%error, "a segment of the journal is unreadable in places");
        for (block, offset) in bytes.chunks_mut(BLOCK).zip((0..).step_by(BLOCK)) {
            if read_full(file, block, offset).is_err() {
                block.fill(0);
            }
        }
    }
    if let Some(len) = len {
        bytes.resize(narrow(len), 0);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_positions_match() {
        let path = path(Path::new(""), 0xbee8);
        assert_eq!(path, Path::new("000000000000bee8.seg"));
        assert_eq!(base_of("000000000000bee8.seg"), Some(0xbee8));
        let others = [
            "bee8.seg",
            "000000000000BEE8.seg",
            "+00000000000bee8.seg",
            "fffffffffffffff8.seg",
            "000000000000beef.seg",
            "000000000000bee8.damaged",
            NEXT,
        ];
        for name in others {
            assert_eq!(base_of(name), None, "{name}");
        }
    }
}
