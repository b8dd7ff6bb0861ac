//! Headers of Anthropic's API.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The version of the API that the translation speaks.
pub const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
/// Where Anthropic's answers have their id (OpenAI: `x-request-id`).
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Features that a client asks for; it passes as the client sent it.
pub const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const AZURE_KEY: HeaderName = HeaderName::from_static("api-key");
const VERSION_NAME: HeaderName = HeaderName::from_static("anthropic-version");

/// Makes `headers` of a client's request fit for Anthropic: no credentials but `key`, nothing of
/// OpenAI's, the version of the API unless the client named one.
pub fn set_headers(headers: &mut HeaderMap, mut key: HeaderValue) {
    let foreign: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("openai-")).cloned().collect();
    for name in foreign.iter().chain([&AUTHORIZATION, &AZURE_KEY]) {
        headers.remove(name);
    }
    key.set_sensitive(true);
    headers.insert(API_KEY, key);
    headers.entry(VERSION_NAME).or_insert(VERSION);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_key_is_sent() {
        let sent = [
            ("authorization", "Bearer theirs"),
            ("api-key", "theirs"),
            ("x-api-key", "theirs"),
            ("openai-organization", "org"),
            ("openai-beta", "x"),
            ("anthropic-beta", "context-1m"),
            ("user-agent", "sdk"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.insert(name, HeaderValue::from_static(value));
        }
        set_headers(&mut headers, HeaderValue::from_static("ours"));
        let mut found: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        found.sort_unstable();
        let expected = [
            ("anthropic-beta", "context-1m"),
            ("anthropic-version", "2023-06-01"),
            ("content-type", "application/json"),
            ("user-agent", "sdk"),
            ("x-api-key", "ours"),
        ];
        assert_eq!(found, expected);
        assert!(headers["x-api-key"].is_sensitive());
        headers.insert("anthropic-version", HeaderValue::from_static("2030-01-01"));
        set_headers(&mut headers, HeaderValue::from_static("ours"));
        assert_eq!(headers["anthropic-version"], "2030-01-01");
    }
}
