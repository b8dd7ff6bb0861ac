//! Answers of the admin API that are no success: one shape, a short name and a sentence.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lockstep_controller::CommandError;
use serde_json::json;

/// Why a request was refused.
pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.error, "message": self.message}))).into_response()
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), "bad_path", rejection.body_text())
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let (status, name) = match &error {
            CommandError::UnknownApp(_) => (StatusCode::NOT_FOUND, "unknown_app"),
            CommandError::AmbiguousApp(_) => (StatusCode::CONFLICT, "ambiguous_app"),
            CommandError::UnknownVersion { .. } => (StatusCode::NOT_FOUND, "unknown_version"),
            CommandError::State { .. } => (StatusCode::CONFLICT, "wrong_state"),
            CommandError::Fixed { .. } => (StatusCode::CONFLICT, "fixed_by_config"),
            CommandError::Gone { .. } => (StatusCode::CONFLICT, "version_gone"),
            CommandError::Cluster(_) => (StatusCode::SERVICE_UNAVAILABLE, "cluster"),
            CommandError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            CommandError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        };
        Self::new(status, name, error.to_string())
    }
}

pub(super) async fn no_such_path() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "the admin API has /livez, /readyz, /metrics and /api/v1/…",
    )
}

pub(super) async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes another method")
}
