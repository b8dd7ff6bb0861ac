//! What one client may use, and what it gets beyond that.

use std::io::Read as _;
use std::process::Command;
use std::time::{Duration, Instant};

use lockstep_tests::{Client, Config, HOST, Lockstep, Message, Origin, Request, until};
use serde_json::Value;

fn start(origin: &Origin, limits: &[(&str, Value)]) -> Lockstep {
    let config = Config::shop(&[("v1", origin.addr)]);
    let set = |config: Config, (key, value): &(&str, Value)| {
        config.set(&format!("server.limits.{key}"), value.clone())
    };
    Lockstep::start(&limits.iter().fold(config, set))
}

fn refused(answer: &Message, status: u16, reason: &str) {
    assert_eq!((answer.status(), answer.json()["error"].as_str()), (status, Some(reason)));
}

#[test]
fn a_large_head_is_refused() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[("header_bytes", "16KiB".into())]);
    let with = |bytes: usize| Request::get("/").header("x-junk", &"j".repeat(bytes));
    assert_eq!(proxy.send(&with(12_000)).status(), 200);
    let long_path = Request::get(&format!("/{}", "p".repeat(20_000)));
    for (count, request) in [with(20_000), with(300_000), long_path].iter().enumerate() {
        let mut client = Client::connect(proxy.addr());
        // The proxy may stop to read before all of it is sent.
        let _cut = client.try_send(request.bytes());
        let answer = client.response();
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (431, &"header_too_large".into()));
        assert!(client.rest().is_empty());
        proxy.expect_refused("header_too_large", count as f64 + 1.0);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_head_that_trickles_in_is_refused_in_time() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[("header_timeout", "700ms".into())]);
    let begun = Instant::now();
    let mut client = Client::connect(proxy.addr());
    client.patience(Duration::from_millis(50));
    client.send("GET / HTTP/1.1\r\n");
    let mut answer = Vec::new();
    while begun.elapsed() < Duration::from_secs(10) {
        // A byte each 50 ms: each read of the proxy succeeds, the head never ends.
        if client.try_send("x").is_err() || !answer.is_empty() {
            break;
        }
        answer.extend(client.rest());
    }
    assert!(begun.elapsed() >= Duration::from_millis(600), "not before its time");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    proxy.expect_refused("header_timeout", 1.0);
    // The deadline is for each head anew.
    let mut client = Client::connect(proxy.addr());
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(client.exchange(&Request::get("/")).expect("an answer").status(), 200);
    }
}

#[test]
fn a_large_body_is_refused_however_it_is_announced() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[("body_bytes", "1MiB".into())]);
    assert_eq!(proxy.send(&Request::post("/", "x".repeat(1 << 20))).status(), 200);
    let mut client = Client::connect(proxy.addr());
    let declared = Request::new("POST", "/").header("content-length", "1048577");
    client.send(declared.clone().header("expect", "100-continue").bytes());
    refused(&client.response(), 413, "body_too_large");
    proxy.expect_refused("body_too_large", 1.0);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::new("POST", "/").header("transfer-encoding", "chunked").bytes());
    for _ in 0..20 {
        // It may be refused while more is on its way.
        let _cut = client.try_send([b"10000\r\n", "x".repeat(65536).as_bytes(), b"\r\n"].concat());
    }
    refused(&client.response(), 413, "body_too_large");
    proxy.expect_refused("body_too_large", 2.0);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "x".repeat(2 << 20)).expect("it is written");
    // Not curl: its 7.88 takes the end of the upload (RST_STREAM with NO_ERROR) for an error.
    let output = Command::new("nghttp")
        .args(["--verbose", "--header", &format!(":authority: {HOST}"), "--data"])
        .arg(file.path())
        .arg(format!("http://{}/", proxy.addr()))
        .output()
        .expect("nghttp is installed (tests/setup/install.sh)");
    assert!(String::from_utf8_lossy(&output.stdout).contains(":status: 413"), "{output:?}");
    proxy.expect_refused("body_too_large", 3.0);
    assert_eq!(origin.requests().len(), 1, "the origin takes no part for a whole");
}

