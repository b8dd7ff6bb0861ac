//! Groups that have not ended: where their frames are, and the newest of them in memory.

use std::collections::HashMap;

use crate::journal::{Frame, OpenGroup, Position, Role};

/// A frame, or where to read it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) position: Position,
    /// Length of its contents; 0 for those that an earlier process met.
    pub(crate) len: usize,
    /// Boxed: most frames of groups that are open for long are not in memory.
    pub(crate) frame: Option<Box<Frame>>,
}

/// A few words for each frame of an open group, and contents up to a limit.
#[derive(Debug)]
pub(crate) struct Groups {
    open: HashMap<u64, Vec<Held>>,
    cached: usize,
    cache: usize,
}

impl Groups {
    /// The groups that had frames before the place where reading begins.
    pub(crate) fn new<'a>(known: impl Iterator<Item = &'a OpenGroup>, from: Position, cache: usize) -> Self {
        let mut open: HashMap<u64, Vec<Held>> = HashMap::new();
        for group in known {
            let before = group.frames.iter().filter(|position| **position < from);
            let held = before.map(|position| Held { position: *position, len: 0, frame: None });
            open.entry(group.group).or_default().extend(held);
        }
        open.retain(|_, frames| !frames.is_empty());
        Self { open, cached: 0, cache }
    }

    /// Takes the next frame of a group; gives all of them if it is the end.
    pub(crate) fn take(&mut self, frame: Frame) -> Option<Vec<Held>> {
        let (group, role) = (frame.group, frame.kind.role());
        if role == Role::Begin {
            // One with the same id ended in a place that is lost.
            self.forget(group);
        }
        let len = frame.body.len();
        let held = Held { position: frame.position, len, frame: Some(Box::new(frame)) };
        if role == Role::End {
            let mut frames = self.forget(group);
            frames.push(held);
            return Some(frames);
        }
        self.open.entry(group).or_default().push(held);
        self.cached += len;
        if self.cached > self.cache {
            self.drop_cache();
        }
        None
    }

    fn forget(&mut self, group: u64) -> Vec<Held> {
        let frames = self.open.remove(&group).unwrap_or_default();
        self.cached -= frames.iter().filter(|held| held.frame.is_some()).map(|held| held.len).sum::<usize>();
        frames
    }

    /// Groups that stay open for long are read again in the end, and the cache serves the others.
    fn drop_cache(&mut self) {
        for frames in self.open.values_mut() {
            // Those in memory are the last ones: all before went with an earlier round.
            let cached = frames.iter_mut().rev().take_while(|held| held.frame.is_some());
            cached.for_each(|held| held.frame = None);
        }
        self.cached = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Kind;

    fn frame(position: u64, kind: Kind, group: u64, len: usize) -> Frame {
        let (position, end) = (Position::new(position), Position::new(position + 1));
        Frame { position, end, kind, group, stamp: None, body: vec![0; len].into() }
    }

    #[test]
    fn frames_are_given_in_order_and_few_are_kept() {
        let known = [
            OpenGroup { group: 1, frames: [2, 11].map(Position::new).to_vec(), has_begin: true },
            OpenGroup { group: 9, frames: vec![Position::new(12)], has_begin: true },
        ];
        let mut groups = Groups::new(known.iter(), Position::new(10), 10);
        let (begin, part, end) = (Kind::begin::<0>(), Kind::part::<0>(), Kind::end::<0>());
        assert_eq!(groups.take(frame(11, part, 1, 6)), None);
        assert_eq!(groups.take(frame(12, begin, 9, 5)), None);
        let cached = |held: &Held| (held.position.as_u64(), held.frame.is_some());
        let one: Vec<_> = groups.take(frame(13, end, 1, 100)).unwrap().iter().map(cached).collect();
        assert_eq!(one, [(2, false), (11, false), (13, true)]);
        assert_eq!(groups.take(frame(14, begin, 7, 5)), None);
        let nine: Vec<_> = groups.take(frame(15, end, 9, 0)).unwrap().iter().map(cached).collect();
        assert_eq!(nine, [(12, false), (15, true)]);
        assert_eq!(groups.take(frame(16, begin, 7, 4)), None, "the first 7 ended in a gap");
        let seven: Vec<_> = groups.take(frame(17, end, 7, 0)).unwrap().iter().map(cached).collect();
        assert_eq!(seven, [(16, true), (17, true)]);
        assert_eq!((groups.cached, groups.open.len()), (0, 0));
    }
}
