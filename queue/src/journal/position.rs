//! Places in the journal, and conversions between the sizes of memory and of files.

use std::fmt;

/// A place in the journal: the number of bytes written before it since the journal was made.
///
/// Positions only grow and are never used twice for what was acknowledged, so they can be kept and
/// compared across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// Before the first frame that a journal ever held.
    pub const START: Self = Self(0);

    /// The position that a number from [`as_u64`](Self::as_u64) stands for.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The position as a number, to be kept elsewhere.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A size in memory as a size in a file.
pub(crate) fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A size in a file as a size in memory; segments are far smaller than either limit.
pub(crate) fn narrow(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
