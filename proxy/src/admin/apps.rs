//! Apps and their versions: seen, and changed.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use lockstep_controller::view::{AppView, HistoryView};
use lockstep_controller::{Command, CommandError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Actor;
use super::answer::Refusal;
use crate::process::Shared;

/// How a version is to expire.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    #[serde(default)]
    now: bool,
}

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Value>, Refusal> {
    let mut apps = shared.controller.apps().await?;
    apps.extend(shared.lead.load().iter().flat_map(|lead| lead.apps()));
    if let Some(cluster) = &shared.cluster {
        let (state, routed) = (cluster.states(), cluster.snapshots());
        apps.extend(state.borrow().unstored(&routed.borrow(), &*shared.plane));
    }
    Ok(Json(json!({"apps": apps})))
}

pub(super) async fn show(
    State(shared): State<Shared>,
    app: Result<Path<String>, PathRejection>,
) -> Result<Json<AppView>, Refusal> {
    let Path(app) = app?;
    let fixed = shared.controller.app(&app).await;
    let stored = shared.lead.load().as_ref().map(|lead| lead.app(&app));
    let view = either(&app, fixed, stored).or_else(|error| match (&error, &shared.cluster) {
        (CommandError::UnknownApp(_), Some(cluster)) => {
            let (state, routed) = (cluster.states(), cluster.snapshots());
            let apps = state.borrow().unstored(&routed.borrow(), &*shared.plane);
            let is_meant =
                |view: &AppView| app == view.app || app == format!("{}/{}", view.namespace, view.app);
            apps.into_iter().find(is_meant).ok_or(error)
        }
        _ => Err(error),
    });
    Ok(Json(view?))
}

pub(super) async fn history(
    State(shared): State<Shared>,
    app: Result<Path<String>, PathRejection>,
) -> Result<Json<HistoryView>, Refusal> {
    let Path(app) = app?;
    let fixed = shared.controller.history(&app).await;
    let stored = shared.lead.load().as_ref().map(|lead| lead.history(&app));
    Ok(Json(either(&app, fixed, stored)?))
}

/// What the configuration or the cluster has under a name: if both have it, it says too little.
/// Under a whole identity the configuration wins.
fn either<T>(
    app: &str,
    fixed: Result<T, CommandError>,
    found: Option<Result<T, CommandError>>,
) -> Result<T, CommandError> {
    match (fixed, found) {
        (Ok(_), Some(Ok(_) | Err(CommandError::AmbiguousApp(_)))) if !app.contains('/') => {
            Err(CommandError::AmbiguousApp(app.to_owned()))
        }
        (Err(CommandError::UnknownApp(_)), Some(found)) => found,
        (fixed, _) => fixed,
    }
}

pub(super) async fn command(
    State(shared): State<Shared>,
    Extension(Actor(actor)): Extension<Actor>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    options: Result<Query<Options>, QueryRejection>,
) -> Result<Json<AppView>, Refusal> {
    let Path((app, version, command)) = path?;
    let bad = |message: String| Refusal::new(StatusCode::BAD_REQUEST, "bad_command", message);
    let Query(Options { now }) = options.map_err(|error| bad(error.body_text()))?;
    let command = match (command.as_str(), now) {
        ("promote", false) => Command::Promote,
        ("approve", false) => Command::Approve,
        ("reject", false) => Command::Reject,
        ("expire", now) => Command::Expire { now },
        ("promote" | "approve" | "reject", true) => return Err(bad("only expire takes now=true".to_owned())),
        _ => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "no_such_command",
                "a version can be told to promote, approve, reject or expire",
            ));
        }
    };
    let lead = shared.lead.load_full();
    // Whose it is shows from who knows it.
    let (fixed, stored) = (shared.controller.app(&app).await, lead.as_ref().map(|lead| lead.app(&app)));
    let is_fixed = fixed.is_ok();
    either(&app, fixed, stored)?;
    Ok(Json(match lead {
        Some(lead) if !is_fixed => Box::pin(lead.command(&app, &version, command, &actor)).await?,
        _ => shared.controller.command(&app, &version, command, &actor).await?,
    }))
}
