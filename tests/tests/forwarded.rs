//! What an app learns of its client.

use lockstep_tests::{Client, Config, HOST, Lockstep, Message, Origin, Request, app};
use serde_json::json;

fn start(origin: &Origin, trusted: &[&str]) -> Lockstep {
    let config = Config::shop(&[("v1", origin.addr)]);
    Lockstep::start(&config.set("server.trusted_proxies", json!(trusted)))
}

/// A request that claims to come from elsewhere.
fn claims() -> Request {
    Request::get("/")
        .header("x-forwarded-for", "192.0.2.1")
        .header("x-forwarded-for", "192.0.2.2, 192.0.2.3")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "elsewhere.test")
        .header("x-forwarded-port", "443")
        .header("x-forwarded-prefix", "/admin")
        .header("x-real-ip", "192.0.2.1")
        .header("x-request-id", "given")
        .header("forwarded", "for=192.0.2.1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
}

fn seen(proxy: &Lockstep, origin: &Origin, request: &Request) -> Message {
    assert_eq!(proxy.send(request).status(), 200);
    origin.last()
}

#[test]
fn the_word_of_an_untrusted_peer_is_replaced() {
    let origin = Origin::echo("v1");
    let seen = seen(&start(&origin, &[]), &origin, &claims());
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-forwarded-host"), [HOST]);
    for name in ["x-forwarded-port", "x-forwarded-prefix", "x-real-ip"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_ne!(seen.header("x-request-id"), Some("given"));
    assert_eq!(seen.header("forwarded"), Some("for=192.0.2.1"), "left alone");
    assert!(seen.header("traceparent").is_some());
}

#[test]
fn the_word_of_a_trusted_proxy_is_passed_on() {
    let origin = Origin::echo("v1");
    let seen = seen(&start(&origin, &["127.0.0.0/8"]), &origin, &claims());
    assert_eq!(seen.all("x-forwarded-for").join(", "), "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1");
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.all("x-forwarded-host"), ["elsewhere.test"]);
    assert_eq!(seen.header("x-request-id"), Some("given"));
    assert_eq!(seen.header("x-real-ip"), Some("192.0.2.1"));
}

#[test]
fn every_request_has_an_id_that_the_access_log_knows() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[]);
    let ids = [0; 2].map(|_| {
        let seen = seen(&proxy, &origin, &Request::get("/page?secret=1"));
        seen.header("x-request-id").expect("an id").to_owned()
    });
    assert_ne!(ids[0], ids[1]);
    let line = lockstep_tests::eventually("the access log has the line", || {
        proxy.access_log().into_iter().find(|line| line["request_id"] == ids[1].as_str())
    });
    assert_eq!((&line["path"], &line["status"]), (&json!("/page"), &json!(200)));
    assert_eq!(
        (&line["app"], &line["version"], &line["reason"]),
        (&json!("shop"), &json!("v1"), &json!("active"))
    );
    assert_eq!((&line["host"], &line["client"]), (&json!(HOST), &json!("127.0.0.1")));
    assert_eq!(line["endpoint"], origin.addr.to_string());
    assert!(!line.to_string().contains("secret"), "{line}");
}

#[test]
fn absolute_targets_reach_the_origin_in_origin_form() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[]);
    let mut client = Client::connect(proxy.addr());
    client.send(format!("GET http://{HOST}/path?q=1 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(client.response().status(), 200);
    let seen = origin.last();
    assert_eq!(seen.target(), "/path?q=1");
    assert_eq!(seen.all("host"), [HOST]);
    client.send("GET http://nobody.test/ HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
    assert_eq!(client.response().status(), 404);
    // RFC 9112, 3.2.2 lets the target decide; refusing leaves nothing to be read in two ways.
    client.send(format!("GET http://{HOST}/ HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n"));
    assert_eq!(client.response().status(), 400);
}

#[test]
fn a_stripped_prefix_is_told_to_the_app() {
    let origin = Origin::echo("v1");
    let entry = app("shop").set("path", "/shop").set("strip_prefix", true).version("v1", &[origin.addr]);
    let proxy = Lockstep::start(&Config::new().app(entry).set("server.trusted_proxies", json!([])));
    assert_eq!(proxy.send(&Request::get("/shop/a").header("x-forwarded-prefix", "/evil")).status(), 200);
    assert_eq!(origin.last().all("x-forwarded-prefix"), ["/shop"]);
}
