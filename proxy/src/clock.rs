//! The process clock: monotonic milliseconds since the process began, small enough for an atomic.

use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

static START: Lazy<Instant> = Lazy::new(Instant::now);

/// Milliseconds since the process began, never zero.
#[must_use]
pub fn now_ms() -> u64 {
    millis(START.elapsed()).saturating_add(1)
}

/// A duration in whole milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
