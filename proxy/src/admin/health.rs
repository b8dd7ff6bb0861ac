//! What orchestrators and Prometheus ask.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::cluster;
use crate::process::Shared;

/// The content type of the text exposition format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Ready means: able to serve what it has, and not about to end.
pub(super) async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.plane.is_ready() {
        (StatusCode::OK, "ok\n")
    } else if shared.plane.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    shared.plane.refresh_gauges();
    shared.ai.refresh_gauges();
    if let Some(cluster) = &shared.cluster {
        cluster::refresh_gauges(cluster, &shared.metrics.cluster);
    }
    if let Some(watch) = shared.audit.get() {
        watch.refresh(&shared.metrics.audit);
    }
    shared.metrics.degraded.set(i64::from(shared.problems.is_degraded()));
    ([(header::CONTENT_TYPE, EXPOSITION)], shared.metrics.render()).into_response()
}
