//! Endpoints of one version stand in for each other; those of another never do.

use std::io::{BufReader, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lockstep_tests::http1;
use lockstep_tests::origin::Refusing;
use lockstep_tests::servers::Server;
use lockstep_tests::{Client, Config, Lockstep, Origin, Request, app, until};
use serde_json::json;

#[test]
fn requests_take_turns() {
    let origins = [Origin::echo("a"), Origin::echo("b"), Origin::echo("c")];
    let addrs = origins.each_ref().map(|origin| origin.addr);
    let proxy = Lockstep::start(&Config::new().app(app("shop").version("v1", &addrs)));
    let mut client = Client::connect(proxy.addr());
    for _ in 0..30 {
        assert_eq!(client.exchange(&Request::get("/")).expect("an answer").status(), 200);
    }
    for origin in &origins {
        assert!(origin.requests().len() >= 8, "{} of 30", origin.requests().len());
    }
}

/// An origin that holds every request until it is told to let go.
fn holding(name: &str) -> (Origin, Arc<AtomicBool>) {
    let hold = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&hold);
    let origin = Origin::answering(name, move |request, reply| {
        until("the test lets go", || !held.load(Ordering::Acquire));
        reply.echo(request)
    });
    (origin, hold)
}

#[test]
fn the_least_loaded_endpoint_is_asked() {
    let ((busy, busy_holds), (idle, idle_holds)) = (holding("busy"), holding("idle"));
    let shop = app("shop").version("v1", &[busy.addr, idle.addr]).set("balance", "least_loaded");
    let proxy = Lockstep::start(&Config::new().app(shop));
    let mut waiting: Vec<_> = (1..=4)
        .map(|count| {
            let mut client = Client::connect(proxy.addr());
            client.send(Request::get("/").bytes());
            until("it has arrived", || busy.requests().len() + idle.requests().len() == count);
            client
        })
        .collect();
    assert_eq!((busy.requests().len(), idle.requests().len()), (2, 2));
    idle_holds.store(false, Ordering::Release);
    until("the released ones are answered", || {
        proxy.metrics().sum("lockstep_requests_in_flight", &[]) == 2.0
    });
    for _ in 0..10 {
        // One that was just answered may still count as in flight, which makes one against two.
        assert_eq!(proxy.send(&Request::get("/")).origin(), "idle");
    }
    busy_holds.store(false, Ordering::Release);
    assert!(waiting.iter_mut().all(|client| client.response().status() == 200));
}

#[test]
fn a_refused_connection_moves_any_method_to_another_endpoint() {
    let (dead, alive, other) = (Refusing::default(), Origin::echo("v1"), Origin::echo("v2"));
    let shop = app("shop").version("v1", &[dead.addr, alive.addr]).version("v2", &[other.addr]);
    let proxy = Lockstep::start(&Config::new().app(shop.set("ejection.failures", 0)));
    for _ in 0..6 {
        let answer = proxy.send(&Request::post("/", "x".repeat(200_000)).pinned("v1"));
        assert_eq!((answer.status(), answer.origin()), (200, "v1"));
        assert_eq!(answer.json()["bytes"], 200_000);
    }
    assert!(proxy.metrics().sum("lockstep_upstream_retries_total", &[("cause", "connect")]) >= 2.0);
    assert!(other.requests().is_empty());
}

#[test]
fn a_dead_version_is_an_error_and_never_another_version() {
    let (dead, other) = (Refusing::default(), Origin::echo("v2"));
    let proxy = Lockstep::start(&Config::shop(&[("v1", dead.addr), ("v2", other.addr)]));
    for request in [Request::get("/"), Request::post("/", "x"), Request::get("/").page_load()] {
        let answer = proxy.send(&request.pinned("v1"));
        assert_eq!(answer.status(), 502, "{answer:?}");
        assert_eq!(answer.json()["error"], "connect_failed");
        assert_eq!(answer.pins_to(), None);
    }
    assert!(other.requests().is_empty());
    proxy.expect_refused("connect_failed", 3.0);
}

#[test]
fn a_failing_endpoint_is_ejected_but_never_all_of_them() {
    let (dead, alive) = (Refusing::default(), Origin::echo("v1"));
    let shop = app("shop")
        .version("v1", &[dead.addr, alive.addr])
        .set("ejection", json!({"failures": 2, "for": "60s", "max_share": "50%"}));
    let proxy = Lockstep::start(&Config::new().app(shop));
    let ejections = || proxy.metrics().sum("lockstep_ejections_total", &[("app", "shop"), ("version", "v1")]);
    until("the dead endpoint is ejected", || {
        assert_eq!(proxy.send(&Request::get("/")).status(), 200);
        ejections() == 1.0
    });
    let retries = |proxy: &Lockstep| proxy.metrics().sum("lockstep_upstream_retries_total", &[]);
    let before = retries(&proxy);
    (0..10).for_each(|_| assert_eq!(proxy.send(&Request::get("/")).status(), 200));
    assert_eq!(retries(&proxy), before, "nobody asks the ejected one");
    alive.stop();
    until("both fail", || proxy.send(&Request::get("/")).status() == 502);
    assert_eq!(ejections(), 1.0, "the last one stays");
}

