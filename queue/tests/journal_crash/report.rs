//! What the child tells the parent, a line at a time.

use std::io::Write as _;
use std::str::FromStr;

use lockstep_queue::journal::{Frame, Kind, Receipt, Role};

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// A frame is in the journal.
    Frame(Known),
    /// Everything before a position is acknowledged.
    Acknowledged(u64),
}

/// A frame without its contents, which follow from its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) position: u64,
    pub(crate) end: u64,
    pub(crate) role: u8,
    pub(crate) group: u64,
    /// A number that no other frame has; within a thread of a child they increase.
    pub(crate) number: u64,
    /// Number and time of its stamp.
    pub(crate) stamp: Option<(u64, u64)>,
}

pub(crate) const KINDS: [Kind; 4] =
    [Kind::single::<1>(), Kind::begin::<2>(), Kind::part::<3>(), Kind::end::<4>()];
pub(crate) const SINGLE: u8 = 0;
pub(crate) const BEGIN: u8 = 1;
pub(crate) const PART: u8 = 2;
pub(crate) const END: u8 = 3;

/// The contents of the frame with this number.
pub(crate) fn body(number: u64, len: usize) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(len.max(8), number.to_le_bytes()[0]);
    body
}

impl Known {
    pub(crate) fn appended(receipt: &Receipt, role: u8, group: u64, number: u64) -> Self {
        let stamp = receipt.stamp.map(|stamp| (stamp.seq, stamp.at_millis));
        let (position, end) = (receipt.position.as_u64(), receipt.end.as_u64());
        Self { position, end, role, group, number, stamp }
    }

    /// A frame that was read; its contents must be those that were appended.
    pub(crate) fn read(frame: &Frame) -> Self {
        let number = u64::from_le_bytes(frame.body[..8].try_into().unwrap());
        assert_eq!(frame.body, body(number, frame.body.len()));
        let role = match frame.kind.role() {
            Role::Single => SINGLE,
            Role::Begin => BEGIN,
            Role::Part => PART,
            Role::End => END,
        };
        assert_eq!(frame.kind, KINDS[usize::from(role)]);
        let receipt = Receipt { position: frame.position, end: frame.end, stamp: frame.stamp };
        Self::appended(&receipt, role, frame.group, number)
    }
}

impl Report {
    /// Writes the line at once, so that it is whole or not there.
    pub(crate) fn tell(self) {
        let line = match self {
            Self::Acknowledged(position) => format!("A {position}\n"),
            Self::Frame(Known { position, end, role, group, number, stamp }) => {
                let (seq, at) = stamp.unwrap_or_default();
                format!("F {position} {end} {role} {group} {number} {seq} {at}\n")
            }
        };
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

impl FromStr for Report {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (what, numbers) = line.split_once(' ').ok_or(())?;
        let numbers: Vec<u64> = numbers.split(' ').flat_map(str::parse).collect();
        match (what, &numbers[..]) {
            ("A", [position]) => Ok(Self::Acknowledged(*position)),
            ("F", [position, end, role, group, number, seq, at]) => Ok(Self::Frame(Known {
                position: *position,
                end: *end,
                role: u8::try_from(*role).map_err(drop)?,
                group: *group,
                number: *number,
                stamp: (*role == u64::from(END)).then_some((*seq, *at)),
            })),
            _ => Err(()),
        }
    }
}
