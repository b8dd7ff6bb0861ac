//! Why a storage could not do what it was asked. Each says what to do about it, and whether trying again helps.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

/// A storage failed. Cheap to clone, so that all who shared a step can be told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// It can't be reached now.
    #[error(
        "the storage can't be reached ({action}); check that it is up, not held by others, and that its address is \
         right: {source}"
    )]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// It answered with an error that will not go away by itself.
    #[error("the storage refused ({action}): {source}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A newer release made it.
    #[error("the storage has schema {found}, this release knows up to {known}; use the newer release")]
    NewerSchema {
        /// What it has.
        found: u32,
        /// What is known here.
        known: u32,
    },
    /// Another process has the directory.
    #[error("{0} is in use by another process; only one can have it open")]
    Locked(PathBuf),
    /// Nothing can be written until there is room: on its disk, in its memory or under its limit.
    #[error("the storage has no room; let jobs end or expire, give it more, and try again: {0}")]
    Full(Arc<dyn Error + Send + Sync>),
    /// What was read makes no sense.
    #[error("what the storage holds can't be used: {what}")]
    Corrupt {
        /// Where and what.
        what: String,
    },
    /// [`Settings::max_jobs`](super::Settings::max_jobs) is reached.
    #[error("the queue holds {limit} jobs already, which is its limit; try again when some have ended")]
    QueueFull {
        /// The limit.
        limit: u64,
    },
    /// A payload or output that is too large.
    #[error("{len} bytes of payload or output are more than the {limit} that this storage takes")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// It was closed.
    #[error("the storage was closed")]
    Closed,
}

impl StorageError {
    /// Whether the same call may well work later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Full(_) | Self::QueueFull { .. })
    }
}