#[test]
fn an_endpoint_that_cuts_its_answers_is_ejected() {
    let cutting = Origin::connection(|stream| {
        http1::read_head(&mut BufReader::new(stream.try_clone()?))?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    });
    let whole = Origin::echo("whole");
    let shop = app("shop")
        .version("v1", &[cutting.addr, whole.addr])
        .set("ejection", json!({"failures": 3, "for": "60s", "max_share": "50%"}));
    let proxy = Lockstep::start(&Config::new().app(shop));
    let answers = |count: usize| {
        let ask = || Client::connect(proxy.addr()).exchange(&Request::get("/"));
        std::iter::repeat_with(ask).take(count).filter(Result::is_ok).count()
    };
    assert_eq!(answers(6), 3, "they take turns");
    assert_eq!(answers(10), 10, "nobody asks the one that cuts");
    assert_eq!(proxy.metrics().sum("lockstep_ejections_total", &[("app", "shop"), ("version", "v1")]), 1.0);
}

#[test]
fn a_cut_over_a_kept_connection_counts_too() {
    let cutting = Origin::connection(|stream| {
        let mut requests = BufReader::new(stream.try_clone()?);
        http1::read_head(&mut requests)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole")?;
        http1::read_head(&mut requests)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    });
    let whole = Origin::echo("whole");
    let shop = app("shop")
        .version("v1", &[cutting.addr, whole.addr])
        .set("ejection", json!({"failures": 1, "for": "60s", "max_share": "50%"}));
    let proxy = Lockstep::start(&Config::new().app(shop));
    // One connection is one worker, which keeps its connections to endpoints.
    let mut client = Client::connect(proxy.addr());
    let cut = (0..4).find(|_| client.exchange(&Request::get("/")).is_err());
    assert!(cut >= Some(2), "the first answer of each is whole: {cut:?}");
    assert_eq!(proxy.metrics().sum("lockstep_ejections_total", &[("app", "shop"), ("version", "v1")]), 1.0);
}

#[test]
fn no_endpoint_is_to_blame_for_a_want_of_sockets() {
    let origins = [Origin::echo("a"), Origin::echo("b")];
    let shop = app("shop").version("v1", &origins.each_ref().map(|origin| origin.addr));
    let proxy = Lockstep::start(&Config::new().app(shop.set("ejection.failures", 1)));
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(proxy.addr())).collect();
    for client in &mut clients {
        client.exchange(&Request::get("/").host("nowhere.test")).expect("the connection is served");
    }

    proxy.process.limit_files(0);
    for client in &mut clients {
        let answer = client.exchange(&Request::get("/")).expect("an answer");
        assert_eq!((answer.status(), answer.json()["error"].as_str()), (503, Some("no_socket")));
    }
    proxy.process.limit_files(1024);
    proxy.expect_refused("no_socket", 4.0);
    assert_eq!(proxy.metrics().sum("lockstep_ejections_total", &[]), 0.0);
    assert_eq!(proxy.send(&Request::get("/")).status(), 200);
}

#[test]
fn health_checks_take_endpoints_out_and_back() {
    let healthy = Arc::new(AtomicBool::new(true));
    let says = Arc::clone(&healthy);
    let moody = Origin::answering("moody", move |request, reply| match request.target() {
        "/healthz" if !says.load(Ordering::Acquire) => reply.respond(503, &[], ""),
        _ => reply.echo(request),
    });
    let steady = Origin::echo("steady");
    let shop = app("shop")
        .version("v1", &[moody.addr, steady.addr])
        .set("health", json!({"path": "/healthz", "interval": "100ms"}));
    let proxy = Lockstep::start(&Config::new().app(shop));
    let usable = || proxy.metrics().sum("lockstep_endpoints_usable", &[("app", "shop"), ("version", "v1")]);
    until("both are usable", || usable() == 2.0);
    healthy.store(false, Ordering::Release);
    until("one is left", || usable() == 1.0);
    (0..10).for_each(|_| assert_eq!(proxy.send(&Request::get("/")).origin(), "steady"));
    healthy.store(true, Ordering::Release);
    until("both are back", || usable() == 2.0);
    until("requests reach it again", || proxy.send(&Request::get("/")).origin() == "moody");
}

