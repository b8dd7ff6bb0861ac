//! The segment being written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{Disk, DiskFile, write_all};
use super::position::{narrow, wide};
use super::segment::{self, NEXT, Zeros};

/// From so many bytes for each sync on, writing them takes longer than to note where they are.
const MUCH: u64 = 64 * 1024;

/// The head of the journal on disk.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    /// Where the segment begins.
    pub(crate) base: u64,
    /// Length of its file, zeros included.
    pub(crate) allocated: u64,
    /// End of what is written.
    pub(crate) head: u64,
    /// End of what is on disk for certain.
    pub(crate) durable: u64,
    /// How often this segment was synced.
    pub(crate) syncs: u64,
}

/// A write or a rotation failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Everything is as before.
    Refused(io::Error),
    /// Nobody knows what the disk holds.
    Fatal(io::Error),
}

impl Log {
    /// Writes whole frames at the head. A failure leaves no part of them.
    pub(crate) fn write(&mut self, frames: &[u8]) -> Result<(), Failure> {
        let start = self.head - self.base;
        match write_all(&*self.file, frames, start) {
            Ok(()) => {
                self.head += wide(frames.len());
                self.allocated = self.allocated.max(self.head - self.base);
                Ok(())
            }
            Err((error, done)) => match self.take_back(start, done) {
                Ok(()) => Err(Failure::Refused(error)),
                Err(second) => {
                    tracing::error!(%error, %second, "a failed write to the journal can't be undone");
                    Err(Failure::Fatal(second))
                }
            },
        }
    }

    /// Truncates to the last whole frame. Zeros that were there before are written again: their room
    /// is needed for acknowledgements on a full disk.
    fn take_back(&mut self, start: u64, done: u64) -> io::Result<()> {
        let zeros = vec![0; narrow(done.min(self.allocated.saturating_sub(start)))];
        let restored = write_all(&*self.file, &zeros, start).map_err(|(error, _)| error);
        if restored.and_then(|()| self.file.set_len(self.allocated)).is_err() {
            self.file.set_len(start)?;
            self.allocated = start;
        }
        // Else a power loss could bring back what was refused.
        self.file.sync_data()
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.durable = self.head;
        self.syncs += 1;
        Ok(())
    }

    /// What zeros the next segment should have, if it is written as this one.
    pub(crate) fn next_zeros(&self) -> Zeros {
        let per_sync = (self.head - self.base).checked_div(self.syncs);
        if per_sync.is_some_and(|bytes| bytes >= MUCH) { Zeros::Reserved } else { Zeros::Written }
    }

    /// Goes on in the file made by [`segment::prepare`]. What is written must be synced.
    pub(crate) fn rotate(&mut self, next: Box<dyn DiskFile>, size: u64) -> Result<(), Failure> {
        let base = self.head;
        let path = segment::path(&self.dir, base);
        self.disk.rename(&self.dir.join(NEXT), &path).map_err(Failure::Refused)?;
        self.disk.sync_dir(&self.dir).map_err(Failure::Fatal)?;
        // The zeros that were left over go; where the segment ends is known without.
        if let Err(error) = self.file.set_len(base - self.base) {
            tracing::warn!(%error, "a full segment of the journal keeps its zeros");
        }
        self.file = next;
        self.base = base;
        self.allocated = size;
        self.syncs = 0;
        Ok(())
    }
}
