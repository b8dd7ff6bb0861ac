//! What the user of the shipper adds: how the frames of a record become its line.

use crate::journal::{Frame, Gap, Stamp};

/// Makes lines of records.
///
/// Each line is one JSON object without a line break; the shipper adds `"prev"` as its last member.
/// What is no object is shipped as `{"malformed":"<its bytes in hexadecimal>"}`, so that nothing is lost.
///
/// The same frames must give the same line: after a crash, a batch is made again. If a later release
/// makes another line of them, the batches under way (at most as many as uploads are) are noticed and
/// shipped under the rules of a [conflict](super::PutError::Conflict).
///
/// The stamp's `seq` numbers the lines of a node: groups, single frames and gaps, in the order in which
/// they ended in the journal. As long as there are only groups, it is that of the journal. Its `at_millis`
/// never decreases.
pub trait Assemble: Send + Sync {
    /// The line of a group that has ended.
    fn group(&self, stamp: Stamp, group: &Group) -> Vec<u8>;

    /// The line of a frame that stands alone.
    fn single(&self, stamp: Stamp, frame: &Frame) -> Vec<u8>;

    /// The line that says that something is missing.
    fn gap(&self, stamp: Stamp, gap: &Gap) -> Vec<u8>;

    /// When a frame that stands alone was written, in milliseconds since 1970, if its contents say so:
    /// the journal stamps only the ends of groups. Otherwise it gets the time of the record before it, and the first
    /// of all that of 1970, which is then the hour in the key of its batch.
    fn single_at(&self, frame: &Frame) -> Option<u64> {
        let _ = frame;
        None
    }
}

/// The frames of a group that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// In order; the end is the last. The begin is missing if it was lost.
    pub frames: Vec<Frame>,
    /// How many more there were that can't be read any more.
    pub lost: usize,
}
