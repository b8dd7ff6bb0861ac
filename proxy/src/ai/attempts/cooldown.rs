//! Leaves a target alone for a while that keeps failing, then lets one request try.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::ai::model::Cooldown;

/// How one target has done lately.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Failed attempts within the window, the oldest first.
    failures: VecDeque<Instant>,
    cooling: Option<Cooling>,
    /// What the target refuses that only the operator can mend.
    refuses: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Cooling {
    since: Instant,
    until: Instant,
    /// Whether a request tries it.
    probed: bool,
}

/// What may be done with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be asked.
    Open,
    /// One request may try it.
    ToProbe,
    /// It is left alone since then.
    Cooling(Instant),
}

/// An attempt on a target; it counts once it is told how it went. A probe that is dropped untold
/// leaves the next request to try.
#[derive(Debug)]
pub struct Trial {
    health: Arc<Health>,
    /// When the cooling began that this is to end.
    probes: Option<Instant>,
}

impl Health {
    /// What may be done with the target.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        match self.0.lock().cooling {
            None => Standing::Open,
            Some(cooling) if now >= cooling.until && !cooling.probed => Standing::ToProbe,
            Some(cooling) => Standing::Cooling(cooling.since),
        }
    }

    /// When it may be asked again, if it is left alone.
    #[must_use]
    pub fn cooling_until(&self) -> Option<Instant> {
        self.0.lock().cooling.map(|cooling| cooling.until)
    }

    /// Failed attempts that count at the moment.
    #[must_use]
    pub fn recent_failures(&self) -> usize {
        self.0.lock().failures.len()
    }

    /// What the target refuses of the configuration, such as its credentials.
    #[must_use]
    pub fn refuses(&self) -> Option<&'static str> {
        self.0.lock().refuses
    }

    /// Notes that the target refuses something that only the operator can mend; a success clears it. Says whether that
    /// is new.
    pub fn refused(&self, what: &'static str) -> bool {
        self.0.lock().refuses.replace(what) != Some(what)
    }

    /// Begins an attempt. `force` asks although it is left alone: nobody else is there.
    #[must_use]
    pub fn attempt(self: &Arc<Self>, now: Instant, force: bool) -> Option<Trial> {
        let mut state = self.0.lock();
        let probes = match &mut state.cooling {
            None => None,
            Some(cooling) if now >= cooling.until && !cooling.probed => {
                cooling.probed = true;
                Some(cooling.since)
            }
            Some(_) if force => None,
            Some(_) => return None,
        };
        drop(state);
        Some(Trial { health: Arc::clone(self), probes })
    }
}

impl Trial {
    /// The target has begun an answer that may take long: a probe keeps others from it no longer, but
    /// what failed before still counts until the end is seen.
    pub fn begun(&self) {
        let mut state = self.health.0.lock();
        if state.cooling.is_some_and(|cooling| self.probes == Some(cooling.since)) {
            state.cooling = None;
        }
    }

    /// The target did its part, to the end.
    pub fn succeeded(self) {
        *self.health.0.lock() = State::default();
    }

    /// The target failed by its own fault. Returns whether it is left alone from now on.
    pub fn failed(mut self, now: Instant, policy: &Cooldown) -> bool {
        if policy.failures == 0 {
            return false;
        }
        let again = self.probes.take().is_some();
        let mut state = self.health.0.lock();
        while state.failures.front().is_some_and(|at| now.duration_since(*at) > policy.window) {
            state.failures.pop_front();
        }
        state.failures.push_back(now);
        let limit = usize::try_from(policy.failures).unwrap_or(usize::MAX);
        while state.failures.len() > limit {
            state.failures.pop_front();
        }
        let running = state.cooling.is_some_and(|cooling| now < cooling.until);
        if running || (state.failures.len() < limit && !again && state.cooling.is_none()) {
            return false;
        }
        state.cooling = Some(Cooling { since: now, until: now + policy.duration, probed: false });
        true
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(cooling) = &mut self.health.0.lock().cooling
            && self.probes == Some(cooling.since)
        {
            cooling.probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const POLICY: Cooldown =
        Cooldown { failures: 3, window: Duration::from_secs(30), duration: Duration::from_secs(10) };

    fn fail(health: &Arc<Health>, at: Instant) -> bool {
        health.attempt(at, true).unwrap().failed(at, &POLICY)
    }

    #[test]
    fn a_target_that_fails_is_left_alone_and_then_probed() {
        let health = Arc::new(Health::default());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(health.refused("credentials") && !health.refused("credentials"));
        assert_eq!([0, 1, 2].map(|s| fail(&health, at(s))), [false, false, true]);
        assert_eq!(health.refuses(), Some("credentials"));
        assert_eq!(health.standing(at(11)), Standing::Cooling(at(2)));
        assert!(health.attempt(at(11), false).is_none());
        assert_eq!(health.standing(at(12)), Standing::ToProbe);
        let probe = health.attempt(at(12), false).unwrap();
        assert!(health.attempt(at(12), false).is_none(), "one at a time");
        // The probe fails: as long again, not longer.
        assert!(probe.failed(at(13), &POLICY));
        assert_eq!(health.standing(at(22)), Standing::Cooling(at(13)));
        health.attempt(at(23), false).unwrap().succeeded();
        assert_eq!(health.standing(at(23)), Standing::Open);
        assert_eq!(health.recent_failures(), 0);
    }

    #[test]
    fn a_probe_that_comes_to_nothing_leaves_the_next_one_to_try() {
        let health = Arc::new(Health::default());
        let now = Instant::now();
        for _ in 0..3 {
            fail(&health, now);
        }
        let later = now + POLICY.duration;
        drop(health.attempt(later, false).unwrap());
        assert_eq!(health.standing(later), Standing::ToProbe);
    }

    #[test]
    fn a_begun_answer_forgets_no_failures() {
        let health = Arc::new(Health::default());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let begun = |seconds| {
            let trial = health.attempt(at(seconds), false).unwrap();
            trial.begun();
            trial
        };
        assert_eq!([0, 1, 2].map(|s| begun(s).failed(at(s), &POLICY)), [false, false, true]);
        assert!(health.attempt(at(3), false).is_none());
        // Long after, when the failures are too old to count, a probe opens it and breaks off.
        let probe = begun(100);
        assert_eq!(health.standing(at(100)), Standing::Open, "others need not wait for its end");
        assert!(probe.failed(at(101), &POLICY));
        assert_eq!(health.standing(at(101)), Standing::Cooling(at(101)));
        // What is left of an old probe means nothing to a new cooling.
        let old = begun(120);
        assert!([121, 122].map(|s| fail(&health, at(s)))[1]);
        let new = health.attempt(at(140), false).unwrap();
        drop(old);
        assert!(health.attempt(at(140), false).is_none());
        new.succeeded();
        assert_eq!((health.standing(at(140)), health.recent_failures()), (Standing::Open, 0));
    }

    #[test]
    fn failures_are_forgotten() {
        let health = Arc::new(Health::default());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!([0, 20, 40, 60].map(|s| fail(&health, at(s))), [false; 4]);
        health.attempt(at(61), false).unwrap().succeeded();
        assert_eq!([62, 63].map(|s| fail(&health, at(s))), [false; 2]);
        assert!(fail(&health, at(64)));
    }
}
