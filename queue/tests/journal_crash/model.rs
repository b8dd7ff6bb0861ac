//! All that the children ever told, and whether a journal agrees with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use lockstep_queue::journal::{Item, Journal, OpenGroup, Position};

use crate::options;
use crate::report::{BEGIN, END, Known, Report, SINGLE};

#[derive(Debug, Default)]
pub(crate) struct Model {
    /// By position.
    frames: BTreeMap<u64, Known>,
    acknowledged: u64,
    acknowledgements: u64,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames, {} acknowledgements", self.frames.len(), self.acknowledgements)
    }
}

impl Model {
    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn acknowledgements(&self) -> u64 {
        self.acknowledgements
    }

    pub(crate) fn told(&mut self, report: Report) {
        match report {
            Report::Frame(frame) => self.frame(frame),
            Report::Acknowledged(position) => {
                self.acknowledged = self.acknowledged.max(position);
                self.acknowledgements += 1;
            }
        }
    }

    /// Two that say something of one place must say the same.
    fn frame(&mut self, frame: Known) {
        assert_eq!(*self.frames.entry(frame.position).or_insert(frame), frame);
    }

    /// Compares a journal with what is known, and learns what got through without being told.
    pub(crate) fn check(&mut self, dir: &Path, round: u64) {
        let (journal, recovery) = Journal::open(options(dir)).unwrap();
        assert!(recovery.gaps.is_empty() && recovery.set_aside.is_empty(), "{round}: {recovery:?}");
        let acknowledged = journal.acknowledged().as_u64();
        assert!(acknowledged >= self.acknowledged, "{round}");

        let mut reader = journal.reader(Position::START);
        let mut found = HashSet::new();
        let mut last = 0;
        while let Some(item) = reader.try_next().unwrap() {
            let Item::Frame(frame) = item else { panic!("{round}: a gap: {item:?}") };
            let frame = Known::read(&frame);
            assert!(last <= frame.position, "{round}: {frame:?} after {last}");
            last = frame.end;
            self.frame(frame);
            found.insert(frame.position);
        }
        for position in self.frames.range(acknowledged..).map(|(position, _)| position) {
            assert!(found.contains(position), "{round}: {position} is lost");
        }
        self.check_order(round);

        let (open, spanning) = self.groups(acknowledged);
        assert_eq!(recovery.open_groups, open, "{round}");
        assert_eq!(recovery.spanning_groups, spanning, "{round}");
        for position in open.iter().chain(&spanning).flat_map(|group| &group.frames) {
            assert_eq!(Known::read(&journal.read(*position).unwrap()), self.frames[&position.as_u64()]);
        }
        journal.close().unwrap();
    }

    /// No frame is there twice, those of a thread are in its order, and stamps have neither holes nor
    /// times that go back.
    fn check_order(&self, round: u64) {
        let mut ends = 0;
        let mut latest = 0;
        let mut last = HashMap::new();
        let mut end = 0;
        for frame in self.frames.values() {
            assert!(frame.position >= end, "{round}: {frame:?} overlaps another");
            end = frame.end;
            let before = last.insert(frame.number >> 24, frame.number);
            assert!(before.is_none_or(|before| before < frame.number), "{round}: {frame:?} after {before:?}");
            if let Some((seq, at)) = frame.stamp {
                assert_eq!(seq, ends, "{round}: {frame:?}");
                assert!(at >= latest, "{round}: {frame:?} after {latest}");
                (ends, latest) = (ends + 1, at);
            }
        }
    }

    /// The groups without an end, and those that began before a position and ended after it.
    fn groups(&self, acknowledged: u64) -> (Vec<OpenGroup>, Vec<OpenGroup>) {
        let mut open: HashMap<u64, OpenGroup> = HashMap::new();
        let mut spanning = Vec::new();
        for frame in self.frames.values().filter(|frame| frame.role != SINGLE) {
            let fresh = OpenGroup { group: frame.group, frames: Vec::new(), has_begin: true };
            if frame.role == END {
                let group = open.remove(&frame.group).unwrap();
                if frame.end > acknowledged && group.frames[0].as_u64() < acknowledged {
                    spanning.push(group);
                }
            } else {
                assert_eq!(frame.role == BEGIN, !open.contains_key(&frame.group), "{frame:?}");
                let group = open.entry(frame.group).or_insert(fresh);
                group.frames.push(Position::new(frame.position));
            }
        }
        let mut open: Vec<OpenGroup> = open.into_values().collect();
        open.sort_by_key(|group| group.frames[0]);
        (open, spanning)
    }
}
