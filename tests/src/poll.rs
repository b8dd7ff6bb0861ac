//! Waits for something to become true. No test sleeps for a fixed time to be in step.

use std::time::{Duration, Instant};

/// How long tests wait for what should happen soon, on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// Polls until `probe` gives a value.
///
/// # Panics
/// If it gives none in time.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(SOON, probe).unwrap_or_else(|| panic!("not in {SOON:?}: {what}"))
}

/// Polls until `holds` is true.
///
/// # Panics
/// If it is not in time.
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    until_in(SOON, what, holds);
}

/// As [`until`], for what may take longer, or must not take as long.
///
/// # Panics
/// If it is not in time.
pub fn until_in(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    assert!(within(limit, || holds().then_some(())).is_some(), "not in {limit:?}: {what}");
}

/// Polls until `probe` gives a value, or the time is over.
pub fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
