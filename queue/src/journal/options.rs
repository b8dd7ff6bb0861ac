//! How a journal behaves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, OsDisk};
use super::error::OpenError;
use super::kind::Role;

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;
const LARGEST: u32 = 1024 * MIB;
/// Longer times would overflow the clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What happens to a new group or single frame when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Its append fails.
    #[default]
    Reject,
    /// It is dropped, with the rest of its group, and counted in [`Stats::dropped`](super::Stats).
    Drop,
}

/// The options of a journal. The defaults suit an audit log of a busy proxy.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segment_bytes: u32,
    pub(crate) max_bytes: u64,
    pub(crate) when_full: WhenFull,
    pub(crate) max_frame: u32,
    pub(crate) queue_frames: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) sync_within: Duration,
    pub(crate) idle_after: Duration,
    pub(crate) retry_after: Duration,
}

impl Options {
    /// The defaults, for a journal in `dir`, which is made if need be.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
            disk: Arc::new(OsDisk),
            segment_bytes: 16 * MIB,
            max_bytes: 10 * 1024 * u64::from(MIB),
            when_full: WhenFull::Reject,
            max_frame: 256 * MIB,
            queue_frames: 65_536,
            queue_bytes: 64 * 1024 * 1024,
            sync_within: Duration::from_millis(50),
            idle_after: Duration::from_secs(5),
            retry_after: Duration::from_secs(1),
        }
    }

    /// Another disk, for tests.
    #[must_use]
    pub fn disk(self, disk: Arc<dyn Disk>) -> Self {
        Self { disk, ..self }
    }

    /// Size of a segment, the unit in which files are made ahead and removed (default 16 MiB). A
    /// larger frame gets a segment of its own.
    #[must_use]
    pub fn segment_bytes(self, segment_bytes: u32) -> Self {
        Self { segment_bytes, ..self }
    }

    /// The most that the files may take (default 10 GiB): at least four segments, of which two are
    /// zeros ahead of the data and one is kept for the ends of groups that were begun.
    #[must_use]
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// What happens when there is no room (default: reject).
    #[must_use]
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// The longest body of a frame (default 256 MiB, at most 1 GiB).
    #[must_use]
    pub fn max_frame(self, max_frame: u32) -> Self {
        Self { max_frame, ..self }
    }

    /// How much may wait for the disk (default 65 536 frames, 64 MiB); beyond it appends fail at
    /// once with [`Busy`](super::JournalError::Busy). One frame may always wait, whatever its size.
    #[must_use]
    pub fn queue(self, frames: usize, bytes: usize) -> Self {
        Self { queue_frames: frames, queue_bytes: bytes, ..self }
    }

    /// How long an unsynced append may stay so (default 50 ms).
    #[must_use]
    pub fn sync_within(self, sync_within: Duration) -> Self {
        Self { sync_within, ..self }
    }

    /// After this long without a request (default 5 s), a journal in which everything is
    /// acknowledged removes it from the disk although its segment is not full.
    #[must_use]
    pub fn idle_after(self, idle_after: Duration) -> Self {
        Self { idle_after, ..self }
    }

    /// How long after running out of room the disk is asked for a new segment again (default 1 s).
    #[must_use]
    pub fn retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if !(4 * KIB..=LARGEST).contains(&self.segment_bytes) {
            return Err(OpenError::Options("segment_bytes must be from 4 KiB to 1 GiB"));
        }
        if self.max_bytes < 4 * u64::from(self.segment_bytes) {
            return Err(OpenError::Options("max_bytes must be at least four times segment_bytes"));
        }
        if [self.sync_within, self.idle_after, self.retry_after].into_iter().any(|time| time > LONGEST) {
            return Err(OpenError::Options("sync_within, idle_after and retry_after must be at most a year"));
        }
        if self.max_frame > LARGEST {
            return Err(OpenError::Options("max_frame must be at most 1 GiB"));
        }
        Ok(())
    }

    /// Bytes up to which frames of a role are taken. Open groups have a segment more than others; half of it is for
    /// their ends alone, however much their parts bring.
    pub(crate) fn limit(&self, role: Role) -> u64 {
        let segment = u64::from(self.segment_bytes);
        let of_open = self.max_bytes - 2 * segment;
        match role {
            Role::Single | Role::Begin => of_open - segment,
            Role::Part => of_open - segment / 2,
            Role::End => of_open,
        }
    }
}
