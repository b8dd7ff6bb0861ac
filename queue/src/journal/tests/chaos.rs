//! Random faults of the disk, and random damage to the files.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::mem_disk::Faults;
use super::*;
use crate::journal::{GapCause, JournalError};

#[derive(Debug, Clone)]
enum Step {
    Append { group: u64, len: usize, end: bool },
    Acknowledge(Index),
    Faults(Faults),
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        3 => Just(Faults::default()),
        2 => (0..12_000usize).prop_map(|room| Faults { room: Some(room), ..Faults::default() }),
        1 => (1..2000usize).prop_map(|len| Faults { short_writes: Some(len), ..Faults::default() }),
        1 => (0..6000usize).prop_map(|at| Faults { fail_writes_beyond: Some(at), ..Faults::default() }),
        1 => Just(Faults { fail_sync: true, ..Faults::default() }),
        1 => Just(Faults { fail_dir_sync: true, ..Faults::default() }),
    ];
    prop_oneof![
        20 => (0..5u64, 0..2500usize, any::<bool>())
            .prop_map(|(group, len, end)| Step::Append { group, len, end }),
        3 => any::<Index>().prop_map(Step::Acknowledge),
        3 => fault.prop_map(Step::Faults),
    ]
}

/// What was answered so far.
#[derive(Default)]
struct Answered {
    stored: BTreeMap<Position, Vec<u8>>,
    refused: BTreeSet<Vec<u8>>,
    /// The only one whose fate nobody knows.
    uncertain: BTreeSet<Vec<u8>>,
    open: BTreeSet<u64>,
    acknowledged: Position,
    frames: u32,
}

impl Answered {
    /// Whether the journal has to be opened again.
    fn append(&mut self, journal: &Journal, group: u64, len: usize, end: bool) -> bool {
        let kind = match (group, self.open.contains(&group), end) {
            (0, ..) => SINGLE,
            (_, false, _) => BEGIN,
            (_, true, false) => PART,
            (_, true, true) => END,
        };
        self.frames += 1;
        let body = [&self.frames.to_le_bytes()[..], &vec![7; len]].concat();
        match journal.append(kind, group, body.clone()).wait() {
            Ok(outcome) => drop(self.stored.insert(outcome.receipt().unwrap().position, body)),
            Err(JournalError::Poisoned(_)) => {
                self.uncertain.insert(body);
                return true;
            }
            Err(error) => {
                assert!(error.is_full() || matches!(error, JournalError::Write(_)), "{error}");
                self.refused.insert(body);
                return false;
            }
        }
        if kind == BEGIN {
            self.open.insert(group);
        } else if kind == END {
            self.open.remove(&group);
        }
        false
    }

    fn acknowledge(&mut self, journal: &Journal, index: &Index) -> bool {
        if self.stored.is_empty() {
            return false;
        }
        let position = *index.get(&self.stored.keys().copied().collect::<Vec<_>>());
        match journal.acknowledge(position).wait() {
            Ok(()) => self.acknowledged = self.acknowledged.max(position),
            Err(error) => return matches!(error, JournalError::Poisoned(_)),
        }
        false
    }

