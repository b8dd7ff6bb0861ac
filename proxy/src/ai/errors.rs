//! Every error that the gateway itself tells, in OpenAI's shape. Nothing else in the crate writes
//! that shape.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use serde_json::{Value, json};

use super::anthropic::Untranslatable;
use super::json as look;
use super::ledger::LedgerError;
use super::reading::{ErrorKind, ProviderError};
use super::route::Endpoint;
use crate::reason::Reason;

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";
const UNAVAILABLE: &str = "service_unavailable";

/// The longest `Retry-After` that is told: SDKs for Node sleep through whatever they are told.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// `Retry-After` in milliseconds, which SDKs prefer.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Whether an SDK should try again by itself.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The id of the request, also in its record.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An error as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The status.
    pub status: u16,
    /// `type`
    pub kind: &'static str,
    /// `code`
    pub code: &'static str,
    /// `param`: the field that is meant.
    pub param: Option<Cow<'static, str>>,
    /// `message`
    pub message: Cow<'static, str>,
    /// When another try may succeed.
    pub retry_after: Option<Duration>,
    /// What SDKs are told about trying again, where they would do otherwise.
    pub should_retry: Option<bool>,
}

impl ApiError {
    fn new(
        status: u16,
        kind: &'static str,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self { status, kind, code, param: None, message, retry_after: None, should_retry: None }
    }

    fn about(self, param: &'static str) -> Self {
        Self { param: Some(Cow::Borrowed(param)), ..self }
    }

    /// Says that another try would not help.
    #[must_use]
    pub fn not_again(self) -> Self {
        Self { should_retry: Some(false), ..self }
    }

    fn again_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// No key came with the request.
    #[must_use]
    pub fn no_key() -> Self {
        Self::new(
            401,
            INVALID,
            "invalid_api_key",
            "No API key was sent; send it as `Authorization: Bearer`, `api-key` or `x-api-key`.",
        )
    }

    /// The key is not known, or not any more.
    #[must_use]
    pub fn bad_key(expired: bool) -> Self {
        let message = if expired { "The API key has expired." } else { "The API key is not known here." };
        Self::new(401, INVALID, "invalid_api_key", message)
    }

    /// The path is none that the gateway serves.
    #[must_use]
    pub fn unknown_path() -> Self {
        Self::new(404, INVALID, "unknown_url", "Nothing is served under this URL.")
    }

    /// The path would be the gateway's below the one that it is served under.
    #[must_use]
    pub fn outside(path: &str) -> Self {
        let message = format!("The AI gateway is served under {path}: a client's base URL must end in it.");
        Self::new(404, INVALID, "unknown_url", message)
    }

    /// The model is not configured, or not for this key.
    #[must_use]
    pub fn model_not_found(model: &str) -> Self {
        let shown: String = model.chars().take(200).collect();
        let message = format!("The model `{shown}` does not exist or you do not have access to it.");
        Self::new(404, INVALID, "model_not_found", message).about("model")
    }

    /// The model has no target that serves this endpoint.
    #[must_use]
    pub fn model_not_served(model: &str) -> Self {
        let shown: String = model.chars().take(200).collect();
        let message = format!("No provider of the model `{shown}` serves this endpoint.");
        Self::new(404, INVALID, "model_not_found", message).about("model")
    }

    /// The body is no JSON object; `why` says what it is, without its contents.
    #[must_use]
    pub fn not_json(why: &str) -> Self {
        let message = format!("The body of the request is not a JSON object: {why}.");
        Self::new(400, INVALID, "invalid_json", message)
    }

    /// The body is not what multipart bodies are.
    #[must_use]
    pub fn not_multipart() -> Self {
        Self::new(
            400,
            INVALID,
            "invalid_multipart",
            "The body of the request is not valid multipart/form-data.",
        )
    }

    /// A field is missing.
    #[must_use]
    pub fn missing(param: &'static str) -> Self {
        Self::new(
            400,
            INVALID,
            "missing_required_parameter",
            format!("Missing required parameter: '{param}'."),
        )
        .about(param)
    }

