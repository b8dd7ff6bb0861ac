//! What is counted about one version while it serves: requests in flight, the time of the last
//! activity (which decides whether a draining version is idle), and its metric handles, looked up
//! once instead of per request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lockstep_controller::{AppId, Traffic, VersionId};
use once_cell::sync::OnceCell;
use prometheus::{Histogram, IntCounter};

use crate::clock;
use crate::metrics::Metrics;
use crate::reason::Reason;

/// The counters of one version. They outlive recompiled tables.
pub struct VersionStats {
    app: String,
    version: VersionId,
    metrics: Arc<Metrics>,
    in_flight: AtomicU64,
    /// Milliseconds of the process clock at the end of the last request or stream.
    last_activity: AtomicU64,
    duration: OnceCell<Histogram>,
    successes: [OnceCell<IntCounter>; Reason::ALL.len()],
}

/// Counts a request as in flight on its version until dropped; streams count to their end.
pub struct InFlight(Arc<VersionStats>);

impl VersionStats {
    /// Counters that begin at zero, with the version taken as active just now.
    #[must_use]
    pub fn new(app: &AppId, version: VersionId, metrics: Arc<Metrics>) -> Self {
        Self {
            app: app.to_string(),
            version,
            metrics,
            in_flight: AtomicU64::new(0),
            last_activity: AtomicU64::new(clock::now_ms()),
            duration: OnceCell::new(),
            successes: [const { OnceCell::new() }; Reason::ALL.len()],
        }
    }

    /// Counts one more request in flight.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(self))
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// What the controller asks about a version.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let idle = clock::now_ms().saturating_sub(self.last_activity.load(Ordering::Acquire));
        Traffic { in_flight: self.in_flight(), idle_for: Duration::from_millis(idle) }
    }

    /// Counts a finished request.
    pub fn record(&self, reason: Reason, status: u16, took: Duration) {
        if (200..300).contains(&status)
            && let Some(cell) = self.successes.get(reason as usize)
        {
            cell.get_or_init(|| self.counter(reason, status)).inc();
        } else {
            self.counter(reason, status).inc();
        }
        self.duration
            .get_or_init(|| {
                self.metrics.duration.with_label_values(&[self.app.as_str(), self.version.as_str()])
            })
            .observe(took.as_secs_f64());
    }

    /// Counts a new connection to an endpoint.
    pub fn connected(&self) {
        self.metrics.upstream_connects.with_label_values(&[self.app.as_str(), "new"]).inc();
    }

    fn counter(&self, reason: Reason, status: u16) -> IntCounter {
        let labels = [self.app.as_str(), self.version.as_str(), reason.as_str(), status_class(status)];
        self.metrics.requests.with_label_values(&labels)
    }
}

impl Drop for VersionStats {
    /// Takes the version's label sets with it, so that label sets never outgrow the versions.
    fn drop(&mut self) {
        self.metrics.forget_version(&self.app, self.version.as_str());
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // The time first: whoever sees zero in flight must see when that came about.
        self.0.last_activity.store(clock::now_ms(), Ordering::Release);
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The class of a status code, as a label.
#[must_use]
pub const fn status_class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
