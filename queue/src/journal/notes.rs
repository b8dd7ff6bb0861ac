//! The journal's own frames.

use bytes::Bytes;

use super::frame::{self, Parsed, u64_of};
use super::gap::{Gap, GapCause, Lost};
use super::kind::Kind;
use super::position::{Position, narrow, wide};

/// First frame of a segment.
pub(crate) const SEGMENT: u8 = 1;
/// An acknowledgement.
pub(crate) const ACK: u8 = 2;
/// A range that was lost.
pub(crate) const GAP: u8 = 3;
/// A clean end: what is before it was on disk.
pub(crate) const CLOSE: u8 = 4;

/// The format that this release reads and writes.
pub(crate) const FORMAT: u64 = 1;

/// What the first frame of a segment says, so that no earlier segment is needed to know it. Its header
/// and its first number, the format, are the same in every format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentNote {
    pub(crate) format: u64,
    pub(crate) id: u64,
    pub(crate) ack: u64,
    pub(crate) next_seq: u64,
    pub(crate) last_at: u64,
    /// Beginning and end of each earlier segment that is kept.
    pub(crate) kept: Vec<(u64, u64)>,
    /// The groups that are open here. Others that seem so ended in a segment that was removed.
    pub(crate) open: Vec<u64>,
    /// The user's mark, as of the last acknowledgement.
    pub(crate) mark: Bytes,
}

impl SegmentNote {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let kept = wide(self.kept.len());
        let fields = [self.format, self.id, self.ack, self.next_seq, self.last_at, kept];
        let kept = self.kept.iter().flat_map(|(base, end)| [*base, *end]);
        let open = [wide(self.open.len())].into_iter().chain(self.open.iter().copied());
        let numbers = fields.into_iter().chain(kept).chain(open);
        numbers.flat_map(u64::to_le_bytes).chain(self.mark.iter().copied()).collect()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let (format, body) = u64_of(body)?;
        let (id, body) = u64_of(body)?;
        let (ack, body) = u64_of(body)?;
        let (next_seq, body) = u64_of(body)?;
        let (last_at, body) = u64_of(body)?;
        let (kept, body) = u64_of(body)?;
        let (kept, body) = body.split_at_checked(narrow(kept).checked_mul(16)?)?;
        let (open, mark) = counted(body)?;
        let numbers = self::numbers(kept);
        let kept = numbers.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect();
        Some(Self { format, id, ack, next_seq, last_at, kept, open, mark: Bytes::copy_from_slice(mark) })
    }
}

/// The format of a segment, if its first frame can be read.
pub(crate) fn format(bytes: &[u8], base: u64) -> Option<u64> {
    match frame::parse(bytes, base) {
        Parsed::Whole(header) if header.kind == SEGMENT => Some(u64_of(header.body(bytes))?.0),
        _ => None,
    }
}

/// An acknowledgement, and the segments that it makes superfluous: their files are removed once it
/// is on disk, and a crash in between leaves files that the next start knows to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AckNote {
    pub(crate) ack: u64,
    pub(crate) dropped: Vec<u64>,
    /// The user's mark.
    pub(crate) mark: Bytes,
}

impl AckNote {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = [self.ack, wide(self.dropped.len())];
        let numbers = numbers.iter().chain(&self.dropped).flat_map(|number| number.to_le_bytes());
        numbers.chain(self.mark.iter().copied()).collect()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let (ack, body) = u64_of(body)?;
        let (dropped, mark) = counted(body)?;
        Some(Self { ack, dropped, mark: Bytes::copy_from_slice(mark) })
    }
}

/// The body of a frame that stands for a gap; the lost group is in its header.
pub(crate) fn encode_gap(cause: GapCause, lost: Lost) -> [u8; 8] {
    let cause = match cause {
        GapCause::Damaged => 0,
        GapCause::Unconfirmed => 1,
        GapCause::MissingSegment => 2,
        GapCause::Removed => 3,
    };
    let (what, kind) = match lost {
        Lost::Unknown => (0, 0),
        Lost::Frame { kind, .. } => (1, kind.to_byte()),
        Lost::Notes => (2, 0),
    };
    [cause, what, kind, 0, 0, 0, 0, 0]
}

/// The gap from `from` to `to` that a frame stands for.
pub(crate) fn decode_gap(body: &[u8], group: u64, from: u64, to: u64) -> Gap {
    let mut bytes = body.iter().copied();
    let mut next = || bytes.next().unwrap_or_default();
    let cause = match next() {
        1 => GapCause::Unconfirmed,
        2 => GapCause::MissingSegment,
        3 => GapCause::Removed,
        _ => GapCause::Damaged,
    };
    let lost = match (next(), Kind::from_byte(next())) {
        (1, Some(kind)) => Lost::Frame { kind, group },
        (2, _) => Lost::Notes,
        _ => Lost::Unknown,
    };
    Gap { from: Position::new(from), to: Position::new(to), cause, lost }
}

/// Numbers after their count, and what follows them.
fn counted(bytes: &[u8]) -> Option<(Vec<u64>, &[u8])> {
    let (count, bytes) = u64_of(bytes)?;
    let (numbers, rest) = bytes.split_at_checked(narrow(count).checked_mul(8)?)?;
    Some((self::numbers(numbers), rest))
}

fn numbers(mut bytes: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some((number, rest)) = u64_of(bytes) {
        numbers.push(number);
        bytes = rest;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_survive_the_disk() {
        let segment = SegmentNote {
            format: 1,
            id: 2,
            ack: 3,
            next_seq: 4,
            last_at: 5,
            kept: vec![(6, 7), (8, 9)],
            open: vec![5],
            mark: Bytes::from_static(b"mark"),
        };
        assert_eq!(SegmentNote::decode(&segment.encode()), Some(segment));
        let ack = AckNote { ack: 1, dropped: vec![2, 3], mark: Bytes::from_static(b"x") };
        assert_eq!(AckNote::decode(&ack.encode()), Some(ack));
        for lost in [Lost::Unknown, Lost::Notes, Lost::Frame { kind: Kind::part::<3>(), group: 9 }] {
            for cause in [GapCause::Damaged, GapCause::Unconfirmed, GapCause::MissingSegment] {
                let gap = decode_gap(&encode_gap(cause, lost), 9, 0, 8);
                assert_eq!((gap.cause, gap.lost), (cause, lost));
            }
        }
    }
}
