//! Everything that Lockstep counts, in one registry. Label values come from the configuration and
//! from fixed enums, never from a client, so that their number is bounded.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::ai::metrics::AiMetrics;
use crate::audit::watch::AuditMetrics;
use crate::background::metrics::JobMetrics;
use crate::cluster::ClusterMetrics;
use crate::reason::Reason;

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Seconds; from a cache hit in an app to a slow page.
const DURATION_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Seconds; from a table of a few versions to one of tens of thousands.
const COMPILE_BUCKETS: [f64; 9] = [0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Finished requests by app, version, reason and status class.
    pub requests: IntCounterVec,
    /// Seconds from the head of a request to the end of its response.
    pub duration: HistogramVec,
    /// Requests that reached no app, and connections that became no request, by reason.
    pub refused: IntCounterVec,
    /// Open client connections.
    pub connections: IntGauge,
    /// Connections made to endpoints, by app and result.
    pub upstream_connects: IntCounterVec,
    /// Further attempts of a request, by app and cause.
    pub upstream_retries: IntCounterVec,
    /// Endpoints ejected, by app and version.
    pub ejections: IntCounterVec,
    /// Versions by app and state.
    pub versions: IntGaugeVec,
    /// Changes of state of versions by app and new state.
    pub transitions: IntCounterVec,
    /// Requests in flight by app and version, refreshed on each scrape.
    pub in_flight: IntGaugeVec,
    /// Usable endpoints by app and version, refreshed on each scrape.
    pub endpoints: IntGaugeVec,
    /// Generation of the snapshot that is routed.
    pub snapshot_generation: IntGauge,
    /// Seconds since that snapshot was compiled.
    pub snapshot_age: IntGauge,
    /// Compiles of the routing table by result.
    pub table_compiles: IntCounterVec,
    /// Seconds that compiling the routing table took.
    pub table_compile: Histogram,
    /// Configuration reloads by result.
    pub config_reloads: IntCounterVec,
    /// 1 while something is wrong that the admin API lists, refreshed on each scrape.
    pub degraded: IntGauge,
    /// 1 while the file on disk is refused and an older configuration runs.
    pub config_stale: IntGauge,
    /// Tee records by result.
    pub tee_records: IntCounterVec,
    /// Access log lines that the writer could not take.
    pub log_dropped: IntCounter,
    /// Background tasks that panicked, by name.
    pub task_panics: IntCounterVec,
    /// The AI gateway.
    pub ai: AiMetrics,
    /// The audit.
    pub audit: AuditMetrics,
    /// Background jobs.
    pub jobs: Arc<JobMetrics>,
    /// The way to Kubernetes.
    pub cluster: ClusterMetrics,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// If two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Arc<Self>> {
        let registry = Registry::new();
        let make = Maker { registry: &registry };
        let build = make.gauges("build_info", "Always 1; the version is in the label.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Arc::new(Self {
            requests: make.counters(
                "requests_total",
                "Finished requests.",
                &["app", "version", "reason", "status"],
            )?,
            duration: make.histograms(
                "request_duration_seconds",
                "Request durations.",
                &["app", "version"],
            )?,
            refused: make.counters(
                "refused_total",
                "Requests and connections refused by Lockstep itself.",
                &["reason"],
            )?,
            connections: make.gauge("connections", "Open client connections.")?,
            upstream_connects: make.counters(
                "upstream_connects_total",
                "Connections to endpoints.",
                &["app", "result"],
            )?,
            upstream_retries: make.counters(
                "upstream_retries_total",
                "Further attempts of requests.",
                &["app", "cause"],
            )?,
            ejections: make.counters("ejections_total", "Endpoints ejected.", &["app", "version"])?,
            versions: make.gauges("versions", "Versions by state.", &["app", "state"])?,
            transitions: make.counters(
                "version_transitions_total",
                "Changes of state of versions.",
                &["app", "to"],
            )?,
            in_flight: make.gauges("requests_in_flight", "Requests in flight.", &["app", "version"])?,
            endpoints: make.gauges("endpoints_usable", "Usable endpoints.", &["app", "version"])?,
            snapshot_generation: make.gauge("snapshot_generation", "Generation of the routed snapshot.")?,
            snapshot_age: make.gauge("snapshot_age_seconds", "Seconds since the snapshot was compiled.")?,
            table_compiles: make.counters("table_compiles_total", "Compiles of the table.", &["result"])?,
            table_compile: make.histogram_in(
                "table_compile_seconds",
                "Seconds that compiling the routing table took.",
                &COMPILE_BUCKETS,
            )?,
            config_reloads: make.counters("config_reload_total", "Configuration reloads.", &["result"])?,
            degraded: make.gauge("degraded", "1 while something is wrong that the admin API lists.")?,
            config_stale: make.gauge("config_stale", "1 while the file on disk is refused.")?,
            tee_records: make.counters("tee_records_total", "Records of app traffic.", &["result"])?,
            log_dropped: make.counter("access_log_dropped_total", "Access log lines dropped.")?,
            task_panics: make.counters("task_panics_total", "Background tasks that panicked.", &["task"])?,
            ai: AiMetrics::new(&make)?,
            audit: AuditMetrics::new(&make)?,
            jobs: JobMetrics::new(&make)?,
            cluster: ClusterMetrics::new(&make)?,
            registry,
        }))
    }

    /// The text exposition format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory fails for no valid metric; a partial answer beats none.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }

    /// Counts something refused before it reached an app.
    pub fn refuse(&self, reason: Reason) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }

    /// Removes the label sets of a version that is no more.
    pub fn forget_version(&self, app: &str, version: &str) {
        let labels = [app, version];
        // Absent sets are no error: not every version was asked for.
        let _absent = self.duration.remove_label_values(&labels);
        let _absent = self.ejections.remove_label_values(&labels);
        let _absent = self.in_flight.remove_label_values(&labels);
        let _absent = self.endpoints.remove_label_values(&labels);
        for reason in Reason::ALL {
            for class in STATUS_CLASSES {
                let _absent = self.requests.remove_label_values(&[app, version, reason.as_str(), class]);
            }
        }
    }
}

