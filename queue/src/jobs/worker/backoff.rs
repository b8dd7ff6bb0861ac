//! How long to wait between attempts.

use std::time::Duration;

/// Delays that double from attempt to attempt, shortened at random so that jobs which failed together do not come
/// again together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// After the first failed attempt.
    pub first: Duration,
    /// At most.
    pub most: Duration,
    /// The share of a delay that is random: 0 for none, 1 for all of it.
    pub jitter: f64,
}

impl Backoff {
    /// The delay after this many failed attempts, from 1.
    #[must_use]
    pub fn after(&self, failed: u32) -> Duration {
        let factor = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.most);
        whole.mul_f64(1.0 - self.jitter.clamp(0.0, 1.0) * rand::random::<f64>())
    }
}

impl Default for Backoff {
    /// A second, doubling up to five minutes, half of it random.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(300), jitter: 0.5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_most_and_differ() {
        let exact = Backoff { jitter: 0.0, ..Backoff::default() };
        let seconds: Vec<_> =
            [1, 2, 3, 9, 10, 40, u32::MAX].map(|failed| exact.after(failed).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300, 300]);
        let delays: Vec<_> = (0..50).map(|_| Backoff::default().after(3)).collect();
        assert!(delays.iter().all(|delay| (Duration::from_secs(2)..=Duration::from_secs(4)).contains(delay)));
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }
}
