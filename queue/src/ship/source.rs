//! What a record is made from, and its line.

use super::assemble::{Assemble, Group};
use super::groups::{Groups, Held};
use crate::journal::{Frame, Gap, Item, Journal, JournalError, Role, Stamp};

/// What a record is made from.
#[derive(Debug)]
pub(crate) enum Source {
    Group(Vec<Held>),
    Single(Frame),
    Gap(Gap),
}

impl Source {
    /// What the next item of the journal completes, if it does, and the time that it says.
    pub(crate) fn of(
        item: Item,
        groups: &mut Groups,
        assemble: &dyn Assemble,
    ) -> Option<(Self, Option<u64>)> {
        match item {
            Item::Gap(gap) => Some((Self::Gap(gap), None)),
            Item::Frame(frame) if frame.kind.role() == Role::Single => {
                let at = assemble.single_at(&frame);
                Some((Self::Single(frame), at))
            }
            Item::Frame(frame) => {
                let at = frame.stamp.map(|stamp| stamp.at_millis);
                Some((Self::Group(groups.take(frame)?), at))
            }
        }
    }

    /// Its line. Frames that are not in memory are read again, on this thread.
    pub(crate) fn line(
        &self,
        stamp: Stamp,
        journal: &Journal,
        assemble: &dyn Assemble,
    ) -> Result<Vec<u8>, JournalError> {
        Ok(match self {
            Self::Group(frames) => assemble.group(stamp, &whole(frames, journal)?),
            Self::Single(frame) => assemble.single(stamp, frame),
            Self::Gap(gap) => assemble.gap(stamp, gap),
        })
    }

    /// Length of the contents of its frames.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Group(frames) => frames.iter().map(|held| held.len).sum(),
            Self::Single(frame) => frame.body.len(),
            Self::Gap(_) => 0,
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// The frames of a group; counts those that are not there any more.
pub(crate) fn whole(held: &[Held], journal: &Journal) -> Result<Group, JournalError> {
    let mut group = Group { frames: Vec::with_capacity(held.len()), lost: 0 };
    for Held { position, frame, .. } in held {
        match frame.as_deref().cloned().map_or_else(|| journal.read(*position), Ok) {
            Ok(frame) => group.frames.push(frame),
            Err(JournalError::NotFound(_)) => group.lost += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(group)
}
