//! The admin API: health for orchestrators, metrics for Prometheus, and what the CLI asks and
//! changes. It runs beside the data plane, on a runtime of its own, so that load can't starve it.

mod access;
mod ai;
mod answer;
mod apps;
mod audit;
mod health;
mod listener;
mod queues;
mod status;

use axum::middleware;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio_util::sync::CancellationToken;

use crate::front::BoundListener;
use crate::process::Shared;
use listener::{AdminListener, Peer};

/// Serves the admin API until told to stop.
pub(crate) async fn serve(bound: BoundListener, shared: Shared, stop: CancellationToken) {
    let addr = bound.addr;
    let listener = match AdminListener::new(bound) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%addr, %error, "the admin listener can't be used");
            return;
        }
    };
    tracing::info!(%addr, "admin listening");
    let router = router(shared).layer(Extension(audit::Ending(stop.clone())));
    let service = router.into_make_service_with_connect_info::<Peer>();
    let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the admin API failed");
    }
}

fn router(shared: Shared) -> Router {
    let reads = Router::new()
        .route("/status", get(status::status))
        .route("/problems", get(status::problems))
        .route("/config", get(status::config))
        .route("/explain", get(status::explain))
        .route("/queues", get(queues::list))
        .route("/ai/providers", get(ai::providers))
        .route("/audit/stats", get(audit::stats))
        .route("/audit/tail", get(audit::tail))
        .route("/apps", get(apps::list))
        .route("/apps/{app}", get(apps::show))
        .route("/apps/{app}/versions", get(apps::show))
        .route("/apps/{app}/history", get(apps::history))
        .route_layer(middleware::from_fn_with_state(shared.clone(), access::may_read));
    let changes = Router::new()
        .route("/apps/{app}/versions/{version}/{command}", post(apps::command))
        .route_layer(middleware::from_fn_with_state(shared.clone(), access::may_operate));
    let metrics = Router::new()
        .route("/metrics", get(health::metrics))
        .route_layer(middleware::from_fn_with_state(shared.clone(), access::may_scrape));
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .merge(metrics)
        .nest("/api/v1", reads.merge(changes))
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .with_state(shared)
}

#[cfg(test)]
mod tests;