    /// Opens it and compares. What was uncertain is known from then on.
    fn open(&mut self, disk: &MemDisk) -> Journal {
        let (journal, recovery) = open(disk);
        assert!(recovery.gaps.iter().all(|gap| gap.cause == GapCause::Unconfirmed), "{recovery:?}");
        assert!(journal.acknowledged() >= self.acknowledged);
        self.acknowledged = journal.acknowledged();
        let frames = read(&journal, Position::START).into_iter().filter_map(Item::into_frame);
        let found: BTreeMap<Position, Vec<u8>> =
            frames.map(|frame| (frame.position, frame.body.to_vec())).collect();
        for (position, body) in self.stored.range(self.acknowledged..) {
            assert_eq!(found.get(position), Some(body), "stored");
        }
        for (position, body) in &found {
            assert!(!self.refused.contains(body), "refused");
            assert!(
                self.stored.get(position) == Some(body) || self.uncertain.contains(body),
                "stored elsewhere"
            );
        }
        self.stored.extend(found);
        self.uncertain.clear();
        self.open = recovery.open_groups.iter().map(|group| group.group).collect();
        journal
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_a_failing_disk_took_is_there(steps in prop::collection::vec(step(), 1..80), seed: u64, direct: bool) {
        let mut disk = if direct { MemDisk::direct() } else { MemDisk::default() };
        let mut rng = StdRng::seed_from_u64(seed);
        let mut answered = Answered::default();
        let mut journal = answered.open(&disk);
        for step in steps {
            let poisoned = match step {
                Step::Append { group, len, end } => answered.append(&journal, group, len, end),
                Step::Acknowledge(index) => answered.acknowledge(&journal, &index),
                Step::Faults(faults) => {
                    disk.set(|now| *now = faults);
                    false
                }
            };
            if poisoned {
                // Often the machine is restarted then, or loses power.
                let after = disk.after_power_loss(&mut rng);
                drop(journal);
                disk.set(|faults| *faults = Faults::default());
                disk = if seed % 2 == 0 { after } else { disk };
                journal = answered.open(&disk);
            }
        }
        let after = disk.after_power_loss(&mut rng);
        drop(journal);
        answered.open(&after);
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Fill(Index, Index, Option<u64>),
    Extend(Vec<u8>),
    Lose,
    /// The contents of another file.
    Replace(Index),
}

fn damage() -> impl Strategy<Value = (Index, Damage)> {
    let damage = prop_oneof![
        4 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => any::<Index>().prop_map(Damage::Cut),
        3 => any::<(Index, Index, Option<u64>)>().prop_map(|(from, to, noise)| Damage::Fill(from, to, noise)),
        1 => any::<Vec<u8>>().prop_map(Damage::Extend),
        1 => Just(Damage::Lose),
        1 => any::<Index>().prop_map(Damage::Replace),
    ];
    (any::<Index>(), damage)
}

fn inflict(disk: &MemDisk, which: Index, damage: Damage) {
    let files = disk.files(".seg");
    // The last one is only changed: that it is gone can't be told from what was never written.
    let lose = matches!(damage, Damage::Lose | Damage::Cut(_));
    let Some(path) = files.get(which.index(files.len() - usize::from(lose && files.len() > 1))) else {
        return;
    };
    match damage {
        Damage::Lose if files.len() > 1 => disk.lose(path),
        Damage::Lose => {}
        Damage::Replace(other) => {
            let bytes = disk.read(&files[other.index(files.len())]);
            disk.edit(path, |to| *to = bytes);
        }
        Damage::Extend(bytes) => disk.edit(path, |to| to.extend(bytes)),
        Damage::Cut(at) => disk.edit(path, |bytes| bytes.truncate(at.index(bytes.len() + 1))),
        Damage::Flip(at, bit) => disk.edit(path, |bytes| {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }),
        Damage::Fill(from, to, noise) => disk.edit(path, |bytes| {
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let mut rng = noise.map(StdRng::seed_from_u64);
            for byte in bytes.get_mut(from..to).unwrap_or_default() {
                *byte = rng.as_mut().map_or(0, rand::RngExt::random);
            }
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_happens_to_the_files_it_opens_and_says_what_is_missing(
        damages in prop::collection::vec(damage(), 1..5),
    ) {
        let (disk, frames) = super::damage::sample_of(15);
        for (which, damage) in damages {
            inflict(&disk, which, damage);
        }
        let (journal, recovery) = open(&disk);
        let head = journal.stats().durable;
        append(&journal, SINGLE, 0, b"goes on");
        let found: Vec<_> = read(&journal, Position::START).into_iter().filter_map(Item::into_frame).collect();
        for frame in &frames {
            let gap = recovery.gaps.iter().any(|gap| gap.from <= frame.position && frame.end <= gap.to);
            // What was last may be wiped without a trace; nothing before it.
            prop_assert!(gap || frame.position >= head || found.contains(frame), "{:?} {recovery:?}", frame.position);
        }
        let known = found.iter().filter(|frame| frames.contains(frame)).count();
        prop_assert_eq!(known + 1, found.len(), "nothing that was never appended");
        journal.close().unwrap();
        let (_, recovery) = open(&disk);
        prop_assert!(recovery.gaps.is_empty() && recovery.cut.is_none(), "mended once: {recovery:?}");
    }
}
