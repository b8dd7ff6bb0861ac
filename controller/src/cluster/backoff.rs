//! Waits between attempts at something in the cluster that fails.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// Waits that double from a fifth of a second on, with jitter, up to `longest`.
pub(crate) fn backoff(longest: Duration) -> impl Iterator<Item = Duration> {
    // Jitter adds up to as much again.
    let builder =
        ExponentialBuilder::new().with_min_delay(Duration::from_millis(200)).with_max_delay(longest / 2);
    builder.with_factor(2.0).with_jitter().without_max_times().build()
}

/// Waits between attempts at a write that others were faster with: short ones with jitter, so that
/// writers stop meeting, and about two seconds in all.
pub(crate) fn after_conflict() -> impl Iterator<Item = Duration> {
    let builder = ExponentialBuilder::new().with_min_delay(Duration::from_millis(5));
    let builder = builder.with_max_delay(Duration::from_millis(150)).with_factor(2.0);
    builder.with_jitter().with_max_times(16).build()
}
