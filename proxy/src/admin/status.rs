//! What the process says about itself.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answer::Refusal;
use crate::explain::{self, Explanation, Question};
use crate::process::Shared;

pub(super) async fn status(State(shared): State<Shared>) -> Json<Value> {
    let problems = shared.problems.list();
    let plane = &shared.plane;
    let degraded = shared.problems.is_degraded();
    let status = match (plane.is_draining(), plane.is_ready(), !degraded) {
        (true, _, _) => "draining",
        (false, false, _) => "starting",
        (false, true, true) => "ok",
        (false, true, false) => "degraded",
    };
    let table = plane.table();
    Json(json!({
        "status": status,
        "degraded": degraded,
        "ready": plane.is_ready(),
        "version": env!("CARGO_PKG_VERSION"),
        "started": shared.started,
        "config": shared.file,
        "generation": table.generation(),
        "snapshot_stale": table.is_stale(),
        "apps": table.apps().len(),
        "problems": problems,
    }))
}

pub(super) async fn problems(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"problems": shared.problems.list()}))
}

pub(super) async fn config(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.plane.config().to_masked_json())
}

pub(super) async fn explain(
    State(shared): State<Shared>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Explanation>, Refusal> {
    let bad = |message: String| Refusal::new(StatusCode::BAD_REQUEST, "bad_question", message);
    let Query(question) = question.map_err(|error| bad(error.body_text()))?;
    let config = shared.plane.config();
    explain::explain(&shared.plane.table(), config.ai.as_deref(), &question)
        .map(Json)
        .map_err(|error| bad(error.to_string()))
}
