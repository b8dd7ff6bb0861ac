//! The segment being written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::blocks::Staged;
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
    /// What is to be written there.
    pub(crate) staged: Staged,
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
    /// Writes the whole frames that are staged. A failure leaves no part of them.
    pub(crate) fn write(&mut self) -> Result<(), Failure> {
        let start = self.head - self.base;
        let len = self.staged.len();
        match self.put(start) {
            Ok(end) => {
                self.head += len;
                self.allocated = self.allocated.max(end);
                self.staged.written();
                Ok(())
            }
            Err(error) => {
                self.staged.forget();
                match self.take_back(start, len) {
                    Ok(()) => Err(Failure::Refused(error)),
                    Err(second) => {
                        tracing::error!(%error, %second, "a failed write to the journal can't be undone");
                        Err(Failure::Fatal(second))
                    }
                }
            }
        }
    }

    /// Writes what is staged, and says up to where the file is written then.
    fn put(&mut self, start: u64) -> io::Result<u64> {
        let file = &*self.file;
        if !file.is_direct() {
            let end = start + self.staged.len();
            return write_all(file, self.staged.new_bytes(), start).map(|()| end);
        }
        // A block that is not full is written again, with the same bytes at its beginning: whatever part of it gets to
        // the disk before a power loss, what was there stays.
        let old = self.staged.old();
        self.staged.in_whole_blocks(|blocks| {
            write_all(file, blocks, start - old).map(|()| start - old + wide(blocks.len()))
        })
    }

    /// Truncates to the last whole frame. Zeros that were there before are written again: their room
    /// is needed for acknowledgements on a full disk. All of them: a write that failed in the middle may be told to
    /// have written nothing, and a frame that is whole would count.
    fn take_back(&mut self, start: u64, len: u64) -> io::Result<()> {
        let zeros = vec![0; narrow(len.min(self.allocated.saturating_sub(start)))];
        let restored = write_all(&*self.file, &zeros, start);
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
        self.staged.restart();
        self.syncs = 0;
        Ok(())
    }
}
