//! The one place where a failure becomes an answer: what Pingora reports becomes a [`Reason`], and
//! the reason becomes the response.

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorSource, ErrorType};
use serde_json::json;

use super::request::Conflict;
use crate::endpoints::peer;
use crate::reason::Reason;

/// The reason behind an error of Pingora's.
#[must_use]
pub fn classify(error: &Error) -> Reason {
    match error.esource() {
        ErrorSource::Upstream if peer::lacks_socket(error) => Reason::NoSocket,
        ErrorSource::Upstream => upstream(error.etype()),
        ErrorSource::Downstream => downstream(error.etype()),
        ErrorSource::Internal | ErrorSource::Unset => unset(error.etype()),
    }
}

fn upstream(kind: &ErrorType) -> Reason {
    match kind {
        ErrorType::ConnectTimedout
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSHandshakeTimedout => Reason::ConnectFailed,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Reason::UpstreamTimeout,
        _ => Reason::UpstreamFailed,
    }
}

fn downstream(kind: &ErrorType) -> Reason {
    match kind {
        ErrorType::ReadTimedout => Reason::BodyTimeout,
        ErrorType::HTTPStatus(413) => Reason::BodyTooLarge,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::HTTPStatus(400) => Reason::BadRequest,
        ErrorType::Custom(_) | ErrorType::CustomCode(..) => Reason::BadRequest,
        _ => Reason::ClientClosed,
    }
}

fn unset(kind: &ErrorType) -> Reason {
    match kind {
        ErrorType::InvalidHTTPHeader => Reason::BadRequest,
        ErrorType::ConnectTimedout | ErrorType::ConnectRefused | ErrorType::ConnectError => {
            Reason::ConnectFailed
        }
        _ => Reason::Internal,
    }
}

/// A response of Lockstep's own.
pub struct Answer {
    /// Its head.
    pub header: ResponseHeader,
    /// Its body.
    pub body: Vec<u8>,
}

/// The answer to a refused request.
///
/// # Errors
/// If the head can't be built, which constant parts rule out.
pub fn answer(reason: Reason, conflict: Option<&Conflict>) -> pingora::Result<Answer> {
    let status = reason.status().unwrap_or(500);
    let (kind, body) = match conflict {
        // RFC 9457.
        Some(conflict) => (
            "application/problem+json",
            json!({
                "type": "about:blank",
                "title": "version expired",
                "status": status,
                "detail": reason.message(),
                "pinned": conflict.pinned,
                "latest": conflict.latest,
            }),
        ),
        None => ("application/json", json!({"error": reason.as_str(), "message": reason.message()})),
    };
    let body = body.to_string().into_bytes();
    let mut header = ResponseHeader::build(status, Some(4))?;
    header.insert_header(CONTENT_TYPE, kind)?;
    header.insert_header(CONTENT_LENGTH, body.len())?;
    header.insert_header(CACHE_CONTROL, "no-store")?;
    if let Some(seconds) = reason.retry_after() {
        header.insert_header(RETRY_AFTER, seconds)?;
    }
    Ok(Answer { header, body })
}

/// The redirect to the same host and path on https.
///
/// # Errors
/// If host and path can't be put into a header.
pub fn redirect(authority: &str, target: &str) -> pingora::Result<Answer> {
    let Some(host) = crate::routing::host::normalize(authority) else {
        return answer(Reason::BadRequest, None);
    };
    let target = if target.starts_with('/') { target } else { "/" };
    let mut header = ResponseHeader::build(308, Some(2))?;
    header.insert_header(LOCATION, format!("https://{host}{target}"))?;
    header.insert_header(CONTENT_LENGTH, 0)?;
    Ok(Answer { header, body: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_reasons() {
        use ErrorType as T;
        let up = |kind| classify(&Error::new_up(kind));
        let down = |kind| classify(&Error::new_down(kind));
        assert_eq!(up(T::ConnectRefused), Reason::ConnectFailed);
        let without = |cause| {
            let cause = Error::new(cause);
            classify(&Error::because(T::InternalError, "as Pingora says it", cause).into_up())
        };
        assert_eq!(without(T::SocketError), Reason::NoSocket);
        assert_eq!(without(T::BindError), Reason::NoSocket);
        assert_eq!(without(T::ReadError), Reason::UpstreamFailed);
        assert_eq!(up(T::ReadTimedout), Reason::UpstreamTimeout);
        assert_eq!(up(T::ConnectionClosed), Reason::UpstreamFailed);
        assert_eq!(up(T::InvalidHTTPHeader), Reason::UpstreamFailed);
        assert_eq!(down(T::ReadTimedout), Reason::BodyTimeout);
        assert_eq!(down(T::WriteTimedout), Reason::ClientClosed);
        assert_eq!(down(T::ConnectionClosed), Reason::ClientClosed);
        assert_eq!(down(T::InvalidHTTPHeader), Reason::BadRequest);
        assert_eq!(classify(&Error::new_in(T::InternalError)), Reason::Internal);
    }

    #[test]
    fn a_conflict_names_both_versions() {
        let conflict = Conflict { pinned: "v1".to_owned(), latest: Some("v3".to_owned()) };
        let answer = answer(Reason::PinExpired, Some(&conflict)).unwrap();
        assert_eq!(answer.header.status, 409);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (&body["pinned"], &body["latest"], &body["status"]),
            (&json!("v1"), &json!("v3"), &json!(409))
        );
        assert_eq!(answer.header.headers["content-type"], "application/problem+json");
    }

    #[test]
    fn every_refusal_is_short_json() {
        for reason in Reason::ALL.into_iter().filter(|reason| reason.status().is_some_and(|s| s >= 400)) {
            let answer = answer(reason, None).unwrap();
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["error"], reason.as_str());
            assert!(answer.body.len() < 200);
        }
    }
}
