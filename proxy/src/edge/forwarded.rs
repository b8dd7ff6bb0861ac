//! The headers that tell an app who the client is. From peers that are not trusted they are
//! replaced; `Forwarded` (RFC 7239) is left alone.

use http::header::{COOKIE, HOST, HeaderName};
use http::{HeaderValue, Version};
use pingora::http::RequestHeader;

use super::hygiene;
use super::request::PREVIEW_HEADER;
use crate::front::Connection;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers that only a trusted proxy may set and that Lockstep does not set itself.
const TRUSTED_ONLY: [&str; 6] = [
    "x-forwarded-prefix",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-scheme",
    "x-real-ip",
];

/// Headers that are for clients to read; from a client they would only mislead.
const RESPONSE_ONLY: [&str; 3] = ["x-lockstep-version", "x-lockstep-latest", "x-lockstep-skew"];

/// What the headers are made from.
pub struct Client<'r> {
    /// The connection that the request came by.
    pub connection: &'r Connection,
    /// Whether the client came by https.
    pub https: bool,
    /// The id of the request.
    pub request_id: &'r HeaderValue,
    /// The prefix that is removed from the path, if one is.
    pub strip: Option<&'r str>,
}

/// Whether the client came by https: by its own TLS, or as a trusted proxy says.
#[must_use]
pub fn is_https(request: &RequestHeader, connection: &Connection) -> bool {
    connection.tls
        || (connection.trusted
            && request
                .headers
                .get(FORWARDED_PROTO)
                .is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https")))
}

/// Whether a request is answered with a redirect to https, whoever it is for.
#[must_use]
pub fn is_redirected(request: &RequestHeader, connection: &Connection) -> bool {
    connection.redirect_https && !is_https(request, connection)
}

/// The id of a request: what a trusted proxy gave it, else a new one.
#[must_use]
pub fn request_id(request: &RequestHeader, connection: &Connection) -> HeaderValue {
    let given = request.headers.get(REQUEST_ID).filter(|id| connection.trusted && !id.is_empty());
    given.cloned().unwrap_or_else(new_request_id)
}

fn new_request_id() -> HeaderValue {
    let mut buffer = [0; ulid::ULID_LEN];
    let id = ulid::Ulid::generate().array_to_str(&mut buffer);
    // Crockford's base 32 is letters and digits.
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// Prepares the head of a request for its endpoint.
///
/// # Errors
/// If the path without its prefix can't be a path, which removing a prefix can't bring about.
pub fn rewrite(request: &mut RequestHeader, client: &Client<'_>) -> pingora::Result<()> {
    let trusted = client.connection.trusted;
    if !trusted {
        for name in TRUSTED_ONLY {
            request.remove_header(name);
        }
    }
    remove_look_alikes(request);
    for name in RESPONSE_ONLY {
        request.remove_header(name);
    }
    request.remove_header(PREVIEW_HEADER);
    join_cookies(request)?;
    let forwarded_for = forwarded_for(request, client);
    request.insert_header(FORWARDED_FOR, forwarded_for)?;
    if !trusted || !request.headers.contains_key(FORWARDED_PROTO) {
        let proto = if client.https { "https" } else { "http" };
        request.insert_header(FORWARDED_PROTO, HeaderValue::from_static(proto))?;
    }
    if (!trusted || !request.headers.contains_key(FORWARDED_HOST))
        && let Some(host) = host(request)
    {
        request.insert_header(FORWARDED_HOST, host)?;
    }
    request.insert_header(REQUEST_ID, client.request_id.clone())?;
    origin_form(request, client.strip)
}

/// Removes `x_forwarded_for` and its like: gateways of the CGI family read an underscore as a dash, and
/// would take what anybody wrote for what a proxy said.
fn remove_look_alikes(request: &mut RequestHeader) {
    let is_look_alike = |name: &&HeaderName| {
        let name = name.as_str();
        name.contains('_') && {
            let dashed = name.replace('_', "-");
            dashed.starts_with("x-forwarded-") || dashed == "x-real-ip" || dashed == "x-request-id"
        }
    };
    let look_alikes: Vec<HeaderName> = request.headers.keys().filter(is_look_alike).cloned().collect();
    for name in look_alikes {
        request.remove_header(&name);
    }
}

/// HTTP/2 may split cookies over several fields; before anything but HTTP/2 reads them they must be
/// one again (RFC 9113, 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> pingora::Result<()> {
    let mut lines = request.headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (lines.next(), lines.next()) else { return Ok(()) };
    let mut joined = first.as_bytes().to_vec();
    for line in request.headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line.as_bytes());
    }
    request.insert_header(COOKIE, joined)
}

fn forwarded_for(request: &RequestHeader, client: &Client<'_>) -> HeaderValue {
    let mut given = request.headers.get_all(FORWARDED_FOR).iter().peekable();
    if !client.connection.trusted || given.peek().is_none() {
        return client.connection.client_value.clone();
    }
    let mut list = Vec::new();
    for value in given {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(client.connection.client_value.as_bytes());
    HeaderValue::from_bytes(&list).unwrap_or_else(|_| client.connection.client_value.clone())
}

fn host(request: &RequestHeader) -> Option<HeaderValue> {
    if let (None, Some(host)) = (hygiene::absolute_form(request), request.headers.get(HOST)) {
        return Some(host.clone());
    }
    HeaderValue::from_str(hygiene::authority(request)?).ok()
}

/// Origins get the origin form of the target (RFC 9112, 3.2.1), without the prefix to strip.
fn origin_form(request: &mut RequestHeader, strip: Option<&str>) -> pingora::Result<()> {
    let absolute = hygiene::absolute_form(request).is_some();
    if absolute && let Some(host) = host(request) {
        request.insert_header(HOST, host)?;
    }
    let Some(target) = request.uri.path_and_query().map(http::uri::PathAndQuery::as_str) else {
        return Ok(());
    };
    let stripped = strip.and_then(|prefix| without_prefix(target, prefix));
    if !absolute && stripped.is_none() {
        return Ok(());
    }
    let target = stripped.unwrap_or_else(|| target.to_owned());
    if let (Some(prefix), false) = (strip, request.headers.contains_key(FORWARDED_PREFIX)) {
        request.insert_header(FORWARDED_PREFIX, prefix)?;
    }
    if request.version == Version::HTTP_2 {
        let mut parts = request.uri.clone().into_parts();
        parts.path_and_query = target.parse().ok();
        if let Ok(uri) = http::Uri::from_parts(parts) {
            request.set_uri(uri);
        }
        return Ok(());
    }
    request.set_raw_path(target.as_bytes())
}

fn without_prefix(target: &str, prefix: &str) -> Option<String> {
    let rest = target.strip_prefix(prefix.trim_end_matches('/'))?;
    // One slash: `//host` would be read as another authority by who resolves it against a base.
    Some(format!("/{}", rest.trim_start_matches('/')))
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
