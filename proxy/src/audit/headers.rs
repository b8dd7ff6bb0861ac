//! The headers that records hold: an allow-list, so that a credential nobody thought of stays out.

use http::{HeaderMap, HeaderName};

use super::contents::Headers;

/// Names that are kept.
const NAMES: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "anthropic-beta",
    "anthropic-version",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "host",
    "origin",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "traceparent",
    "user-agent",
    "x-client-request-id",
    "x-deployment-id",
    "x-request-id",
    "x-should-retry",
];

/// Beginnings of names that are kept.
const FAMILIES: &[&str] = &["openai-", "x-lockstep-", "x-ratelimit-", "x-stainless-"];

/// Names of those families that are credentials.
const SECRETS: &[&str] = &["x-lockstep-preview", "openai-api-key"];

/// The headers that a record holds, values of one name joined by commas.
#[must_use]
pub fn allowed(headers: &HeaderMap) -> Headers {
    headers
        .keys()
        .filter(|name| is_allowed(name))
        .map(|name| (name.as_str().to_owned(), joined(headers, name)))
        .collect()
}

fn is_allowed(name: &HeaderName) -> bool {
    let name = name.as_str();
    let known = NAMES.binary_search(&name).is_ok() || FAMILIES.iter().any(|family| name.starts_with(family));
    known && !SECRETS.contains(&name)
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut all = values.next().unwrap_or_default().into_owned();
    for value in values {
        all.extend([", ", &value]);
    }
    all
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_list_can_be_searched() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn only_what_is_on_the_list_is_kept() {
        let given = [
            ("authorization", "Bearer secret"),
            ("api-key", "secret"),
            ("x-api-key", "secret"),
            ("cookie", "a=secret"),
            ("set-cookie", "a=secret"),
            ("proxy-authorization", "secret"),
            ("x-lockstep-preview", "secret"),
            ("x-stainless-lang", "python"),
            ("accept", "text/html"),
            ("accept", "text/plain"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut kept = allowed(&headers);
        kept.sort();
        let expected = [("accept", "text/html, text/plain"), ("x-stainless-lang", "python")];
        assert_eq!(kept, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
