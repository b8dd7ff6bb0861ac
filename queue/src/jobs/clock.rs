//! The clock of storages that live in one process: the time of day when it was made, and from there on only
//! forward, whatever happens to the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::job::StorageTime;

/// A clock that never goes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    base: StorageTime,
    started: Instant,
}

impl Clock {
    /// Starts at the time of day, or at `not_before` if that is later: the last time that was written down.
    #[must_use]
    pub(super) fn starting(not_before: StorageTime) -> Self {
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let base = StorageTime::default().after(day).max(not_before);
        Self { base, started: Instant::now() }
    }

    /// What time it is.
    #[must_use]
    pub(super) fn now(&self) -> StorageTime {
        self.base.after(self.started.elapsed())
    }
}
