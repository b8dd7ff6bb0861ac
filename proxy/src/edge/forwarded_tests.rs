use super::*;

fn rewritten(
    headers: &[(&'static str, &'static str)],
    trusted: bool,
    strip: Option<&str>,
    path: &str,
) -> RequestHeader {
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
    request.insert_header(HOST, "shop.example.com").unwrap();
    for (name, value) in headers {
        request.append_header(*name, *value).unwrap();
    }
    let connection =
        Connection::new("192.0.2.1:9".parse().unwrap(), trusted, false, false, std::sync::Arc::default());
    let https = is_https(&request, &connection);
    let request_id = request_id(&request, &connection);
    let client = Client { connection: &connection, https, request_id: &request_id, strip };
    rewrite(&mut request, &client).unwrap();
    request
}

fn get<'r>(request: &'r RequestHeader, name: &str) -> Option<&'r str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

const GIVEN: &[(&str, &str)] = &[
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-for", "203.0.113.10"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "other.example"),
    ("x-forwarded-port", "8443"),
    ("x-real-ip", "203.0.113.9"),
    ("x-request-id", "given"),
    ("forwarded", "for=203.0.113.9"),
];

#[test]
fn an_untrusted_peer_names_nobody_but_itself() {
    let request = rewritten(GIVEN, false, None, "/");
    assert_eq!(get(&request, "x-forwarded-for"), Some("192.0.2.1"));
    assert_eq!(get(&request, "x-forwarded-proto"), Some("http"));
    assert_eq!(get(&request, "x-forwarded-host"), Some("shop.example.com"));
    assert_eq!(get(&request, "x-forwarded-port"), None);
    assert_eq!(get(&request, "x-real-ip"), None);
    assert_ne!(get(&request, "x-request-id"), Some("given"));
    assert_eq!(get(&request, "x-request-id").unwrap().len(), 26);
    assert_eq!(get(&request, "forwarded"), Some("for=203.0.113.9"));
}

#[test]
fn a_trusted_peer_is_believed() {
    let request = rewritten(GIVEN, true, None, "/");
    assert_eq!(get(&request, "x-forwarded-for"), Some("203.0.113.9, 203.0.113.10, 192.0.2.1"));
    assert_eq!(get(&request, "x-forwarded-proto"), Some("https"));
    assert_eq!(get(&request, "x-forwarded-host"), Some("other.example"));
    assert_eq!(get(&request, "x-forwarded-port"), Some("8443"));
    assert_eq!(get(&request, "x-request-id"), Some("given"));
}

#[test]
fn what_a_trusted_peer_leaves_out_is_filled_in() {
    let request = rewritten(&[], true, None, "/");
    assert_eq!(get(&request, "x-forwarded-for"), Some("192.0.2.1"));
    assert_eq!(get(&request, "x-forwarded-proto"), Some("http"));
    assert_eq!(get(&request, "x-forwarded-host"), Some("shop.example.com"));
}

#[test]
fn the_prefix_is_removed_on_its_border() {
    for (path, expected) in [
        ("/shop", "/"),
        ("/shop/", "/"),
        ("/shop/cart?a=b", "/cart?a=b"),
        ("/shop?a=b", "/?a=b"),
        ("/shop//evil.test", "/evil.test"),
    ] {
        let request = rewritten(&[], false, Some("/shop"), path);
        assert_eq!(request.raw_path(), expected.as_bytes(), "{path}");
        assert_eq!(get(&request, "x-forwarded-prefix"), Some("/shop"));
    }
}

#[test]
fn the_absolute_form_becomes_the_origin_form() {
    let request = rewritten(&[], false, None, "http://shop.example.com/cart?a=b");
    assert_eq!(request.raw_path(), b"/cart?a=b");
    assert_eq!(get(&request, "host"), Some("shop.example.com"));
}

#[test]
fn the_preview_token_goes_no_further() {
    let request = rewritten(&[(PREVIEW_HEADER, "secret")], true, None, "/");
    assert_eq!(get(&request, PREVIEW_HEADER), None);
}

#[test]
fn names_that_only_look_like_ours_go_no_further() {
    let given =
        [("x_forwarded_for", "203.0.113.9"), ("x-forwarded_proto", "https"), ("x_real_ip", "203.0.113.9")];
    let own = [("x-lockstep-version", "v9"), ("x-lockstep-skew", "expired"), ("my_header", "kept")];
    let request = rewritten(&[given.as_slice(), own.as_slice()].concat(), true, None, "/");
    for (name, _) in given.iter().chain(&own[..2]) {
        assert_eq!(get(&request, name), None, "{name}");
    }
    assert_eq!(get(&request, "my_header"), Some("kept"));
}