    /// A field is of another type than it must be.
    #[must_use]
    pub fn invalid_type(param: &'static str, expected: &str) -> Self {
        Self::new(400, INVALID, "invalid_type", format!("Invalid type for '{param}': expected {expected}."))
            .about(param)
    }

    /// A field is given twice, so that the gateway and the provider might read two things.
    #[must_use]
    pub fn duplicate(param: &'static str) -> Self {
        Self::new(400, INVALID, "duplicate_parameter", format!("The parameter '{param}' is given twice."))
            .about(param)
    }

    /// A text is longer than it may be.
    #[must_use]
    pub fn too_long(param: &'static str, limit: usize) -> Self {
        let message = format!("Invalid '{param}': the string is longer than {limit} bytes.");
        Self::new(400, INVALID, "string_above_max_length", message).about(param)
    }

    /// A list has no items.
    #[must_use]
    pub fn empty_array(param: &'static str) -> Self {
        let message = format!("Invalid '{param}': empty array. Expected an array with minimum length 1.");
        Self::new(400, INVALID, "empty_array", message).about(param)
    }

    /// The request has no counterpart in the API of the only providers that there are.
    #[must_use]
    pub fn untranslatable(error: Untranslatable) -> Self {
        let code = error.code.unwrap_or("invalid_value");
        Self { param: Some(Cow::Owned(error.param)), ..Self::new(400, INVALID, code, error.message) }
    }

    /// The content is of a type that the endpoint does not take.
    #[must_use]
    pub fn unsupported_type(expected: &str) -> Self {
        let message = format!("The content type is not supported here; send {expected}.");
        Self::new(415, INVALID, "unsupported_content_type", message)
    }

    /// The body is compressed, so that its model can't be read.
    #[must_use]
    pub fn compressed() -> Self {
        Self::new(
            415,
            INVALID,
            "unsupported_content_encoding",
            "Bodies of requests must not be compressed here.",
        )
    }

    /// The body is larger than may be.
    #[must_use]
    pub fn too_large(limit: u64) -> Self {
        let message = format!("The body of the request is larger than {limit} bytes.");
        Self::new(413, INVALID, "request_too_large", message)
    }

    /// All bodies together are larger than may be.
    #[must_use]
    pub fn buffers_full() -> Self {
        Self::new(503, UNAVAILABLE, "overloaded", "Too many large requests at once.")
            .again_after(Duration::from_millis(500))
    }

    /// The key has had its requests of the minute.
    #[must_use]
    pub fn rate_limited(wait: Duration) -> Self {
        Self::new(
            429,
            "requests",
            "rate_limit_exceeded",
            "The limit of requests per minute of this key is reached.",
        )
        .again_after(wait)
    }

    /// The key has as many requests running as it may.
    #[must_use]
    pub fn too_many_at_once() -> Self {
        Self::new(429, "requests", "rate_limit_exceeded", "This key has as many requests running as it may.")
            .again_after(Duration::from_millis(500))
    }

    /// The gateway can't record, and so must not call.
    #[must_use]
    pub fn unrecorded(error: LedgerError) -> Self {
        let message = match error {
            LedgerError::Full => "Requests can't be recorded at the moment: the journal is full.",
            LedgerError::Failed => "Requests can't be recorded at the moment.",
        };
        Self::new(503, UNAVAILABLE, "audit_unavailable", message).again_after(Duration::from_secs(1))
    }

    /// WebSockets are not served.
    #[must_use]
    pub fn no_websockets() -> Self {
        Self::new(501, INVALID, "not_implemented", "The realtime API is not served here.").not_again()
    }

    /// The providers refuse our keys.
    #[must_use]
    pub fn provider_auth() -> Self {
        let message = "The provider did not accept the gateway's credentials.";
        Self::new(502, SERVER, "provider_auth_failed", message).not_again()
    }

    /// No provider could be connected to.
    #[must_use]
    pub fn unreachable() -> Self {
        Self::new(502, SERVER, "upstream_unreachable", "The provider could not be reached.").not_again()
    }

    /// The provider broke the exchange.
    #[must_use]
    pub fn upstream_failed() -> Self {
        Self::new(502, SERVER, "upstream_failed", "The provider broke off its answer.").not_again()
    }

