//! HTTP/2 by ALPN and with prior knowledge, with curl and nghttp as clients.

use std::process::Command;

use lockstep_tests::certificates::Certificate;
use lockstep_tests::curl::Curl;
use lockstep_tests::{COOKIE, Config, HOST, Lockstep, Message, Origin, Request, app};
use serde_json::json;

struct Site {
    origins: [Origin; 2],
    proxy: Lockstep,
    certificate: Certificate,
}

fn site(v1: Origin) -> Site {
    let origins = [v1, Origin::echo("v2")];
    let dir = tempfile::tempdir().expect("a directory");
    let certificate = Certificate::write(dir.path(), "tls", &[HOST]);
    let listen = json!([
        {"addr": "127.0.0.1:0"},
        {"addr": "127.0.0.1:0", "tls": {"certificates": [certificate.entry()]}},
    ]);
    let config =
        Config::shop(&[("v1", origins[0].addr), ("v2", origins[1].addr)]).set("server.listen", listen);
    Site { proxy: Lockstep::start_in(dir, &config), origins, certificate }
}

impl Site {
    /// By TLS with ALPN, and by prior knowledge.
    fn both(&self, target: &str, arguments: &[&str]) -> [Message; 2] {
        let tls = Curl::new("https", HOST, self.proxy.tls_addr(), target).trusting(&self.certificate.cert);
        let plain = Curl::new("http", HOST, self.proxy.addr(), target);
        [tls.args(&["--http2"]), plain.args(&["--http2-prior-knowledge"])].map(|curl| {
            let answer = curl.args(arguments).response();
            assert!(answer.start.starts_with("HTTP/2 "), "{}", answer.start);
            answer
        })
    }
}

#[test]
fn both_ways_lead_to_http2_and_hold_the_pin() {
    let site = site(Origin::echo("v1"));
    for answer in site.both("/", &["--cookie", &format!("a=b; {COOKIE}=v1")]) {
        assert_eq!((answer.status(), answer.origin()), (200, "v1"));
        assert_eq!(answer.header("x-lockstep-latest"), Some("v2"));
    }
    let [tls, plain] = site.both("/", &[]);
    assert!(tls.header("set-cookie").is_some_and(|pin| pin.contains("; Secure")), "{tls:?}");
    assert!(plain.header("set-cookie").is_some_and(|pin| !pin.contains("; Secure")), "{plain:?}");
}

#[test]
fn one_port_speaks_http1_too() {
    let site = site(Origin::echo("v1"));
    let tls = Curl::new("https", HOST, site.proxy.tls_addr(), "/").trusting(&site.certificate.cert);
    for curl in
        [tls.args(&["--http1.1"]), Curl::new("http", HOST, site.proxy.addr(), "/").args(&["--http1.1"])]
    {
        let answer = curl.response();
        assert!(answer.start.starts_with("HTTP/1.1 200"), "{}", answer.start);
    }
    // curl asks for an upgrade to h2c here, which nobody has to grant.
    let upgrade = Curl::new("http", HOST, site.proxy.addr(), "/").args(&["--http2"]).response();
    assert_eq!(upgrade.status(), 200);
    assert_eq!(site.proxy.send(&Request::get("/")).status(), 200);
}

#[test]
fn cookies_in_several_lines_are_one() {
    let site = site(Origin::echo("v1"));
    let uri = format!("http://{}/", site.proxy.addr());
    let output = Command::new("nghttp")
        .args(["--verbose", "--no-dep", "-H", &format!(":authority: {HOST}")])
        .args(["-H", "cookie: a=b", "-H", &format!("cookie: {COOKIE}=v1"), "-H", "cookie: c=d", &uri])
        .output()
        .expect("nghttp is installed (tests/setup/install.sh)");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("x-lockstep-version: v1"), "{text}");
    let seen = site.origins[0].last();
    assert_eq!(seen.all("cookie").len(), 1, "RFC 9113, 8.2.3: joined for HTTP/1.1: {seen:?}");
    assert_eq!(seen.header("host"), Some(HOST));
}

