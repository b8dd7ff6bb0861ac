//! Which segments are still needed, and by whom.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::kind::Role;

/// The segments that exist and the groups that are open.
///
/// A segment goes although one before it stays, and with it ends of groups that have frames in the one
/// that stays: the note at the beginning of the next segment says that they are not open.
///
/// Keeps a few words for each segment and each open group, nothing for each frame, so that days of
/// unacknowledged frames cost no memory.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    segments: BTreeMap<u64, Segment>,
    /// The segments that hold frames of each open group.
    groups: HashMap<u64, Vec<u64>>,
    sealed_bytes: u64,
}

#[derive(Debug, Default)]
struct Segment {
    /// Where it ends, once it is sealed.
    end: Option<u64>,
    /// Open groups with frames in it.
    open: HashSet<u64>,
    /// The acknowledgement that makes it superfluous: the end of its last frame, or of the last
    /// frame of a group that has frames in it.
    until: u64,
}

impl Retention {
    /// A new segment, in which frames go from now on.
    pub(crate) fn start(&mut self, base: u64) {
        self.segments.insert(base, Segment { until: base, ..Segment::default() });
    }

    /// The segment is complete.
    pub(crate) fn seal(&mut self, base: u64, end: u64) {
        if let Some(segment) = self.segments.get_mut(&base) {
            segment.end = Some(end);
            self.sealed_bytes += end - base;
        }
    }

    /// A frame is in a segment. Of a group whose begin was lost, the first frame left opens it.
    pub(crate) fn frame(&mut self, base: u64, role: Role, group: u64, end: u64) {
        if let Some(segment) = self.segments.get_mut(&base) {
            segment.until = segment.until.max(end);
        }
        match role {
            Role::Single => {}
            Role::Begin | Role::Part => {
                let segments = self.groups.entry(group).or_default();
                if segments.last() != Some(&base) {
                    segments.push(base);
                    if let Some(segment) = self.segments.get_mut(&base) {
                        segment.open.insert(group);
                    }
                }
            }
            Role::End => self.close(group, end),
        }
    }

    /// A group needs its segments until its end is acknowledged.
    pub(crate) fn close(&mut self, group: u64, end: u64) {
        for base in self.groups.remove(&group).unwrap_or_default() {
            if let Some(segment) = self.segments.get_mut(&base) {
                segment.open.remove(&group);
                segment.until = segment.until.max(end);
            }
        }
    }

    pub(crate) fn is_open(&self, group: u64) -> bool {
        self.groups.contains_key(&group)
    }

    pub(crate) fn open_ids(&self) -> impl Iterator<Item = u64> {
        self.groups.keys().copied()
    }

    pub(crate) fn open_groups(&self) -> usize {
        self.groups.len()
    }

    /// Whether nobody needs what is in the segment.
    pub(crate) fn is_done(&self, base: u64, ack: u64) -> bool {
        self.segments.get(&base).is_some_and(|segment| segment.is_done(ack))
    }

    /// Whether no frame of a user is in the segment.
    pub(crate) fn is_unused(&self, base: u64) -> bool {
        self.segments.get(&base).is_some_and(|segment| segment.until == base && segment.open.is_empty())
    }

    /// The sealed segments that nobody needs.
    pub(crate) fn superfluous(&self, ack: u64) -> Vec<u64> {
        let going = self.segments.iter().filter(|(_, segment)| segment.end.is_some() && segment.is_done(ack));
        going.map(|(base, _)| *base).collect()
    }

    pub(crate) fn remove(&mut self, base: u64) {
        if let Some(segment) = self.segments.remove(&base) {
            self.sealed_bytes -= segment.end.map_or(0, |end| end - base);
        }
    }

    /// Beginning and end of the sealed segments.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = (u64, u64)> {
        self.segments.iter().filter_map(|(base, segment)| Some((*base, segment.end?)))
    }

    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.sealed_bytes
    }

    /// Beginning of the oldest segment.
    pub(crate) fn oldest(&self) -> u64 {
        self.segments.keys().next().copied().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.segments.len()
    }
}

impl Segment {
    fn is_done(&self, ack: u64) -> bool {
        self.open.is_empty() && self.until <= ack
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_holds_its_segments_until_its_end_is_acknowledged() {
        let mut retention = Retention::default();
        for base in [0, 100, 200, 300] {
            retention.start(base);
        }
        retention.frame(0, Role::Begin, 1, 50);
        retention.frame(100, Role::Single, 0, 150);
        retention.frame(200, Role::Part, 1, 250);
        for base in [0, 100, 200] {
            retention.seal(base, base + 100);
        }
        assert_eq!(retention.superfluous(250), [100]);
        retention.remove(100);
        assert_eq!(retention.sealed().collect::<Vec<_>>(), [(0, 100), (200, 300)]);
        retention.frame(300, Role::End, 1, 350);
        assert!(!retention.is_open(1));
        assert!(retention.superfluous(349).is_empty());
        assert_eq!(retention.superfluous(350), [0, 200]);
        assert_eq!((retention.sealed_bytes(), retention.oldest()), (200, 0));
    }
}
