//! The end of the process or of the power at every moment: of what was not synced, any sectors and any
//! names may be there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::journal::GapCause;

#[test]
fn what_was_acknowledged_survives_a_power_loss() {
    for seed in 0..300 {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let mut disk = if seed % 2 == 0 { MemDisk::default() } else { MemDisk::direct() };
        let mut kept: Vec<(Position, Vec<u8>)> = Vec::new();
        let mut acknowledged = Position::START;
        for _ in 0..6 {
            let (journal, recovery) = open(&disk);
            assert!(
                recovery.gaps.iter().all(|gap| gap.cause == GapCause::Unconfirmed),
                "{seed} {recovery:?}"
            );
            assert!(journal.acknowledged() >= acknowledged, "{seed}");
            let found = read(&journal, Position::START);
            let positions: Vec<Position> = found.iter().map(Item::end).collect();
            assert!(positions.is_sorted());
            for (end, body) in kept.iter().filter(|(end, _)| *end > journal.acknowledged()) {
                let frame = found.iter().find(|item| item.end() == *end).cloned().and_then(Item::into_frame);
                assert_eq!(frame.unwrap_or_else(|| panic!("{seed}: {end} is lost")).body, body);
            }
            for _ in 0..rng.random_range(1..20) {
                let body = vec![rng.random(); rng.random_range(0..1500)];
                if rng.random_bool(0.7) {
                    kept.push((append(&journal, SINGLE, 0, &body).end, body));
                } else {
                    journal.append_unsynced(SINGLE, 0, body).wait().unwrap();
                }
                if rng.random_bool(0.1) && !kept.is_empty() {
                    acknowledged = kept[rng.random_range(kept.len() / 2..kept.len())].0.max(acknowledged);
                    journal.acknowledge(acknowledged).wait().unwrap();
                }
            }
            // Some appends are still under way.
            let under_way: Vec<_> = (0..3).map(|_| journal.append(SINGLE, 0, vec![1; 900])).collect();
            let after = disk.after_power_loss(&mut rng);
            drop((under_way, journal));
            disk = after;
        }
    }
}

/// Something that was answered.
enum Event {
    Appended { receipt: Receipt, kind: Kind, group: u64, body: Vec<u8> },
    Acknowledged(Position),
}

/// Appends and acknowledges at random. `answered` counts along.
fn work(journal: &Journal, rng: &mut StdRng, answered: &AtomicUsize) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut open = BTreeSet::new();
    for _ in 0..60 {
        let group = rng.random_range(0..5);
        let kind = match (rng.random_range(0..4), open.contains(&group)) {
            (0, _) => SINGLE,
            (_, false) => BEGIN,
            (1, true) => PART,
            (_, true) => END,
        };
        if kind == BEGIN {
            open.insert(group);
        } else if kind == END {
            open.remove(&group);
        }
        let longest = if rng.random_bool(0.05) { 9000 } else { 1200 };
        let body = vec![rng.random(); rng.random_range(0..longest)];
        let receipt = append(journal, kind, group, &body);
        let last = receipt.end;
        events.push(Event::Appended { receipt, kind, group, body });
        answered.store(events.len(), Ordering::SeqCst);
        if rng.random_bool(0.2) {
            journal.acknowledge(last).wait().unwrap();
            events.push(Event::Acknowledged(last));
            answered.store(events.len(), Ordering::SeqCst);
        }
    }
    events
}

fn open_after(events: &[Event]) -> BTreeSet<u64> {
    let mut open = BTreeSet::new();
    for event in events {
        match event {
            Event::Appended { kind: BEGIN, group, .. } => drop(open.insert(*group)),
            Event::Appended { kind: END, group, .. } => drop(open.remove(group)),
            _ => {}
        }
    }
    open
}

/// Opens what is left and compares it with what was answered, and with what was asked for.
fn check(disk: &MemDisk, answered: &[Event], asked: &[Event], case: &str) {
    let (journal, recovery) = open(disk);
    assert!(recovery.gaps.iter().all(|gap| gap.cause == GapCause::Unconfirmed), "{case} {recovery:?}");
    let acks = |events: &[Event]| {
        let acks = events
            .iter()
            .map(|event| if let Event::Acknowledged(at) = event { *at } else { Position::START });
        acks.max().unwrap_or_default()
    };
    let ack = journal.acknowledged();
    assert!(acks(answered) <= ack && ack <= acks(asked), "{case}");
    let found: Vec<_> = read(&journal, Position::START).into_iter().filter_map(Item::into_frame).collect();
    assert!(found.is_sorted_by(|one, other| one.end <= other.position), "{case}");
    let mut known = 0;
    for (place, event) in asked.iter().enumerate() {
        let Event::Appended { receipt, kind, group, body } = event else { continue };
        let frame = found.iter().find(|frame| frame.position == receipt.position);
        let same =
            frame.is_some_and(|frame| (frame.kind, frame.group, &frame.body[..]) == (*kind, *group, body));
        let needed = place < answered.len() && receipt.end > ack;
        assert!(same || (frame.is_none() && !needed), "{case} {receipt:?}");
        known += usize::from(same);
    }
    assert_eq!(known, found.len(), "{case}: nobody asked for the others");
    let listed: BTreeSet<u64> = recovery.open_groups.iter().map(|group| group.group).collect();
    assert!(listed == open_after(answered) || listed == open_after(asked), "{case} {recovery:?}");
    append(&journal, SINGLE, 0, b"goes on");
    journal.close().unwrap();
    let (journal, recovery) = open(disk);
    assert!(recovery.gaps.is_empty() && recovery.cut.is_none(), "{case} {recovery:?}");
    assert_eq!(bodies(&read(&journal, Position::START)).last().unwrap(), b"goes on");
}

#[test]
fn nothing_is_lost_whenever_it_ends() {
    for seed in 0..6 {
        let mut rng = StdRng::seed_from_u64(seed);
        let direct = seed % 2 == 1;
        let disk = MemDisk::holding(Content::default(), direct);
        let answered = Arc::new(AtomicUsize::new(0));
        disk.record(&answered);
        let (journal, _) = open(&disk);
        let events = work(&journal, &mut rng, &answered);
        journal.close().unwrap();
        for (number, (answered, content)) in disk.recorded().into_iter().enumerate() {
            // One more may have got through without the answer.
            let asked = &events[..(answered + 1).min(events.len())];
            let case = format!("seed {seed} change {number}");
            for _ in 0..2 {
                let after = MemDisk::holding(content.after_power_loss(&mut rng), direct);
                check(&after, &events[..answered], asked, &case);
            }
            check(&MemDisk::holding(content, direct), &events[..answered], asked, &case);
        }
    }
}
