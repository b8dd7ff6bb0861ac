//! The clock of a file: the machine's wall clock, which all processes share, but never going back. When the wall
//! clock is set back, time goes on from the largest moment seen at the pace of the monotonic clock, so that
//! leases still end; the file remembers that moment for other processes and for the next start.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Milliseconds since 1970. Shared by the threads of a storage.
#[derive(Debug)]
pub(super) struct Clock {
    seen: Mutex<Seen>,
}

/// The largest time seen, and when.
#[derive(Debug, Clone, Copy)]
struct Seen {
    millis: i64,
    at: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { seen: Mutex::new(Seen { millis: 0, at: Instant::now() }) }
    }

    /// The time now.
    pub(super) fn now(&self) -> i64 {
        self.at_least(0)
    }

    /// The time now, which is not before what another process has seen.
    pub(super) fn at_least(&self, others: i64) -> i64 {
        let mut seen = self.seen.lock();
        let at = Instant::now();
        let millis = seen.after(at).max(wall_clock()).max(others);
        // Kept only when it tells more than the monotonic clock: repeated rounding would make it slow.
        if millis > seen.after(at) {
            *seen = Seen { millis, at };
        }
        millis
    }
}

impl Seen {
    fn after(self, at: Instant) -> i64 {
        let passed = at.saturating_duration_since(self.at).as_millis();
        self.millis.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_goes_on_from_what_others_have_seen() {
        let clock = Clock::new();
        let wall = wall_clock();
        assert!(clock.now() >= wall);

        let ahead = wall + 3_600_000;
        assert!(clock.at_least(ahead) >= ahead);
        let seen = *clock.seen.lock();
        assert!(clock.now() >= ahead, "not back to the wall clock");
        assert_eq!(
            seen.after(seen.at + Duration::from_secs(5)),
            seen.millis + 5_000,
            "and it does not stand"
        );
    }
}
