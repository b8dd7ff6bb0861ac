//! Refuses requests that two parsers could read in two ways, before anything acts on them. Pingora
//! is lenient where RFC 9112 allows it; an edge in front of other people's parsers can't be.

use http::{HeaderMap, Method, Version, header};
use pingora::http::RequestHeader;

use crate::reason::Reason;
use crate::routing::host;

/// What a request head is judged by.
pub struct Head<'r> {
    /// The head as Pingora parsed it.
    pub request: &'r RequestHeader,
    /// The head as it came, on HTTP/1: Pingora removes what it does not like from the parsed one.
    pub raw: Option<&'r [u8]>,
    /// The most bytes that a body may have.
    pub body_limit: u64,
}

/// Judges a request head.
///
/// # Errors
/// The reason for which it is refused.
pub fn check(head: &Head<'_>) -> Result<(), Reason> {
    let Head { request, raw, body_limit } = head;
    if raw.is_some_and(|raw| !is_request_line(raw)) {
        return Err(Reason::BadRequest);
    }
    let chunked = request.headers.contains_key(header::TRANSFER_ENCODING);
    if chunked && raw.is_some_and(|raw| has_header(raw, b"content-length")) {
        // RFC 9112, 6.1: an attempt at request smuggling as likely as not.
        return Err(Reason::BadRequest);
    }
    if chunked && !is_only_chunked(&request.headers) {
        return Err(Reason::BadRequest);
    }
    if request.version == Version::HTTP_2 && !is_http2_target(request) {
        return Err(Reason::BadRequest);
    }
    if request.method == Method::CONNECT {
        return Err(Reason::MethodNotAllowed);
    }
    if request.version == Version::HTTP_11 && authority(request).is_none() {
        // RFC 9112, 3.2.
        return Err(Reason::BadRequest);
    }
    if authority(request).is_some_and(|authority| host::normalize(authority).is_none()) {
        return Err(Reason::BadRequest);
    }
    match content_length(&request.headers)? {
        Some(length) if length > *body_limit => Err(Reason::BodyTooLarge),
        _ => Ok(()),
    }
}

/// The authority that a request is for: of its target, else of `Host`. The target of a request in
/// absolute form overrules `Host` (RFC 9112, 3.2.2).
#[must_use]
pub fn authority(request: &RequestHeader) -> Option<&str> {
    request
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| absolute_form(request))
        .or_else(|| request.headers.get(header::HOST)?.to_str().ok())
}

/// The authority of a target in absolute form, as proxies get it. Pingora keeps it in the raw
/// target only.
#[must_use]
pub fn absolute_form(request: &RequestHeader) -> Option<&str> {
    let target = std::str::from_utf8(request.raw_path()).ok()?;
    let authority = after_scheme(target)?.split(['/', '?', '#']).next()?;
    (!authority.contains('@')).then_some(authority)
}

/// What follows the scheme of a target in absolute form.
fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// Whether the target of the first line has one of the forms of RFC 9112, 3.2, and no fragment.
fn is_request_line(raw: &[u8]) -> bool {
    let line =
        raw.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut parts = line.strip_suffix(b"\r").unwrap_or(line).split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(_version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let whole = !target.contains(&b'#');
    let origin_form = target.starts_with(b"/");
    let absolute_form = std::str::from_utf8(target).is_ok_and(|target| after_scheme(target).is_some());
    whole
        && (origin_form || absolute_form || (target == b"*" && method == b"OPTIONS") || method == b"CONNECT")
}

/// Whether the body is chunked and nothing else. Other codings would have to be known to every
/// parser behind this one; nobody sends them.
pub(super) fn is_only_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Whether scheme and path are what a request to an origin may have (RFC 9113, 8.3.1).
fn is_http2_target(request: &RequestHeader) -> bool {
    let http = request.uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    let path = request.uri.path();
    let whole = path.starts_with('/') || (path == "*" && request.method == Method::OPTIONS);
    http && (whole || request.method == Method::CONNECT)
}

/// The declared length of the body. Equal duplicates are refused too: nobody sends them by mistake.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Reason> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Reason::BadRequest),
        (Some(value), None) => {
            let digits = value.to_str().map_err(|_| Reason::BadRequest)?;
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Reason::BadRequest);
            }
            digits.parse().map(Some).map_err(|_| Reason::BodyTooLarge)
        }
    }
}

fn has_header(raw: &[u8], name: &[u8]) -> bool {
    raw.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let (field, rest) = line.split_at_checked(name.len()).unwrap_or_default();
        field.eq_ignore_ascii_case(name) && rest.trim_ascii_start().starts_with(b":")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1000;

    fn judge(raw: &str) -> Result<(), Reason> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Request::new(&mut fields);
        parsed.parse(raw.as_bytes()).unwrap();
        let mut request =
            RequestHeader::build(parsed.method.unwrap(), parsed.path.unwrap().as_bytes(), None).unwrap();
        for field in parsed.headers.iter() {
            request.append_header(field.name.to_owned(), field.value).unwrap();
        }
        if request.headers.contains_key(header::TRANSFER_ENCODING) {
            request.remove_header(&header::CONTENT_LENGTH);
        }
        check(&Head { request: &request, raw: Some(raw.as_bytes()), body_limit: LIMIT })
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        let cases = [
            ("", Ok(())),
            ("Content-Length: 10\r\n", Ok(())),
            ("Transfer-Encoding: chunked\r\n", Ok(())),
            ("Content-Length: 10\r\nTransfer-Encoding: chunked\r\n", Err(Reason::BadRequest)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(Reason::BadRequest)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(Reason::BadRequest)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(Reason::BadRequest)),
            ("Transfer-Encoding: Chunked \r\n", Ok(())),
            ("Content-Length: 10\r\nContent-Length: 10\r\n", Err(Reason::BadRequest)),
            ("Content-Length: 10, 10\r\n", Err(Reason::BadRequest)),
            ("Content-Length: +10\r\n", Err(Reason::BadRequest)),
            ("Content-Length: \r\n", Err(Reason::BadRequest)),
            ("Content-Length: 1000\r\n", Ok(())),
            ("Content-Length: 1001\r\n", Err(Reason::BodyTooLarge)),
            ("Content-Length: 99999999999999999999999\r\n", Err(Reason::BodyTooLarge)),
            ("X-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Ok(())),
        ];
        for (headers, expected) in cases {
            let raw = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
            assert_eq!(judge(&raw), expected, "{headers:?}");
        }
    }

    #[test]
    fn targets_of_http2_are_those_of_origins() {
        let cases = [
            ("GET", "https://a/b", true),
            ("GET", "http://a/", true),
            ("GET", "ftp://a/", false),
            ("GET", "*", false),
            ("OPTIONS", "*", true),
        ];
        for (method, uri, expected) in cases {
            let mut request = RequestHeader::build(method, b"/", None).unwrap();
            request.set_version(Version::HTTP_2);
            request.set_uri(uri.parse().unwrap());
            assert_eq!(is_http2_target(&request), expected, "{method} {uri}");
        }
    }

    #[test]
    fn a_host_is_needed() {
        assert_eq!(judge("GET / HTTP/1.1\r\n\r\n"), Err(Reason::BadRequest));
        assert_eq!(judge("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(()));
        assert_eq!(judge("GET http://a/ HTTP/1.1\r\n\r\n"), Ok(()));
    }
}