    /// The provider's answer is not what it must be.
    #[must_use]
    pub fn upstream_malformed() -> Self {
        Self::new(502, SERVER, "upstream_malformed", "The provider's answer can't be understood.").not_again()
    }

    /// The provider was silent for too long.
    #[must_use]
    pub fn upstream_timeout() -> Self {
        Self::new(504, SERVER, "upstream_timeout", "The provider did not answer in time.").not_again()
    }

    /// The process ends.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::new(503, UNAVAILABLE, "shutting_down", "The gateway is shutting down.")
            .again_after(Duration::from_secs(1))
    }

    /// A fault of our own.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(500, SERVER, "internal_error", "Something went wrong in the gateway.")
    }

    /// What the edge refuses a request for.
    #[must_use]
    pub fn of_edge(reason: Reason) -> Self {
        let status = reason.status().unwrap_or(500);
        let kind = match status {
            503 => UNAVAILABLE,
            500.. => SERVER,
            _ => INVALID,
        };
        let error = Self::new(status, kind, reason.as_str(), reason.message());
        match reason.retry_after() {
            Some(_) => error.again_after(Duration::from_secs(1)),
            None => error,
        }
    }

    /// The error as JSON.
    #[must_use]
    pub fn body(&self, endpoint: Endpoint) -> Bytes {
        let error =
            json!({"message": self.message, "type": self.kind, "param": self.param, "code": self.code});
        wrapped(&error, endpoint)
    }

    /// The error as an event within a stream that has begun; `None` where streams have no such event.
    #[must_use]
    pub fn event(&self, endpoint: Endpoint, sequence: u64) -> Option<Bytes> {
        let event = match endpoint {
            Endpoint::Chat | Endpoint::Completions => {
                return Some(format!("data: {}\n\n", text(&self.body(endpoint))).into());
            }
            Endpoint::Messages => json!({
                "type": "error",
                "error": {"type": "api_error", "message": self.message, "code": self.code},
            }),
            Endpoint::Responses => json!({
                "type": "error",
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "sequence_number": sequence,
            }),
            _ => return None,
        };
        Some(format!("event: error\ndata: {event}\n\n").into())
    }

    /// The head of the answer, without the length of its body.
    ///
    /// # Errors
    /// If the head can't be built, which constant parts rule out.
    pub fn header(&self) -> pingora::Result<ResponseHeader> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut header = ResponseHeader::build(status, Some(8))?;
        header.insert_header(http::header::CONTENT_TYPE, "application/json")?;
        header.insert_header(http::header::CACHE_CONTROL, "no-store")?;
        if let Some(wait) = self.retry_after {
            retry_after(&mut header, wait)?;
        }
        if let Some(again) = self.should_retry {
            let value = HeaderValue::from_static(if again { "true" } else { "false" });
            header.insert_header(SHOULD_RETRY, value)?;
        }
        Ok(header)
    }
}

/// Tells when to try again, in both forms, and never later than SDKs can cope with.
///
/// # Errors
/// If the header can't be set, which numbers rule out.
pub fn retry_after(header: &mut ResponseHeader, wait: Duration) -> pingora::Result<()> {
    let wait = wait.min(MAX_RETRY_AFTER);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    header.insert_header(http::header::RETRY_AFTER, seconds.max(1))?;
    header.insert_header(RETRY_AFTER_MS, crate::clock::millis(wait))
}

/// Whether the body of a provider's error has the shape that SDKs read.
#[must_use]
pub fn is_shaped(body: &[u8]) -> bool {
    let inner = look::find(body, ["error"]).ok().and_then(|[error]| error);
    let fields = inner.and_then(|error| look::find(error.get().as_bytes(), ["message", "type"]).ok());
    fields.is_some_and(|fields| {
        fields.iter().all(|field| field.is_some_and(|field| field.get().starts_with('"')))
    })
}

