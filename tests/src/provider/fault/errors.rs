//! Errors instead of answers.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Wait;
use crate::provider::answer::Answer;
use crate::provider::script::{Head, Step, whole};
use crate::provider::text::http_date;

/// An error that has a name.
struct Named {
    name: &'static str,
    status: u16,
    kind: &'static str,
    param: Option<&'static str>,
    code: &'static str,
    message: &'static str,
}

const INVALID: &str = "invalid_request_error";

const NAMED: [Named; 5] = [
    Named {
        name: "quota",
        status: 429,
        kind: "insufficient_quota",
        param: None,
        code: "insufficient_quota",
        message: "You exceeded your current quota.",
    },
    Named {
        name: "context-length",
        status: 400,
        kind: INVALID,
        param: Some("messages"),
        code: "context_length_exceeded",
        message: "This model's maximum context length is 8192 tokens.",
    },
    Named {
        name: "content-filter",
        status: 400,
        kind: INVALID,
        param: Some("prompt"),
        code: "content_filter",
        message: "The response was filtered due to the prompt triggering our content management policy.",
    },
    Named {
        name: "unknown-model",
        status: 404,
        kind: INVALID,
        param: Some("model"),
        code: "model_not_found",
        message: "The model `secret-upstream-name` does not exist.",
    },
    Named {
        name: "unknown-deployment",
        status: 404,
        kind: INVALID,
        param: None,
        code: "DeploymentNotFound",
        message: "The API deployment for this resource does not exist.",
    },
];

/// The name of an error, if it is one.
pub(super) fn named(name: &str) -> Option<&'static str> {
    if name == "html" {
        return Some("html");
    }
    NAMED.iter().find(|known| known.name == name).map(|known| known.name)
}

/// Answers with an error that has a name.
pub(super) fn script(answer: &Answer<'_>, name: &str) -> Vec<Step> {
    let Some(named) = NAMED.iter().find(|known| known.name == name) else {
        let page = Bytes::from_static(b"<html><body><h1>502 Bad Gateway</h1></body></html>");
        return whole(answer.head(502, "text/html"), page);
    };
    let Named { status, kind, param, code, message, .. } = named;
    let error = json!({"message": message, "type": kind, "param": param, "code": code});
    told(answer, answer.head(*status, "application/json"), *status, error)
}

/// Answers with a status.
pub(super) fn status(answer: &Answer<'_>, status: u16, wait: Wait) -> Vec<Step> {
    let head = answer.head(status, "application/json");
    let head = match wait {
        Wait::Untold => head,
        Wait::Seconds(seconds) => head.header("retry-after", &seconds.to_string()),
        Wait::Millis(millis) => head.header("retry-after-ms", &millis.to_string()),
        Wait::Date(seconds) => {
            head.header("retry-after", &http_date(std::time::Duration::from_secs(seconds)))
        }
    };
    let error = of_status(status);
    told(answer, head, status, error)
}

/// An error with the type and code that OpenAI has for a status.
pub(super) fn of_status(status: u16) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        403 => ("permission_error", json!("request_forbidden")),
        429 => ("requests", json!("rate_limit_exceeded")),
        500.. => ("server_error", Value::Null),
        _ => ("invalid_request_error", Value::Null),
    };
    let message = format!("The provider says {status} for its upstream-secret.");
    json!({"message": message, "type": kind, "param": null, "code": code})
}

fn told(answer: &Answer<'_>, head: Head, status: u16, error: Value) -> Vec<Step> {
    let body = if answer.asked.endpoint.is_anthropic() {
        let kind = match status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        let message = if error["code"] == "context_length_exceeded" {
            json!("prompt is too long: 210000 tokens > 200000 maximum")
        } else {
            error["message"].clone()
        };
        json!({"type": "error", "error": {"type": kind, "message": message}})
    } else {
        json!({ "error": error })
    };
    whole(head, body.to_string())
}
