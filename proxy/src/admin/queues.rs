//! What there is to do in the background.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answer::Refusal;
use crate::process::Shared;

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Value>, Refusal> {
    let counts = match &shared.background {
        Some(background) => background.counts().await.map_err(|error| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "queues_closed", error.to_string())
        })?,
        None => Vec::new(),
    };
    let queues = counts.into_iter().map(|(name, counts)| {
        json!({
            "name": name,
            "waiting": counts.waiting,
            "delayed": counts.delayed,
            "active": counts.active,
            "completed": counts.completed,
            "dead": counts.dead,
        })
    });
    Ok(Json(json!({"queues": queues.collect::<Vec<_>>()})))
}
