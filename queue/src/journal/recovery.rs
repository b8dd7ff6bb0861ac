//! What was found when a journal was opened.

use std::path::PathBuf;

use bytes::Bytes;

use super::gap::{Cut, Gap};
use super::position::Position;

/// What [`Journal::open`](super::Journal::open) found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// What [`Journal::acknowledge_with`](super::Journal::acknowledge_with) was given last; empty if it
    /// never was, or if the notes that held it are lost.
    pub mark: Bytes,
    /// Groups without an end, oldest first. They stay open, and stay on disk, until somebody appends
    /// their end.
    pub open_groups: Vec<OpenGroup>,
    /// Groups with frames before the acknowledged position that ended after it: who reads on from
    /// there does not meet those frames again.
    pub spanning_groups: Vec<OpenGroup>,
    /// What was found missing this time. Readers see it too, and what was found earlier, until it
    /// is acknowledged.
    pub gaps: Vec<Gap>,
    /// What was cut off at the end.
    pub cut: Option<Cut>,
    /// Copies of damaged segments as they were found. Nothing reads them; remove them at will.
    pub set_aside: Vec<PathBuf>,
}

/// A group, and where its frames before the end are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenGroup {
    /// Its id.
    pub group: u64,
    /// Where its frames are.
    pub frames: Vec<Position>,
    /// Whether its begin is among them; it may be lost in a [`Gap`].
    pub has_begin: bool,
}