#[test]
fn a_post_on_a_connection_that_the_origin_just_closed_is_sent_again() {
    // Answers one request on each connection and closes only when the next one comes: what a
    // keep-alive timeout looks like that strikes at the worst moment.
    let origin = Origin::connection(|stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        if let Some(head) = http1::read_head(&mut reader)? {
            let framing = head.framing();
            http1::read_body(&mut reader, head, framing)?;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nx-origin: v1\r\ncontent-length: 2\r\n\r\nok")?;
        reader.read(&mut [0]).map(drop)
    });
    let proxy = Lockstep::start(&Config::shop(&[("v1", origin.addr)]));
    for _ in 0..20 {
        let answer = proxy.send(&Request::post("/", "pay 1"));
        assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    }
    assert!(proxy.metrics().sum("lockstep_upstream_retries_total", &[("cause", "stale_connection")]) >= 5.0);
}

#[test]
fn a_post_that_reached_the_origin_is_not_repeated() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let breaking = Origin::connection(move |stream| {
        let mut seen = [0; 4096];
        if stream.read(&mut seen)? > 0 {
            counted.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    });
    let steady = Origin::echo("v1");
    let shop = app("shop").version("v1", &[breaking.addr, steady.addr]).set("ejection.failures", 0);
    let proxy = Lockstep::start(&Config::new().app(shop));
    let answer = lockstep_tests::eventually("a POST reaches the breaking endpoint", || {
        let answer = proxy.send(&Request::post("/", "pay 1"));
        (answer.status() != 200).then_some(answer)
    });
    assert_eq!((answer.status(), answer.json()["error"].as_str()), (502, Some("upstream_failed")));
    assert_eq!(count.load(Ordering::Acquire), 1);
}

#[test]
fn a_post_whose_http2_stream_is_reset_is_not_repeated() {
    let origin = Server::node("h2-origin.js", &[]);
    let shop = app("shop").version("v1", &[origin.addr]).set("upstream.http2", true);
    // One thread, and so one connection.
    let proxy = Lockstep::start(&Config::new().app(shop).set("server.threads", 1));
    for posts in 0..3 {
        // Over a connection that was used before, which may be taken for a stale one.
        assert_eq!(proxy.send(&Request::get("/")).text(), posts.to_string());
        let answer = proxy.send(&Request::post("/", "pay 1"));
        assert_eq!((answer.status(), answer.json()["error"].as_str()), (502, Some("upstream_failed")));
        // What was not looked at is.
        assert_eq!(proxy.send(&Request::post("/busy", "pay 1")).text(), "taken");
    }
}

#[test]
fn a_get_moves_on_when_an_endpoint_breaks_the_exchange() {
    let breaking = Origin::connection(|stream| stream.read(&mut [0; 4096]).map(drop));
    let steady = Origin::echo("v1");
    let shop = app("shop").version("v1", &[breaking.addr, steady.addr]);
    let proxy = Lockstep::start(&Config::new().app(shop.set("ejection.failures", 0)));
    for _ in 0..6 {
        assert_eq!(proxy.send(&Request::get("/")).origin(), "v1");
    }
    assert!(breaking.accepted() >= 2);
    assert!(proxy.metrics().sum("lockstep_upstream_retries_total", &[("cause", "failure")]) >= 2.0);
}

#[test]
fn an_endpoint_that_waits_for_a_slow_client_is_not_to_blame() {
    let origins = [Origin::echo("a"), Origin::echo("b")];
    let shop = app("shop").version("v1", &origins.each_ref().map(|origin| origin.addr));
    let shop = shop.set("ejection.failures", 1).set("upstream.read_timeout", "200ms");
    let proxy = Lockstep::start(&Config::new().app(shop));
    let mut client = Client::connect(proxy.addr());
    client.send(Request::new("POST", "/").header("content-length", "100").bytes());
    client.send("half");
    let answer = client.response();
    assert_eq!((answer.status(), answer.json()["error"].as_str()), (408, Some("body_timeout")));
    proxy.expect_refused("body_timeout", 1.0);
    assert_eq!(proxy.metrics().sum("lockstep_ejections_total", &[]), 0.0);
}

#[test]
fn a_silent_endpoint_times_out() {
    let silent = Origin::connection(|stream| stream.read_to_end(&mut Vec::new()).map(drop));
    let shop = app("shop")
        .version("v1", &[silent.addr])
        .set("upstream", json!({"read_timeout": "200ms", "retries": 0}));
    let proxy = Lockstep::start(&Config::new().app(shop));
    let answer = proxy.send(&Request::post("/", "x"));
    assert_eq!((answer.status(), answer.json()["error"].as_str()), (504, Some("upstream_timeout")));
    proxy.expect_refused("upstream_timeout", 1.0);
}
