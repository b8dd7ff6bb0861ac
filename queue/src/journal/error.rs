//! What can go wrong.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::position::Position;

/// The journal can't be opened. Damage is no reason: see [`Recovery`](super::Recovery).
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another journal has this directory open, in this process or another.
    #[error("{}: in use by another journal; only one may have a directory open", .0.display())]
    Locked(PathBuf),
    /// A newer release wrote it.
    #[error("{}: format {format} is newer than this release knows (1); upgrade, or use another directory", path.display())]
    Format {
        /// The segment.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
    /// The options contradict each other.
    #[error("journal options: {0}")]
    Options(&'static str),
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An append, an acknowledgement or a read failed.
#[derive(Debug, Clone, Error)]
pub enum JournalError {
    /// More is waiting for the disk than the options allow. Nothing was written; try again later.
    #[error("the disk can't keep up: {frames} frames with {bytes} bytes are waiting; try again later")]
    Busy {
        /// Frames waiting.
        frames: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The journal has reached its size limit. Nothing was written; acknowledging makes room.
    #[error(
        "the journal is full: {bytes} bytes, {limit} are allowed; acknowledge what is in it, or raise the limit"
    )]
    Full {
        /// Bytes in it.
        bytes: u64,
        /// Bytes allowed for this frame.
        limit: u64,
    },
    /// The disk has no room. Nothing was written; later appends try again.
    #[error("no room on the journal's disk: {0}")]
    DiskFull(Arc<io::Error>),
    /// The disk refused a write, for another reason than room. Nothing was written.
    #[error("the journal's disk refused a write: {0}")]
    Write(Arc<io::Error>),
    /// A sync failed, so nobody knows what is on the disk. The journal takes nothing more until it
    /// is opened again, which reads what is really there.
    #[error("the journal stopped, for what is on its disk is uncertain: {0}; restart to read what is there")]
    Poisoned(Arc<io::Error>),
    /// The journal was shut down.
    #[error("the journal is closed")]
    Closed,
    /// A frame is over the limit in the options, or over all that the journal may hold, or a mark is too long.
    #[error("{len} bytes are too many for one frame or mark; the limit is {limit}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The limit.
        limit: u32,
    },
    /// A group with this id was begun and has not ended.
    #[error("group {0} is open already")]
    GroupOpen(u64),
    /// No group with this id is open.
    #[error("group {0} is not open")]
    NoSuchGroup(u64),
    /// An acknowledgement of what was never written.
    #[error("position {0} is beyond the end of the journal")]
    Beyond(Position),
    /// No frame begins there, or not any more: it was acknowledged and removed.
    #[error("no frame is at position {0}")]
    NotFound(Position),
    /// The disk can't be read.
    #[error("the journal can't be read: {0}")]
    Read(Arc<io::Error>),
}

impl JournalError {
    /// What a failed write means.
    pub(crate) fn of_write(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero => {
                Self::DiskFull(Arc::new(error))
            }
            _ => Self::Write(Arc::new(error)),
        }
    }

    /// Whether there is no room, for one reason or another.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::DiskFull(_))
    }
}
