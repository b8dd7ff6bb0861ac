//! The answer to a connection that gets no further: its request has no head yet that could be read, so neither
//! an app nor the gateway is known to be meant.

use http::StatusCode;

use crate::ai::errors::ApiError;
use crate::ai::route::Endpoint;
use crate::reason::Reason;

/// The whole response. Its body has OpenAI's shape: SDKs read no other, and other clients read none.
#[must_use]
pub fn refusal(reason: Reason) -> Vec<u8> {
    let error = ApiError::of_edge(reason);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let phrase = status.canonical_reason().unwrap_or_default();
    let again = reason.retry_after().map(|after| format!("Retry-After: {after}\r\n")).unwrap_or_default();
    let body = error.body(Endpoint::Chat);
    let head = format!(
        "HTTP/1.1 {} {phrase}\r\nConnection: close\r\n{again}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        status.as_u16(),
        body.len(),
    );
    [head.as_bytes(), &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdks_can_read_it() {
        for (reason, first) in [
            (Reason::HeaderTooLarge, "HTTP/1.1 431 Request Header Fields Too Large"),
            (Reason::HeaderTimeout, "HTTP/1.1 408 Request Timeout"),
            (Reason::BadRequest, "HTTP/1.1 400 Bad Request"),
            (Reason::ConnectionLimit, "HTTP/1.1 503 Service Unavailable"),
        ] {
            let answer = String::from_utf8(refusal(reason)).expect("text");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert_eq!(head.lines().next(), Some(first));
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            assert_eq!(head.contains("Retry-After: 1"), reason == Reason::ConnectionLimit);
            let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(body["error"]["code"], reason.as_str());
            assert!(body["error"]["type"].is_string());
        }
    }
}
