//! What is counted of calls. Labels are names of the configuration and fixed words.

use prometheus::{CounterVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};

use super::ledger::{Attempt, Outcome};
use super::reading::{Cost, Usage};
use crate::metrics::Maker;

/// Seconds; from a local model to one that thinks.
const FIRST_BYTE_BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Metrics of the AI gateway.
#[derive(Debug)]
pub struct AiMetrics {
    requests: IntCounterVec,
    refused: IntCounterVec,
    attempts: IntCounterVec,
    fallbacks: IntCounterVec,
    tokens: IntCounterVec,
    cost: CounterVec,
    key_requests: IntCounterVec,
    key_tokens: IntCounterVec,
    key_cost: CounterVec,
    first_byte: HistogramVec,
    stale: IntCounterVec,
    dropped: IntCounterVec,
    /// Calls that run.
    pub in_flight: IntGauge,
    /// Bytes of requests that are kept for another attempt, refreshed on each scrape.
    pub buffered: IntGauge,
    /// 1 while a target is left alone, refreshed on each scrape.
    pub cooling: IntGaugeVec,
}

/// A call that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended<'r> {
    /// The model as configured, which may be a pattern.
    pub(crate) model: &'r str,
    /// Whom it asked last.
    pub(crate) provider: &'r str,
    pub(crate) key: Option<&'r str>,
    pub(crate) outcome: Outcome,
    /// Of all attempts.
    pub(crate) usage: Usage,
    pub(crate) cost: Option<Cost>,
    /// Seconds to the first byte.
    pub(crate) first_byte: Option<f64>,
    /// Whether another target than the first one was asked last.
    pub(crate) fell_back: bool,
}

impl AiMetrics {
    pub(crate) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        let of_call = ["model", "provider"];
        Ok(Self {
            requests: make.counters(
                "ai_requests_total",
                "Ended calls.",
                &["model", "provider", "outcome"],
            )?,
            refused: make.counters("ai_refused_total", "Requests that made no call, by code.", &["code"])?,
            attempts: make.counters(
                "ai_attempts_total",
                "Attempts on targets.",
                &["model", "provider", "result"],
            )?,
            fallbacks: make.counters(
                "ai_fallbacks_total",
                "Calls that another than the first target had last.",
                &["model"],
            )?,
            tokens: make.counters(
                "ai_tokens_total",
                "Tokens used, failed attempts included.",
                &["model", "provider", "kind"],
            )?,
            cost: make.sums("ai_cost_usd_total", "Cost in USD.", &of_call)?,
            key_requests: make.counters(
                "ai_key_requests_total",
                "Ended calls by key.",
                &["key", "outcome"],
            )?,
            key_tokens: make.counters("ai_key_tokens_total", "Tokens used by key.", &["key", "kind"])?,
            key_cost: make.sums("ai_key_cost_usd_total", "Cost in USD by key.", &["key"])?,
            first_byte: make.histograms_in(
                "ai_first_byte_seconds",
                "From the head of a call to the first byte of its answer.",
                &of_call,
                &FIRST_BYTE_BUCKETS,
            )?,
            stale: make.counters(
                "ai_stale_connections_total",
                "Pooled connections that the provider had closed when a request was sent.",
                &["provider"],
            )?,
            dropped: make.counters(
                "ai_events_dropped_total",
                "Malformed events that were left out of streams.",
                &["provider"],
            )?,
            in_flight: make.gauge("ai_in_flight", "Calls that run.")?,
            buffered: make.gauge("ai_buffered_bytes", "Bytes of requests kept for another attempt.")?,
            cooling: make.gauges("ai_cooling", "1 while a target is left alone.", &of_call)?,
        })
    }

    pub(crate) fn stale(&self, provider: &str) {
        self.stale.with_label_values(&[provider]).inc();
    }

    /// Counts events that were left out of a stream.
    pub(crate) fn dropped(&self, provider: &str, events: u64) {
        if events > 0 {
            self.dropped.with_label_values(&[provider]).inc_by(events);
        }
    }

    pub(crate) fn refused(&self, code: &'static str) {
        self.refused.with_label_values(&[code]).inc();
    }

    pub(crate) fn attempt(&self, model: &str, provider: &str, attempt: &Attempt) {
        let result =
            attempt.error.as_deref().map_or("success", |error| error.split(':').next().unwrap_or(""));
        self.attempts.with_label_values(&[model, provider, &result.replace(' ', "_")]).inc();
    }

    pub(crate) fn ended(&self, call: &Ended<'_>) {
        let labels = [call.model, call.provider];
        let outcome = call.outcome.as_str();
        self.requests.with_label_values(&[call.model, call.provider, outcome]).inc();
        if call.fell_back {
            self.fallbacks.with_label_values(&[call.model]).inc();
        }
        for (kind, count) in kinds(call.usage) {
            self.tokens.with_label_values(&[call.model, call.provider, kind]).inc_by(count);
        }
        if let Some(cost) = call.cost {
            self.cost.with_label_values(&labels).inc_by(cost.usd());
        }
        if let Some(seconds) = call.first_byte {
            self.first_byte.with_label_values(&labels).observe(seconds);
        }
        let Some(key) = call.key else { return };
        self.key_requests.with_label_values(&[key, outcome]).inc();
        for (kind, count) in kinds(call.usage) {
            self.key_tokens.with_label_values(&[key, kind]).inc_by(count);
        }
        if let Some(cost) = call.cost {
            self.key_cost.with_label_values(&[key]).inc_by(cost.usd());
        }
    }
}

fn kinds(usage: Usage) -> impl Iterator<Item = (&'static str, u64)> {
    let Usage { input, output, cached_input, reasoning } = usage;
    let kinds =
        [("input", input), ("output", output), ("cached_input", cached_input), ("reasoning", reasoning)];
    kinds.into_iter().filter(|(_, count)| *count > 0)
}
