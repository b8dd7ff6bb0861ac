//! The headers that Lockstep adds to an app's response: the pin, and which version it came from.

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HeaderName, SET_COOKIE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};

use super::context::Routed;
use super::hygiene;
use crate::reason::Reason;
use crate::routing::decision::Pinning;

const VERSION: HeaderName = HeaderName::from_static("x-lockstep-version");
const LATEST: HeaderName = HeaderName::from_static("x-lockstep-latest");
const SKEW: HeaderName = HeaderName::from_static("x-lockstep-skew");

/// Fields that belong to the endpoint's connection, not to the client's (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 2] = ["keep-alive", "proxy-connection"];

/// The most interim responses that one request may get: real origins send one or two.
const MAX_INTERIM: u16 = 32;

/// Judges the head of a response, so that the client's parser can't read it in another way than ours.
///
/// # Errors
/// If it is malformed, switches protocols unasked, or is one interim response too many.
pub fn check(request: &RequestHeader, response: &ResponseHeader, interim: &mut u16) -> Result<(), Reason> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return if request.headers.contains_key(UPGRADE) { Ok(()) } else { Err(Reason::UpstreamFailed) };
    }
    if response.status.is_informational() {
        *interim += 1;
        return if *interim > MAX_INTERIM { Err(Reason::UpstreamFailed) } else { Ok(()) };
    }
    let mut lengths = response.headers.get_all(CONTENT_LENGTH).iter();
    let sized = match (lengths.next(), lengths.next()) {
        (None, _) => true,
        (Some(length), None) => length.as_bytes().iter().all(u8::is_ascii_digit),
        (Some(_), Some(_)) => false,
    };
    let coded = response.headers.contains_key(TRANSFER_ENCODING);
    let framed = sized && (!coded || hygiene::is_only_chunked(&response.headers));
    if framed { Ok(()) } else { Err(Reason::UpstreamFailed) }
}

/// The status of a response that is the answer, or switches protocols: no interim one (RFC 9110, 15.2).
#[must_use]
pub fn final_status(response: &ResponseHeader) -> Option<u16> {
    let status = response.status;
    let interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
    (!interim).then(|| status.as_u16())
}

/// Adds Lockstep's headers to a response. Interim responses are left as they are, so that the
/// final one gets them, once.
///
/// # Errors
/// If a header can't be set, which prepared values rule out.
pub fn rewrite(response: &mut ResponseHeader, routed: &mut Routed, https: bool) -> pingora::Result<()> {
    if response.status.is_informational() {
        return Ok(());
    }
    strip_hop_by_hop(response);
    frame(response);
    for name in [VERSION, LATEST, SKEW] {
        response.remove_header(&name);
    }
    let headers = routed.version.headers();
    if routed.app.skew().response_headers {
        response.insert_header(VERSION, headers.id.clone())?;
        if let Some(active) = routed.app.active().filter(|active| active.id() != routed.version.id()) {
            response.insert_header(LATEST, active.headers().id.clone())?;
        }
        if let Some(skew) = routed.skew {
            response.insert_header(SKEW, HeaderValue::from_static(skew.as_str()))?;
        }
    }
    let may_pin = routed.page_load || !is_shared_cacheable(&response.headers);
    if routed.pinning == Pinning::Pin && may_pin {
        let cookie = if https { &headers.cookie_https } else { &headers.cookie };
        response.append_header(SET_COOKIE, cookie.clone())?;
        routed.pinning = Pinning::Leave;
    }
    Ok(())
}

/// Whether a shared cache may store the response whoever asked (RFC 9111, 3): one visitor's pin
/// must not become everyone's.
#[must_use]
pub fn is_shared_cacheable(headers: &HeaderMap) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|directive| {
            let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage")
        })
    })
}

/// Makes the framing of a response Lockstep's own: its version is that of who sends it (RFC 9110, 6.2), and what can't
/// have a body has no length (RFC 9110, 8.6).
fn frame(response: &mut ResponseHeader) {
    response.set_version(Version::HTTP_11);
    if response.status == StatusCode::NO_CONTENT {
        response.remove_header(&CONTENT_LENGTH);
        response.remove_header(&TRANSFER_ENCODING);
    }
}

fn strip_hop_by_hop(response: &mut ResponseHeader) {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let nominated: Vec<HeaderName> = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name: &HeaderName| !matches!(name.as_str(), "close" | "keep-alive" | "upgrade"))
        // They say where the body ends, to everybody.
        .filter(|name| name != CONTENT_LENGTH && name != TRANSFER_ENCODING)
        .collect();
    for name in nominated {
        response.remove_header(&name);
    }
    for name in HOP_BY_HOP {
        response.remove_header(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_caches_are_recognised() {
        let cases = [
            ("public, max-age=60", true),
            ("max-age=60, PUBLIC", true),
            ("s-maxage=10", true),
            ("private", false),
            ("no-store", false),
            ("max-age=60", false),
            ("x-public", false),
            ("", false),
        ];
        for (value, expected) in cases {
            let headers = [(CACHE_CONTROL, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(is_shared_cacheable(&headers), expected, "{value}");
        }
        assert!(!is_shared_cacheable(&HeaderMap::new()));
    }

    #[test]
    fn responses_that_parsers_could_disagree_on_are_refused() {
        let length = |value| ("content-length", value);
        let coding = |value| ("transfer-encoding", value);
        let cases = [
            (200, vec![], true),
            (200, vec![length("4")], true),
            (200, vec![length("4"), length("4")], false),
            (200, vec![length("4, 4")], false),
            (200, vec![coding("chunked")], true),
            (200, vec![coding("gzip, chunked")], false),
            (101, vec![("upgrade", "websocket")], false),
            (103, vec![], true),
            (204, vec![], true),
        ];
        for (status, fields, expected) in cases {
            let request = RequestHeader::build("GET", b"/", None).unwrap();
            let mut response = ResponseHeader::build(status, None).unwrap();
            for &(name, value) in &fields {
                response.append_header(name, value).unwrap();
            }
            assert_eq!(check(&request, &response, &mut 0).is_ok(), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn interim_responses_come_to_an_end() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.insert_header(UPGRADE, "websocket").unwrap();
        let response = |status| ResponseHeader::build(status, None).unwrap();
        let mut interim = 0;
        assert!((0..MAX_INTERIM).all(|_| check(&request, &response(103), &mut interim).is_ok()));
        assert!(check(&request, &response(103), &mut interim).is_err());
        assert!(check(&request, &response(101), &mut interim).is_ok());
    }

    #[test]
    fn fields_of_the_endpoints_connection_go() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("connection", "close, X-Internal, Content-Length"),
            ("content-length", "2"),
            ("x-internal", "1"),
            ("keep-alive", "timeout=5"),
            ("x-kept", "1"),
        ] {
            response.insert_header(name, value).unwrap();
        }
        strip_hop_by_hop(&mut response);
        let left: Vec<_> = response.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["connection", "content-length", "x-kept"]);
    }

    #[test]
    fn answers_are_framed_anew() {
        for (status, kept) in [(200, true), (204, false), (304, true)] {
            let mut response = ResponseHeader::build(status, None).unwrap();
            response.set_version(Version::HTTP_10);
            response.insert_header(CONTENT_LENGTH, "5").unwrap();
            frame(&mut response);
            assert_eq!(response.version, Version::HTTP_11);
            assert_eq!(response.headers.contains_key(CONTENT_LENGTH), kept, "{status}");
        }
    }
}