/// Makes metrics and registers them.
pub(crate) struct Maker<'r> {
    registry: &'r Registry,
}

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn options(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("lockstep")
    }

    pub(crate) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::with_opts(Self::options(name, help))?)
    }

    pub(crate) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(Self::options(name, help), labels)?)
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::with_opts(Self::options(name, help))?)
    }

    pub(crate) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Self::options(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        self.histograms_in(name, help, labels, &DURATION_BUCKETS)
    }

    pub(crate) fn histograms_in(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        self.register(HistogramVec::new(Self::histogram_options(name, help, buckets), labels)?)
    }

    fn histogram_in(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.register(Histogram::with_opts(Self::histogram_options(name, help, buckets))?)
    }

    fn histogram_options(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
        HistogramOpts { common_opts: Self::options(name, help), buckets: buckets.to_vec() }
    }

    pub(crate) fn sum(&self, name: &str, help: &str) -> prometheus::Result<Counter> {
        self.register(Counter::with_opts(Self::options(name, help))?)
    }

    pub(crate) fn float(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register(Gauge::with_opts(Self::options(name, help))?)
    }

    pub(crate) fn sums(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
        self.register(CounterVec::new(Self::options(name, help), labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers_and_renders() {
        let metrics = Metrics::new().unwrap();
        metrics.refuse(Reason::NoRoute);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains("lockstep_refused_total{reason=\"no_route\"} 1"), "{text}");
    }

    #[test]
    fn a_forgotten_version_leaves_no_labels() {
        let metrics = Metrics::new().unwrap();
        metrics.requests.with_label_values(&["shop", "v1", "cookie", "2xx"]).inc();
        metrics.duration.with_label_values(&["shop", "v1"]).observe(1.0);
        metrics.forget_version("shop", "v1");
        assert!(!String::from_utf8(metrics.render()).unwrap().contains("v1\""));
    }
}
