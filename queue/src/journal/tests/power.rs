//! Power losses: of what was not synced, any sectors may be there.

use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::journal::GapCause;

#[test]
fn what_was_acknowledged_survives_a_power_loss() {
    for seed in 0..300 {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let mut disk = MemDisk::default();
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
