//! What is missing.

use super::kind::Kind;
use super::position::Position;

/// A range of the journal that could not be read: what was there is lost.
///
/// Found when the journal is opened, kept in its place, and given to every
/// [`Reader`](super::Reader) until it is acknowledged like a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Where it begins.
    pub from: Position,
    /// Where the next readable byte is.
    pub to: Position,
    /// Why it is missing.
    pub cause: GapCause,
    /// What was there, as far as that is known.
    pub lost: Lost,
}

/// Why a range is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// It was on disk, and the disk now holds something else.
    Damaged,
    /// It was written last before a crash. It may have been on disk, and its append acknowledged,
    /// or it may never have got there.
    Unconfirmed,
    /// The file of the segment is gone.
    MissingSegment,
    /// It was acknowledged and removed before the reader came to it. Only those readers hear of it that
    /// ask, see [`Reader::telling_removed`](super::Reader::telling_removed).
    Removed,
}

/// What was in a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Any number of frames.
    Unknown,
    /// One frame, whose contents are lost.
    Frame {
        /// Its kind.
        kind: Kind,
        /// Its group.
        group: u64,
    },
    /// Nothing but the journal's own notes; what was acknowledged may be seen again.
    Notes,
}

/// Bytes after the last whole frame, cut off when the journal was opened.
///
/// After a crash that is a write that did not get through, so its append was never acknowledged. A
/// damaged last frame looks the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Where the journal ends now.
    pub at: Position,
    /// How many bytes were there.
    pub bytes: u64,
}

impl Lost {
    /// What a header that can be read says of its lost body.
    pub(crate) fn of_frame(kind: u8, group: u64) -> Self {
        Kind::from_byte(kind).map_or(Self::Notes, |kind| Self::Frame { kind, group })
    }
}
