//! Random runs, compared with a list.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append { role: u8, group: u64, len: usize, synced: bool },
    Acknowledge(prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..4u8, 0..4u64, 0..1500usize, any::<bool>())
            .prop_map(|(role, group, len, synced)| Step::Append { role, group, len, synced }),
        3 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct Model {
    frames: Vec<(Receipt, Kind, u64, Vec<u8>)>,
    open: BTreeSet<u64>,
    ack: Position,
    ends: u64,
}

impl Model {
    fn append(&mut self, journal: &Journal, role: u8, group: u64, len: usize, synced: bool) {
        let kind = [SINGLE, BEGIN, PART, END][usize::from(role)];
        let body = vec![role + 1; len];
        let pending = if synced {
            journal.append(kind, group, body.clone())
        } else {
            journal.append_unsynced(kind, group, body.clone())
        };
        let outcome = pending.wait();
        assert_eq!(outcome.is_ok(), kind == SINGLE || (kind == BEGIN) != self.open.contains(&group));
        let Ok(outcome) = outcome else { return };
        let receipt = outcome.receipt().unwrap();
        if kind == BEGIN {
            self.open.insert(group);
        } else if kind == END {
            self.open.remove(&group);
            assert_eq!(receipt.stamp.unwrap().seq, self.ends);
            self.ends += 1;
        }
        self.frames.push((receipt, kind, group, body));
    }

    fn check(&self, journal: &Journal, open: &BTreeSet<u64>) {
        assert_eq!(open, &self.open);
        assert_eq!(journal.acknowledged(), self.ack);
        let found = read(journal, Position::START).into_iter().map(|item| item.into_frame().unwrap());
        let found: Vec<_> =
            found.map(|frame| (frame.position, frame.kind, frame.group, frame.body.to_vec())).collect();
        let all: Vec<_> = self
            .frames
            .iter()
            .map(|(receipt, kind, group, body)| (receipt.position, *kind, *group, body.clone()))
            .collect();
        // What is left is in order and none of it is new; what is needed is left.
        assert!(found.is_sorted_by_key(|frame| frame.0) && found.iter().all(|frame| all.contains(frame)));
        let mut ended = BTreeSet::new();
        for (frame, (receipt, kind, group, _)) in all.iter().zip(&self.frames).rev() {
            if *kind == END && receipt.end <= self.ack {
                ended.insert(*group);
            }
            let needed = receipt.end > self.ack || (*kind != SINGLE && !ended.contains(group));
            assert!(!needed || found.contains(frame), "{frame:?} is needed");
            if *kind == BEGIN {
                ended.remove(group);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_does_what_a_list_does(steps in prop::collection::vec(step(), 1..120), direct: bool) {
        let disk = if direct { MemDisk::direct() } else { MemDisk::default() };
        let (mut journal, _) = open(&disk);
        let mut model = Model::default();
        for step in steps.into_iter().chain([Step::Restart]) {
            match step {
                Step::Append { role, group, len, synced } => model.append(&journal, role, group, len, synced),
                Step::Acknowledge(index) if !model.frames.is_empty() => {
                    let upto = model.frames[index.index(model.frames.len())].0.end;
                    journal.acknowledge(upto).wait().unwrap();
                    model.ack = model.ack.max(upto);
                }
                Step::Acknowledge(_) => {}
                Step::Restart => {
                    journal.close().unwrap();
                    let recovery;
                    (journal, recovery) = open(&disk);
                    assert!(recovery.gaps.is_empty() && recovery.cut.is_none());
                    let groups = recovery.open_groups.iter().map(|group| group.group).collect();
                    model.check(&journal, &groups);
                }
            }
        }
    }
}
