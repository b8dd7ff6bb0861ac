//! What the audit says of itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use super::answer::Refusal;
use crate::process::Shared;

pub(super) async fn stats(State(shared): State<Shared>) -> Result<Json<Value>, Refusal> {
    let watch = shared.audit.get();
    watch.map(|watch| Json(watch.stats())).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "no_audit", "audit.durability is off: nothing is recorded")
    })
}
