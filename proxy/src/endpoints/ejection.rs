//! Passive ejection: an endpoint that fails several times in a row is left out for a while, longer
//! each time, but never so many of a version that too few remain. One that begins its answers and cuts
//! them is as useless as one that gives none, so cuts have a row of their own, which no head ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Endpoint;
use crate::clock;
use crate::config::model::Ejection;

/// The longest ejection, as a multiple of the configured one.
const MAX_BACKOFF: u32 = 10;

/// What an endpoint did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It took no connection, or gave no head of an answer.
    NoAnswer,
    /// It ended its answer before that was whole.
    Cut,
}

/// What became of a reported failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint stays.
    Kept,
    /// The endpoint is left out from now on.
    Ejected,
}

impl Endpoint {
    /// Whether it is ejected at `now`, milliseconds of the process clock.
    #[must_use]
    pub fn is_ejected(&self, now: u64) -> bool {
        self.ejected_until.load(Ordering::Relaxed) > now
    }

    /// Reports that it gave the head of an answer.
    pub fn answered(&self) {
        self.end_row(&self.failures);
    }

    /// Reports that it gave an answer to its end.
    pub fn completed(&self) {
        self.end_row(&self.cuts);
    }

    fn end_row(&self, row: &AtomicU32) {
        // Read first: the line is shared by all threads and almost always holds zero already.
        if row.load(Ordering::Relaxed) != 0 {
            row.store(0, Ordering::Relaxed);
            self.ejections.store(0, Ordering::Relaxed);
        }
    }

    fn row(&self, fault: Fault) -> &AtomicU32 {
        match fault {
            Fault::NoAnswer => &self.failures,
            Fault::Cut => &self.cuts,
        }
    }
}

/// Reports that an exchange with `endpoint` failed by the endpoint's fault.
pub fn failed(endpoint: &Endpoint, fault: Fault, all: &[Arc<Endpoint>], rule: &Ejection) -> Verdict {
    failed_at(endpoint, fault, all, rule, clock::now_ms())
}

fn failed_at(endpoint: &Endpoint, fault: Fault, all: &[Arc<Endpoint>], rule: &Ejection, now: u64) -> Verdict {
    let failures = endpoint.row(fault).fetch_add(1, Ordering::Relaxed) + 1;
    if rule.failures == 0 || failures < rule.failures || endpoint.is_ejected(now) {
        return Verdict::Kept;
    }
    let ejected = all.iter().filter(|other| other.is_ejected(now)).count();
    if ejected >= most_ejected(all.len(), rule) {
        return Verdict::Kept;
    }
    let backoff = (endpoint.ejections.fetch_add(1, Ordering::Relaxed) + 1).min(MAX_BACKOFF);
    let until = now.saturating_add(clock::millis(rule.duration.saturating_mul(backoff)));
    endpoint.ejected_until.store(until, Ordering::Relaxed);
    Verdict::Ejected
}

/// How many of `count` endpoints may be ejected at once: the share rounded down, never all.
fn most_ejected(count: usize, rule: &Ejection) -> usize {
    (1..count).take_while(|ejected| share_of(*ejected, count) <= rule.max_share.as_fraction()).count()
}

fn share_of(part: usize, whole: usize) -> f64 {
    let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    float(part) / float(whole)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Fault::{Cut, NoAnswer};
    use super::*;

    fn rule() -> Ejection {
        Ejection { failures: 2, duration: Duration::from_secs(10), max_share: "50%".parse().unwrap() }
    }

    fn endpoints(count: u16) -> Vec<Arc<Endpoint>> {
        (0..count).map(|n| Arc::new(Endpoint::new(([127, 0, 0, 1], 9000 + n).into()))).collect()
    }

    #[test]
    fn ejected_after_failures_in_a_row() {
        let all = endpoints(2);
        assert_eq!(failed_at(&all[0], NoAnswer, &all, &rule(), 1), Verdict::Kept);
        all[0].answered();
        assert_eq!(failed_at(&all[0], NoAnswer, &all, &rule(), 1), Verdict::Kept);
        assert_eq!(failed_at(&all[0], NoAnswer, &all, &rule(), 1), Verdict::Ejected);
        assert!(all[0].is_ejected(10_000));
        assert!(!all[0].is_ejected(10_001));
    }

    #[test]
    fn heads_do_not_make_up_for_cuts() {
        let all = endpoints(2);
        assert_eq!(failed_at(&all[0], Cut, &all, &rule(), 1), Verdict::Kept);
        all[0].completed();
        assert_eq!(failed_at(&all[0], Cut, &all, &rule(), 1), Verdict::Kept);
        all[0].answered();
        assert_eq!(failed_at(&all[0], Cut, &all, &rule(), 1), Verdict::Ejected);
    }

    #[test]
    fn ejection_grows_and_is_capped() {
        let all = endpoints(2);
        let mut now = 1;
        for nth in 1..=20_u64 {
            all[0].failures.store(5, Ordering::Relaxed);
            assert_eq!(failed_at(&all[0], NoAnswer, &all, &rule(), now), Verdict::Ejected);
            let lasts = 10_000 * nth.min(10);
            assert!(all[0].is_ejected(now + lasts - 1) && !all[0].is_ejected(now + lasts));
            now += lasts;
        }
    }

    #[test]
    fn never_all_and_never_more_than_the_share() {
        for (count, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)] {
            let all = endpoints(count);
            let ejected = all
                .iter()
                .filter(|endpoint| {
                    (0..4).any(|_| failed_at(endpoint, NoAnswer, &all, &rule(), 1) == Verdict::Ejected)
                })
                .count();
            assert_eq!(ejected, most, "{count} endpoints");
        }
        let whole = Ejection { max_share: "100%".parse().unwrap(), ..rule() };
        assert_eq!(most_ejected(3, &whole), 2);
    }

    #[test]
    fn zero_failures_turns_it_off() {
        let all = endpoints(3);
        let off = Ejection { failures: 0, ..rule() };
        assert!((0..9).all(|_| failed_at(&all[0], NoAnswer, &all, &off, 1) == Verdict::Kept));
    }
}