#[test]
fn a_body_that_stops_is_given_up() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[("idle_timeout", "1s".into())]);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::new("POST", "/").header("content-length", "100").bytes());
    client.send("half");
    refused(&client.response(), 408, "body_timeout");
    assert!(client.rest().is_empty());
    proxy.expect_refused("body_timeout", 1.0);
}

#[test]
fn an_idle_connection_is_closed() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[("idle_timeout", "1s".into()), ("header_timeout", "1s".into())]);
    let connections = || proxy.metrics().sum("lockstep_connections", &[]);
    let mut used = Client::connect(proxy.addr());
    assert_eq!(used.exchange(&Request::get("/")).expect("an answer").status(), 200);
    let mut unused = Client::connect(proxy.addr());
    until("both are counted", || connections() == 2.0);
    for client in [&mut used, &mut unused] {
        assert!(client.closes());
    }
    until("neither is counted", || connections() == 0.0);
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let origin = Origin::answering("v1", |_, reply| {
        reply.begin(&[])?;
        let chunk = vec![b'x'; 1 << 16];
        (0..1 << 12).try_for_each(|_| reply.chunk(&chunk))?;
        reply.end()
    });
    let proxy = start(&origin, &[("idle_timeout", "1s".into())]);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/").bytes());
    assert_eq!(client.head().status(), 200);
    proxy.expect_refused("client_closed", 1.0);
    until("its connection is gone", || proxy.metrics().sum("lockstep_connections", &[]) == 0.0);
    // A slow reader that does read is served on.
    let mut slow = Client::connect(proxy.addr());
    slow.send(Request::get("/").bytes());
    let begun = Instant::now();
    let mut got = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        got += slow.stream().read(&mut [0; 1 << 20]).expect("it is still served");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(got > 1 << 16, "{got} bytes");
}

#[test]
fn connections_are_bounded_and_given_back() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[("connections", 3.into())]);
    let mut open: Vec<_> = (0..3).map(|_| Client::connect(proxy.addr())).collect();
    for client in &mut open {
        assert_eq!(client.exchange(&Request::get("/")).expect("an answer").status(), 200);
    }
    let mut refused = Client::connect(proxy.addr());
    let answer = refused.response();
    assert_eq!(answer.status(), 503);
    assert!(answer.header("retry-after").is_some());
    proxy.expect_refused("connection_limit", 1.0);
    open.pop();
    until("a place is free", || {
        Request::get("/").try_send(proxy.addr()).is_ok_and(|answer| answer.status() == 200)
    });
}

#[test]
fn new_limits_take_effect_without_a_restart() {
    let origin = Origin::echo("v1");
    let config = Config::shop(&[("v1", origin.addr)]);
    let proxy = Lockstep::start(&config);
    let post = || proxy.send(&Request::post("/", "x".repeat(2000))).status();
    assert_eq!(post(), 200);
    proxy.reload(&config.set("server.limits.body_bytes", "1KiB"));
    until("the limit is in force", || post() == 413);
}

#[test]
fn an_idle_http2_connection_is_closed() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[("idle_timeout", "1s".into())]);
    let mut client = Client::connect(proxy.addr());
    // The preface and an empty SETTINGS frame.
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let begun = Instant::now();
    client.rest();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    until("it is not counted", || proxy.metrics().sum("lockstep_connections", &[]) == 0.0);
}

#[test]
fn half_a_preface_is_not_waited_for() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &[("header_timeout", "500ms".into()), ("idle_timeout", "2s".into())]);
    let mut client = Client::connect(proxy.addr());
    client.send("PRI * HTT");
    client.rest();
    proxy.expect_refused("header_timeout", 1.0);
}
