//! The loop that does no more than it must.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Context as _, Failure, Result};

/// Where the loop writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the end of a file that grows.
    End,
    /// Over zeros that were written and synced before, and are in memory: no file system can do more. What that took
    /// is not measured.
    Zeros,
}

/// Writes `bytes` in as many groups as there are syncs. Returns how long that took.
pub(super) fn run(dir: &Path, place: Place, bytes: u64, syncs: u64) -> Result<Duration> {
    let path = dir.join("bare");
    let took =
        groups(&path, place, bytes, syncs).context(|| format!("cannot write to {}", path.display()))?;
    std::fs::remove_file(&path).context(|| format!("cannot remove {}", path.display()))?;
    took.ok_or_else(|| Failure::new("the journal wrote nothing"))
}

fn groups(path: &Path, place: Place, bytes: u64, syncs: u64) -> std::io::Result<Option<Duration>> {
    let Some(group) = bytes.checked_div(syncs).and_then(|group| usize::try_from(group).ok()) else {
        return Ok(None);
    };
    let zeros = if place == Place::Zeros { bytes } else { 0 };
    std::fs::write(path, vec![0; usize::try_from(zeros).unwrap_or(usize::MAX)])?;
    let file = File::options().write(true).open(path)?;
    file.sync_all()?;
    let group = vec![b'x'; group];
    let began = Instant::now();
    for offset in (0..bytes).step_by(group.len().max(1)).take(usize::try_from(syncs).unwrap_or(usize::MAX)) {
        file.write_all_at(&group, offset)?;
        file.sync_data()?;
    }
    Ok(Some(began.elapsed()))
}
