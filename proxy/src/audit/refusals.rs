//! Bounds what requests leave that were refused before anybody knew who sent them: ten records a second,
//! and beyond that one a minute that counts the rest. Nobody without a key fills the disk.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Records of their own in a second.
const PER_SECOND: u32 = 10;
/// How often the rest is summed up.
pub const SUMMED_UP_EVERY: Duration = Duration::from_secs(60);

/// Counts refusals.
#[derive(Debug, Default)]
pub struct Refusals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    second: Option<Instant>,
    in_second: u32,
    since: Option<Timestamp>,
    counted: BTreeMap<&'static str, u64>,
}

impl Refusals {
    /// Whether a refusal gets a record of its own; it is counted otherwise.
    #[must_use]
    pub fn admit(&self, reason: &'static str) -> bool {
        self.admit_at(Instant::now(), reason)
    }

    fn admit_at(&self, now: Instant, reason: &'static str) -> bool {
        let mut state = self.state.lock();
        if state.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
            state.second = Some(now);
            state.in_second = 0;
        }
        state.in_second = state.in_second.saturating_add(1);
        if state.in_second <= PER_SECOND {
            return true;
        }
        state.since.get_or_insert_with(Timestamp::now);
        *state.counted.entry(reason).or_default() += 1;
        false
    }

    /// The record of what was only counted, if anything was. To be called once a minute.
    #[must_use]
    pub fn sum_up(&self) -> Option<Value> {
        let State { since, counted, .. } = std::mem::take(&mut *self.state.lock());
        (!counted.is_empty()).then(|| {
            json!({
                "id": ulid::Ulid::generate().to_string(),
                "type": "refused",
                "started_at": since,
                "outcome": "rejected",
                "count": counted.values().sum::<u64>(),
                "reasons": counted,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_ten_a_second_is_summed_up() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let admitted = |at: u64| {
            (0..25).filter(|_| refusals.admit_at(start + Duration::from_secs(at), "bad_key")).count()
        };
        assert_eq!((admitted(0), admitted(1)), (10, 10));
        let sum = refusals.sum_up().unwrap();
        assert_eq!(
            (&sum["count"], &sum["reasons"]["bad_key"], &sum["type"]),
            (&json!(30), &json!(30), &json!("refused"))
        );
        assert!(refusals.sum_up().is_none());
    }
}
