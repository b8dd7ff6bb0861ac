//! Counts what the clients of one contender got, and keeps how long it took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer delays count as this one.
const MAX_NANOS: u64 = 60_000_000_000;

/// What the clients of one contender saw.
pub struct Meter {
    delays: Option<Histogram<u64>>,
    tally: Tally,
}

/// Counts and delays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Right answers, whole streams or chunks.
    pub right: u64,
    /// All of those since the beginning.
    pub since_begin: u64,
    /// Broken connections and wrong answers.
    pub failed: u64,
    /// The median delay.
    pub p50: Duration,
    /// The delay that 99 % stay below.
    pub p99: Duration,
}

impl Default for Meter {
    fn default() -> Self {
        // These bounds always are a valid choice.
        Self { delays: Histogram::new_with_bounds(1, MAX_NANOS, 3).ok(), tally: Tally::default() }
    }
}

impl Meter {
    /// Forgets everything but how many came since the beginning.
    pub fn reset(&mut self) {
        self.tally = Tally { since_begin: self.tally.since_begin, ..Tally::default() };
        if let Some(delays) = &mut self.delays {
            delays.reset();
        }
    }

    /// One came as it should, after so long.
    pub fn right(&mut self, after: Duration) {
        self.tally.right += 1;
        self.tally.since_begin += 1;
        if let Some(delays) = &mut self.delays {
            delays.saturating_record(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// A connection broke, or an answer was wrong.
    pub fn failed(&mut self) {
        self.tally.failed += 1;
    }

    /// What was seen so far.
    pub fn tally(&self) -> Tally {
        let quantile = |share| {
            Duration::from_nanos(self.delays.as_ref().map_or(0, |delays| delays.value_at_quantile(share)))
        };
        Tally { p50: quantile(0.5), p99: quantile(0.99), ..self.tally }
    }
}