#[test]
fn large_bodies_pass_both_ways() {
    let site = site(Origin::answering("v1", |request, reply| reply.respond(200, &[], &request.body)));
    let file = tempfile::NamedTempFile::new().expect("a file");
    let body: Vec<u8> = (0..20 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(file.path(), &body).expect("it is written");
    let data = format!("@{}", file.path().display());
    let pin = "x-deployment-id: v1";
    for answer in site.both("/", &["--header", pin, "--data-binary", &data]) {
        assert_eq!(answer.status(), 200);
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
    }
}

#[test]
fn interim_answers_do_no_harm_and_heads_pass() {
    let site = site(Origin::answering("v1", |request, reply| match request.method() {
        "HEAD" => reply.raw("HTTP/1.1 200 OK\r\nx-origin: v1\r\ncontent-length: 12345\r\n\r\n"),
        _ => {
            reply.raw("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")?;
            reply.echo(request)
        }
    }));
    for answer in site.both("/", &["--header", "x-deployment-id: v1"]) {
        // Pingora 0.9.1 drops interim answers to HTTP/2 clients (`v2/server.rs`,
        // `write_response_header`), so that only the final one can be asserted here.
        assert_eq!((answer.status(), answer.origin()), (200, "v1"));
        assert!(matches!(answer.interim[..], [] | [103]), "{answer:?}");
    }
    for answer in site.both("/", &["--head", "--header", "x-deployment-id: v1"]) {
        assert_eq!((answer.status(), answer.header("content-length")), (200, Some("12345")));
    }
    for answer in site.both("/", &["--head", "--header", "host: nobody.test"]) {
        assert_eq!(answer.status(), 404);
    }
}

#[test]
fn a_head_that_fails_has_an_end() {
    let site = site(Origin::answering("v1", |_, _| Err(std::io::ErrorKind::Other.into())));
    for answer in site.both("/", &["--head", "--header", "x-deployment-id: v1"]) {
        assert_eq!((answer.status(), answer.body.len()), (502, 0));
    }
}

#[test]
fn refusals_are_the_same_as_on_http1() {
    let site = site(Origin::echo("v1"));
    for answer in site.both("/", &["--header", "host: nobody.test"]) {
        assert_eq!((answer.status(), answer.json()["error"].as_str()), (404, Some("no_route")));
    }
    let fields = format!("x-junk: {}", "j".repeat(80_000));
    let plain = Curl::new("http", HOST, site.proxy.addr(), "/").args(&[
        "--http2-prior-knowledge",
        "--header",
        &fields,
    ]);
    let output = plain.output();
    let refused = String::from_utf8_lossy(&output.stdout).starts_with("HTTP/2 431");
    assert!(refused || !output.status.success(), "{output:?}");
    assert_eq!(site.proxy.send(&Request::get("/")).status(), 200, "others are served on");
}

#[test]
fn many_streams_share_one_connection() {
    let site = site(Origin::echo("v1"));
    let uri = format!("http://{}/", site.proxy.addr());
    let output = Command::new("h2load")
        .args(["--requests=2000", "--clients=2", "--max-concurrent-streams=50"])
        .args(["--header", &format!(":authority: {HOST}"), "--header", &format!("cookie: {COOKIE}=v1"), &uri])
        .output()
        .expect("h2load is installed (tests/setup/install.sh)");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("2000 succeeded, 0 failed"), "{text}");
    assert_eq!(site.origins[0].requests().len(), 2000);
}

#[test]
fn http2_upstreams_are_spoken_to_in_http2() {
    let site = site(Origin::echo("v1"));
    // The proxy under test is the origin of another one, with its h2c port.
    let outer = app("outer").version("v1", &[site.proxy.addr()]).set("upstream.http2", true);
    let proxy = Lockstep::start(&Config::new().app(outer));
    let answer = proxy.send(&Request::post("/", "x".repeat(100_000)));
    assert_eq!((answer.status(), answer.json()["bytes"].as_u64()), (200, Some(100_000)));
}
