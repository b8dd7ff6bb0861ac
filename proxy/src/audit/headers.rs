//! The headers that records hold: an allow-list, so that a credential nobody thought of stays out.

use std::borrow::Cow;

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
    headers.keys().filter_map(|name| Some((allowed_name(name.as_str())?, joined(headers, name)))).collect()
}

/// A name, if headers of that name are kept. Nearly all that are have one that need not be copied.
fn allowed_name(name: &str) -> Option<Cow<'static, str>> {
    if let Ok(index) = NAMES.binary_search(&name) {
        return NAMES.get(index).copied().map(Cow::Borrowed);
    }
    let known = FAMILIES.iter().any(|family| name.starts_with(family)) && !SECRETS.contains(&name);
    known.then(|| Cow::Owned(name.to_owned()))
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
        assert_eq!(kept, expected.map(|(name, value)| (name.into(), value.to_owned())));
    }
}
