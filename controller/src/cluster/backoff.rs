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