/// A provider's error in the shape that SDKs read.
#[must_use]
pub fn reshaped(error: &ProviderError, status: u16, endpoint: Endpoint) -> Bytes {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        503 | 529 => UNAVAILABLE,
        500.. => SERVER,
        _ => INVALID,
    };
    let code = error.code.clone().or_else(|| {
        let code = match error.kind {
            ErrorKind::ContextLength => "context_length_exceeded",
            ErrorKind::ContentRejected => "content_policy_violation",
            ErrorKind::UnknownModel => "model_not_found",
            ErrorKind::RateLimited => "rate_limit_exceeded",
            _ => return None,
        };
        Some(code.to_owned())
    });
    let message = match error.message.as_str() {
        "" => format!("The provider answered with status {status}."),
        message => message.to_owned(),
    };
    let kind = error.error_type.as_deref().unwrap_or(kind);
    let error = json!({"message": message, "type": kind, "param": error.param, "code": code});
    wrapped(&error, endpoint)
}

fn wrapped(error: &Value, endpoint: Endpoint) -> Bytes {
    let body = match endpoint {
        // Anthropic's SDKs look at this `type` too.
        Endpoint::Messages => json!({"type": "error", "error": error}),
        _ => json!({ "error": error }),
    };
    body.to_string().into()
}

fn text(body: &Bytes) -> Cow<'_, str> {
    String::from_utf8_lossy(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_shape_that_sdks_read() {
        let error = ApiError::model_not_found("gpt-9");
        let body: serde_json::Value = serde_json::from_slice(&error.body(Endpoint::Chat)).unwrap();
        assert_eq!(
            body["error"],
            json!({
                "message": "The model `gpt-9` does not exist or you do not have access to it.",
                "type": "invalid_request_error", "param": "model", "code": "model_not_found",
            })
        );
        let body: serde_json::Value = serde_json::from_slice(&error.body(Endpoint::Messages)).unwrap();
        assert_eq!(body["type"], "error");
    }

    #[test]
    fn errors_of_providers_get_the_shape_that_they_lack() {
        let cases = [
            (r#"{"error":{"message":"m","type":"t"}}"#, true),
            (r#"{"error":{"message":"m","type":null}}"#, false),
            (r#"{"error":"m"}"#, false),
            ("<html>", false),
        ];
        for (body, expected) in cases {
            assert_eq!(is_shaped(body.as_bytes()), expected, "{body}");
        }
        let error = ProviderError::read(502, b"<html>");
        let body: Value = serde_json::from_slice(&reshaped(&error, 502, Endpoint::Chat)).unwrap();
        assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&json!("server_error"), &Value::Null));
        assert!(is_shaped(body.to_string().as_bytes()));
    }

    #[test]
    fn waits_are_told_in_both_forms_and_capped() {
        let told = |wait| {
            let header = ApiError::rate_limited(wait).header().unwrap();
            ["retry-after", "retry-after-ms"].map(|name| header.headers[name].to_str().unwrap().to_owned())
        };
        assert_eq!(told(Duration::from_millis(1500)), ["2", "1500"]);
        assert_eq!(told(Duration::from_millis(20)), ["1", "20"]);
        assert_eq!(told(Duration::from_secs(3600)), ["60", "60000"]);
    }

    #[test]
    fn streams_that_have_begun_have_their_errors_in_band() {
        let error = ApiError::upstream_failed();
        let event =
            |endpoint| error.event(endpoint, 7).map(|event| String::from_utf8(event.to_vec()).unwrap());
        assert!(event(Endpoint::Chat).unwrap().starts_with("data: {\"error\":{"));
        assert!(event(Endpoint::Responses).unwrap().contains("\"sequence_number\":7"));
        assert!(event(Endpoint::Messages).unwrap().starts_with("event: error\ndata: {"));
        assert_eq!(event(Endpoint::Audio), None);
    }

    #[test]
    fn every_refusal_of_the_edge_has_a_type() {
        for reason in Reason::ALL.into_iter().filter(|reason| reason.status().is_some_and(|s| s >= 400)) {
            let error = ApiError::of_edge(reason);
            assert_eq!(Some(error.status), reason.status());
            assert!(!error.kind.is_empty() && error.header().is_ok());
        }
    }
}
