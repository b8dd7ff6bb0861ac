//! What a journal counts.

use std::time::Duration;

use super::position::Position;

/// Counters since the journal was opened, and its present size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames written.
    pub frames: u64,
    /// Bytes written, headers and the journal's own frames included.
    pub bytes: u64,
    /// Syncs, each of which served all appends that were waiting.
    pub commits: u64,
    /// Time spent in syncs.
    pub commit_time: Duration,
    /// The longest sync.
    pub slowest_commit: Duration,
    /// Frames dropped for want of room.
    pub dropped: u64,
    /// Frames refused for want of room.
    pub rejected: u64,
    /// Groups without an end.
    pub open_groups: usize,
    /// Segments on disk.
    pub segments: usize,
    /// Bytes of frames on disk.
    pub bytes_on_disk: u64,
    /// Bytes of frames from which on no new group is taken: what the limit leaves for segments that are
    /// prepared and for groups that are open.
    pub capacity: u64,
    /// Whether the last frame that needed a new segment got none: mostly because the disk is full.
    pub no_segment: bool,
    /// Beginning of the oldest segment.
    pub oldest: Position,
    /// Up to where everything is acknowledged.
    pub acknowledged: Position,
    /// Up to where everything is on disk.
    pub durable: Position,
}
