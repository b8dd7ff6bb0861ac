//! Counts answers and keeps their latencies.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::Answer;

/// Longer latencies count as this one.
const MAX_NANOS: u64 = 60_000_000_000;

/// What the clients of one contender saw.
pub struct Recorder {
    latencies: Option<Histogram<u64>>,
    tally: Tally,
}

/// Counts and latencies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Answers from the right version.
    pub right: u64,
    /// Answers from another version.
    pub misrouted: u64,
    /// Broken connections and answers other than 200.
    pub failed: u64,
    /// The median latency.
    pub p50: Duration,
    /// The latency that 99 % stay below.
    pub p99: Duration,
}

impl Default for Recorder {
    fn default() -> Self {
        // These bounds always are a valid choice.
        let latencies = Histogram::new_with_bounds(1, MAX_NANOS, 3).ok();
        Self { latencies, tally: Tally::default() }
    }
}

impl Recorder {
    /// Forgets everything.
    pub fn reset(&mut self) {
        self.tally = Tally::default();
        if let Some(latencies) = &mut self.latencies {
            latencies.reset();
        }
    }

    /// An answer came.
    pub fn answered(&mut self, after: Duration, answer: &Answer<'_>, expected: &str) {
        if answer.status != 200 {
            self.tally.failed += 1;
        } else if answer.origin == expected.as_bytes() && answer.chosen == expected.as_bytes() {
            self.tally.right += 1;
        } else {
            self.tally.misrouted += 1;
        }
        if let Some(latencies) = &mut self.latencies {
            latencies.saturating_record(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// A connection broke or could not be made.
    pub fn failed(&mut self) {
        self.tally.failed += 1;
    }

    /// What was seen so far.
    pub fn tally(&self) -> Tally {
        let quantile = |share| {
            let nanos = self.latencies.as_ref().map_or(0, |latencies| latencies.value_at_quantile(share));
            Duration::from_nanos(nanos)
        };
        Tally { p50: quantile(0.5), p99: quantile(0.99), ..self.tally }
    }
}
