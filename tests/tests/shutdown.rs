//! The end of a process: in order when asked once, at once when asked twice.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use lockstep_tests::process::Signal;
use lockstep_tests::{Client, Config, Lockstep, Origin, Request, poll, until};
use parking_lot::Mutex;

/// An origin whose streams end when the sender is dropped.
fn streaming() -> (Origin, Sender<()>) {
    let (events, waiting) = channel();
    let waiting = Mutex::new(waiting);
    let origin = Origin::answering("v1", move |request, reply| {
        if request.target() != "/events" {
            return reply.echo(request);
        }
        reply.begin(&[("content-type", "text/event-stream")])?;
        reply.chunk("data: first\n\n")?;
        let waiting = waiting.lock();
        while waiting.recv().is_ok() {
            reply.chunk("data: next\n\n")?;
        }
        reply.end()
    });
    (origin, events)
}

fn start(origin: &Origin, lame_duck: &str, grace: &str) -> Lockstep {
    let config = Config::shop(&[("v1", origin.addr)]);
    Lockstep::start(&config.set("server.shutdown.lame_duck", lame_duck).set("server.shutdown.grace", grace))
}

fn open_stream(proxy: &Lockstep) -> Client {
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/events").bytes());
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.chunk().expect("an event").expect("an event"), b"data: first\n\n");
    client
}

/// The end of a process without work, with one connection open on which `bytes` were sent.
fn ends_at_once(bytes: &[u8], answered: bool) {
    let (origin, _events) = streaming();
    let mut proxy = start(&origin, "0s", "60s");
    let mut idle = Client::connect(proxy.addr());
    idle.send(bytes);
    if answered {
        assert_eq!(idle.response().status(), 200);
    }
    until("the connection is served", || proxy.metrics().sum("lockstep_connections", &[]) == 1.0);
    let begun = Instant::now();
    proxy.signal(Signal::Term);
    assert!(proxy.process.wait(Duration::from_secs(5)).success());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_kept_connection_does_not_hold_the_end_up() {
    ends_at_once(&Request::get("/").bytes(), true);
}

#[test]
fn an_unused_connection_does_not_hold_the_end_up() {
    ends_at_once(b"", false);
}

#[test]
fn half_a_head_does_not_hold_the_end_up() {
    ends_at_once(b"GET / HTTP/1.1\r\nHo", false);
}

#[test]
fn an_idle_http2_connection_does_not_hold_the_end_up() {
    // The preface and an empty SETTINGS frame.
    ends_at_once(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", false);
}

#[test]
fn the_lame_duck_serves_but_is_not_ready() {
    let (origin, _events) = streaming();
    let mut proxy = start(&origin, "3s", "10s");
    proxy.signal(Signal::Term);
    until("it is not ready", || proxy.readiness() == 503);
    assert_eq!(Request::get("/livez").send(proxy.admin).status(), 200);
    assert_eq!(proxy.send(&Request::get("/")).status(), 200);
    assert!(proxy.process.wait(poll::SOON).success());
}

#[test]
fn who_is_answered_during_the_lame_duck_is_told_to_go() {
    let (origin, _events) = streaming();
    let mut proxy = start(&origin, "2s", "10s");
    let mut kept = Client::connect(proxy.addr());
    let mut ask = || {
        kept.send(Request::get("/").bytes());
        let answer = kept.response();
        (answer.status(), answer.header("connection") == Some("close"))
    };
    assert_eq!(ask(), (200, false));
    proxy.signal(Signal::Term);
    until("it is not ready", || proxy.readiness() == 503);
    assert_eq!(ask(), (200, true));
    assert!(kept.rest().is_empty(), "nothing follows");
    assert!(proxy.process.wait(poll::SOON).success());
}

#[test]
fn a_running_stream_is_waited_for_and_no_longer() {
    let (origin, events) = streaming();
    let mut proxy = start(&origin, "0s", "60s");
    let mut stream = open_stream(&proxy);
    proxy.signal(Signal::Term);
    until("new connections are refused", || Client::try_connect(proxy.addr()).is_err());
    for _ in 0..5 {
        events.send(()).expect("the origin waits");
        assert_eq!(stream.chunk().expect("the stream goes on"), Some(b"data: next\n\n".to_vec()));
    }
    assert!(proxy.process.exited().is_none());
    assert_eq!(proxy.metrics().sum("lockstep_requests_in_flight", &[]), 1.0, "scrapes go on");
    drop(events);
    assert_eq!(stream.chunk().expect("a clean end"), None);
    let begun = Instant::now();
    assert!(proxy.process.wait(Duration::from_secs(5)).success());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let line = proxy.access_log().pop().expect("the stream is logged");
    assert_eq!((&line["path"], &line["status"]), (&"/events".into(), &200.into()));
}

#[test]
fn what_outlasts_the_grace_is_cut_visibly() {
    let (origin, _events) = streaming();
    let mut proxy = start(&origin, "0s", "500ms");
    let mut stream = open_stream(&proxy);
    proxy.signal(Signal::Term);
    stream.chunk().expect_err("a cut is no clean end");
    assert!(proxy.process.wait(Duration::from_secs(5)).success());
    assert!(proxy.process.stderr.find("cut at the end of the shutdown grace").is_some());
    let line = proxy.access_log().pop().expect("the stream is logged");
    assert_eq!((&line["status"], &line["reason"]), (&200.into(), &"shutting_down".into()), "{line}");
    assert_eq!(line["bytes_out"], "data: first\n\n".len(), "{line}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in
        [(Signal::Term, Signal::Term), (Signal::Term, Signal::Int), (Signal::Int, Signal::Int)]
    {
        let (origin, _events) = streaming();
        let mut proxy = start(&origin, "0s", "60s");
        let mut stream = open_stream(&proxy);
        proxy.signal(first);
        until("new connections are refused", || Client::try_connect(proxy.addr()).is_err());
        assert!(proxy.process.exited().is_none());
        proxy.signal(second);
        let status = proxy.process.wait(Duration::from_secs(3));
        assert!(!status.success(), "{status}: dropping requests is no success");
        stream.chunk().expect_err("a cut is no clean end");
    }
}

#[test]
fn a_second_signal_ends_the_lame_duck_too() {
    let (origin, _events) = streaming();
    let mut proxy = start(&origin, "60s", "60s");
    proxy.signal(Signal::Term);
    until("it is not ready", || proxy.readiness() == 503);
    proxy.signal(Signal::Term);
    proxy.process.wait(Duration::from_secs(3));
}

#[test]
fn one_data_directory_belongs_to_one_process() {
    let (origin, _events) = streaming();
    let proxy = start(&origin, "0s", "1s");
    let output = lockstep_tests::lockstep::cli([
        std::path::Path::new("run"),
        std::path::Path::new("--config"),
        &proxy.config_file(),
    ]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("another process"), "{output:?}");
    assert_eq!(proxy.send(&Request::get("/")).status(), 200);
}
