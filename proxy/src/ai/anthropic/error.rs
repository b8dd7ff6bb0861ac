//! Errors in OpenAI's shape.

use bytes::Bytes;
use serde::Serialize;

use super::fields::Untranslatable;
use crate::ai::reading::{ErrorKind, ProviderError};

/// An error as OpenAI's clients know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenAiError {
    /// The status of the answer.
    #[serde(skip)]
    pub status: u16,
    /// For people.
    pub message: String,
    /// The class.
    #[serde(rename = "type")]
    pub error_type: &'static str,
    /// The field of the request at fault.
    pub param: Option<String>,
    /// What programs branch on.
    pub code: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a OpenAiError,
}

impl OpenAiError {
    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Bytes {
        serde_json::to_vec(&Body { error: self }).unwrap_or_default().into()
    }

    /// The event that ends a stream: all SDKs raise it. No `[DONE]` may follow.
    #[must_use]
    pub fn event(&self) -> Bytes {
        [b"data: ", self.body().as_ref(), b"\n\n"].concat().into()
    }
}

impl From<&ProviderError> for OpenAiError {
    /// Anthropic's error in OpenAI's words. A status that OpenAI's clients don't know becomes the
    /// one that means the same: 529 is 503, 402 is 429 with `insufficient_quota`.
    fn from(error: &ProviderError) -> Self {
        const INVALID: &str = "invalid_request_error";
        let named = error.status.unwrap_or(500);
        let (status, error_type, code) = match (error.kind, named) {
            (ErrorKind::ContextLength, _) => (400, INVALID, Some("context_length_exceeded")),
            (ErrorKind::ContentRejected, _) => (400, INVALID, Some("content_policy_violation")),
            (ErrorKind::UnknownModel, _) => (404, INVALID, Some("model_not_found")),
            (_, 401) => (401, "authentication_error", Some("invalid_api_key")),
            (_, 402) => (429, "insufficient_quota", Some("insufficient_quota")),
            (_, 403) => (403, "permission_error", None),
            (_, 413) => (413, INVALID, Some("request_too_large")),
            (_, 429) => (429, "requests", Some("rate_limit_exceeded")),
            (_, 503 | 529) => (503, "service_unavailable", Some("overloaded")),
            (_, 504) => (504, "server_error", Some("upstream_timeout")),
            (_, 400..500) => (named, INVALID, None),
            (_, 500..600) => (named, "server_error", None),
            _ => (500, "server_error", None),
        };
        let param = if error.kind == ErrorKind::ContextLength { Some("messages".to_owned()) } else { None };
        Self { status, message: error.message.clone(), error_type, param, code }
    }
}

impl From<Untranslatable> for OpenAiError {
    fn from(error: Untranslatable) -> Self {
        Self {
            status: 400,
            message: error.message,
            error_type: "invalid_request_error",
            param: Some(error.param),
            code: error.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn errors_of_anthropic() {
        let cases = [
            (
                400,
                "invalid_request_error",
                "max_tokens: Field required",
                400,
                "invalid_request_error",
                Value::Null,
            ),
            (
                400,
                "invalid_request_error",
                "prompt is too long: 2 > 1",
                400,
                "invalid_request_error",
                json!("context_length_exceeded"),
            ),
            (
                401,
                "authentication_error",
                "invalid x-api-key",
                401,
                "authentication_error",
                json!("invalid_api_key"),
            ),
            (402, "billing_error", "no credit", 429, "insufficient_quota", json!("insufficient_quota")),
            (403, "permission_error", "no", 403, "permission_error", Value::Null),
            (
                404,
                "not_found_error",
                "model: claude-9",
                404,
                "invalid_request_error",
                json!("model_not_found"),
            ),
            (413, "request_too_large", "too large", 413, "invalid_request_error", json!("request_too_large")),
            (429, "rate_limit_error", "slow down", 429, "requests", json!("rate_limit_exceeded")),
            (500, "api_error", "Internal server error", 500, "server_error", Value::Null),
            (504, "timeout_error", "too slow", 504, "server_error", json!("upstream_timeout")),
            (529, "overloaded_error", "Overloaded", 503, "service_unavailable", json!("overloaded")),
        ];
        for (status, name, message, expected_status, error_type, code) in cases {
            let body =
                json!({"type": "error", "error": {"type": name, "message": message}, "request_id": "req_1"});
            let error = ProviderError::read(status, body.to_string().as_bytes());
            let translated = OpenAiError::from(&error);
            let found: Value = serde_json::from_slice(&translated.body()).unwrap();
            let param = if code == "context_length_exceeded" { json!("messages") } else { Value::Null };
            let expected =
                json!({"error": {"message": message, "type": error_type, "param": param, "code": code}});
            assert_eq!((translated.status, found), (expected_status, expected), "{status} {name}");
        }
    }

    #[test]
    fn errors_as_events() {
        let error = OpenAiError::from(Untranslatable::unsupported("n", "there is only one choice"));
        assert_eq!(error.status, 400);
        let event = String::from_utf8(error.event().to_vec()).unwrap();
        let expected = r#"data: {"error":{"message":"'n' can't be passed to this model: there is only one choice","type":"invalid_request_error","param":"n","code":"unsupported_parameter"}}"#;
        assert_eq!(event, format!("{expected}\n\n"));
    }
}
