use std::time::Duration;

use super::*;
use crate::config::ai::model::{Base, Http2};
use crate::config::secret::Secret;

fn provider(kind: ProviderKind, base: &str, version: Option<&str>) -> Provider {
    Provider {
        name: "p".into(),
        kind,
        base: Base::of(&base.parse().unwrap()).unwrap(),
        api_key: Some(Secret::from_value("ours".to_owned())),
        api_version: version.map(str::to_owned),
        accepts_caller_key: true,
        ca: None,
        http2: Http2::Auto,
        idle_timeout: Duration::from_secs(1),
    }
}

fn outgoing<'r>(
    endpoint: Endpoint,
    path: &'r str,
    query: Option<&'r str>,
    headers: &'r HeaderMap,
) -> Outgoing<'r> {
    Outgoing {
        method: &Method::POST,
        path,
        query,
        headers,
        endpoint,
        model: Some("gpt-4o eu"),
        callers_key: None,
        dialect: Dialect::Native,
        length: Some(5),
    }
}

#[test]
fn paths_follow_the_provider() {
    use ProviderKind as K;
    let headers = HeaderMap::new();
    let query = Some("api-version=1&a=b");
    let cases = [
        (K::Openai, "https://h/v1", None, Endpoint::Chat, "/v1/chat/completions?a=b"),
        (K::Openai, "https://h", None, Endpoint::Chat, "/chat/completions?a=b"),
        (
            K::Azure,
            "https://h",
            Some("2024-10-21"),
            Endpoint::Chat,
            "/openai/deployments/gpt-4o%20eu/chat/completions?a=b&api-version=2024-10-21",
        ),
        (K::Azure, "https://h", Some("v1"), Endpoint::Chat, "/openai/v1/chat/completions?a=b"),
        (
            K::Azure,
            "https://h/x",
            Some("2024-10-21"),
            Endpoint::Responses,
            "/x/openai/chat/completions?a=b&api-version=2024-10-21",
        ),
    ];
    for (kind, base, version, endpoint, expected) in cases {
        let request = outgoing(endpoint, "/chat/completions", query, &headers);
        let head = request.head(&provider(kind, base, version)).unwrap();
        assert_eq!(head.uri.to_string(), expected);
    }
    let translated = Outgoing {
        dialect: Dialect::ChatToMessages,
        ..outgoing(Endpoint::Chat, "/chat/completions", None, &headers)
    };
    let head = translated.head(&provider(K::Anthropic, "https://h/v1", None)).unwrap();
    assert_eq!(head.uri.to_string(), "/v1/messages");
}

#[test]
fn headers_between_neighbours_and_credentials_stay() {
    let given = [
        ("authorization", "Bearer theirs"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "1.2.3.4"),
        ("accept-encoding", "gzip"),
        ("openai-organization", "org"),
        ("x-stainless-retry-count", "0"),
        ("content-type", "application/json"),
        ("x-unknown", "1"),
        ("x-unknown", "2"),
    ];
    let headers =
        given.into_iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
    let headers: HeaderMap = headers.fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(name, value);
        map
    });
    let request = outgoing(Endpoint::Chat, "/chat/completions", None, &headers);
    let head = request.head(&provider(ProviderKind::Openai, "https://h:8443/v1", None)).unwrap();
    let mut sent: Vec<_> =
        head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    sent.sort();
    let expected = [
        "accept-encoding: identity",
        "authorization: Bearer ours",
        "content-length: 5",
        "content-type: application/json",
        "host: h:8443",
        "x-stainless-retry-count: 0",
        "x-unknown: 1",
        "x-unknown: 2",
    ];
    assert_eq!(sent, expected);
}

#[test]
fn credentials_for_others_go_only_with_the_callers_own_key() {
    let with_own_key = [
        "x-goog-api-key",
        "helicone-auth",
        "ocp-apim-subscription-key",
        "x-amz-security-token",
        "cf-access-client-secret",
        "x-proxied-authorization",
        "openai-organization",
        "openai-project",
    ];
    let cases = with_own_key.map(|name| (name, true, false)).into_iter().chain([
        ("openai-beta", true, true),
        ("idempotency-key", true, true),
        ("anthropic-beta", true, true),
        ("x-max-tokens", true, true),
        ("cookie", false, false),
        ("x-forwarded-client-cert", false, false),
    ]);
    for (name, with_own, with_ours) in cases {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("1"))]);
        for (callers_key, expected) in [(Some("theirs"), with_own), (None, with_ours)] {
            let request = Outgoing { callers_key, ..outgoing(Endpoint::Chat, "/x", None, &headers) };
            let head = request.head(&provider(ProviderKind::Openai, "https://h", None)).unwrap();
            assert_eq!(head.headers.contains_key(name), expected, "{name} {callers_key:?}");
        }
    }
}

#[test]
fn credentials_have_the_form_of_the_kind() {
    let bearer = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer theirs"))]);
    let none = HeaderMap::new();
    let cases = [
        (ProviderKind::Openai, None, &none, "authorization", "Bearer ours"),
        (ProviderKind::Azure, None, &none, "api-key", "ours"),
        (ProviderKind::Anthropic, None, &none, "x-api-key", "ours"),
        (ProviderKind::Openai, Some("theirs"), &none, "authorization", "Bearer theirs"),
        (ProviderKind::Azure, Some("theirs"), &none, "api-key", "theirs"),
        (ProviderKind::Azure, Some("theirs"), &bearer, "authorization", "Bearer theirs"),
        (ProviderKind::Anthropic, Some("theirs"), &bearer, "x-api-key", "theirs"),
    ];
    for (kind, callers_key, headers, name, expected) in cases {
        let request = Outgoing { callers_key, ..outgoing(Endpoint::Chat, "/x", None, headers) };
        let head = request.head(&provider(kind, "https://h", Some("v1"))).unwrap();
        assert_eq!(head.headers[name], expected, "{kind:?}");
        let sent =
            ["authorization", "api-key", "x-api-key"].iter().filter(|n| head.headers.contains_key(**n));
        assert_eq!(sent.count(), 1, "{kind:?}");
    }
}
