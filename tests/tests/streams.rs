//! Streams pass as they come: nothing waits, nothing is changed, an end is an end and a cut a cut.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use lockstep_tests::curl::Curl;
use lockstep_tests::origin::Reply;
use lockstep_tests::{Client, Config, HOST, Lockstep, Origin, Request};
use parking_lot::Mutex;

const EVENTS: usize = 50;

/// An origin that writes each event only when it is told to.
struct Stepwise {
    origin: Origin,
    /// Lets the next event go; dropped: the stream ends cleanly.
    steps: Sender<()>,
    /// Told when the proxy closed the connection.
    closed: Receiver<bool>,
}

impl Stepwise {
    fn start() -> Self {
        let (steps, waiting) = channel();
        let (closing, closed) = channel();
        let waiting = Mutex::new(waiting);
        let origin = Origin::answering("v1", move |request, reply| {
            reply.begin(&[("content-type", "text/event-stream"), ("cache-control", "no-cache")])?;
            let waiting = waiting.lock();
            if let Err(error) = write_events(&waiting, reply) {
                return closing.send(true).map_or(Err(error), |()| Ok(()));
            }
            if request.target() == "/watched" {
                let _test_is_over = closing.send(reply.closed());
            }
            Ok(())
        });
        Self { origin, steps, closed }
    }

    fn step(&self) {
        self.steps.send(()).expect("the origin waits");
    }
}

fn write_events(steps: &Receiver<()>, reply: &mut Reply<'_>) -> std::io::Result<()> {
    let mut events = 0;
    while events < EVENTS && steps.recv().is_ok() {
        reply.chunk(event(events))?;
        events += 1;
    }
    reply.end()
}

fn event(number: usize) -> Vec<u8> {
    // Half of them hold bytes that any re-encoding would change.
    let mut event = format!("id: {number}\ndata: {{\"n\":  {number}}} \u{1f600}\r\n\n").into_bytes();
    if number % 2 == 1 {
        event.extend([0, 0xff, 0xfe, b'\r']);
    }
    event
}

fn proxy(origin: &Origin) -> Lockstep {
    Lockstep::start(&Config::shop(&[("v1", origin.addr)]))
}

#[test]
fn the_client_has_each_event_before_the_origin_writes_the_next() {
    let stream = Stepwise::start();
    let proxy = proxy(&stream.origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/events").header("accept-encoding", "gzip, br, zstd").bytes());
    let head = client.head();
    assert_eq!((head.status(), head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.header("content-encoding"), None);
    assert_eq!(head.header("content-length"), None);
    for number in 0..EVENTS {
        stream.step();
        let expected = event(number);
        let mut got = Vec::new();
        while got.len() < expected.len() {
            got.extend(client.chunk().expect("the stream goes on").expect("an event"));
        }
        assert_eq!(got, expected);
    }
    assert_eq!(client.chunk().expect("a clean end"), None);
}

#[test]
fn what_a_client_leaves_is_left_upstream_at_once() {
    let stream = Stepwise::start();
    let proxy = proxy(&stream.origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/watched").bytes());
    assert_eq!(client.head().status(), 200);
    stream.step();
    assert_eq!(client.chunk().expect("the stream goes on"), Some(event(0)));
    drop(client);
    // The origin writes on; it learns of the end by its writes, or by its read after the last.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let closed = loop {
        let _gone = stream.steps.send(());
        if let Ok(closed) = stream.closed.recv_timeout(Duration::from_millis(50)) {
            break closed;
        }
        assert!(std::time::Instant::now() < deadline, "the upstream stays open");
    };
    assert!(closed);
    proxy.expect_refused("client_closed", 1.0);
}

#[test]
fn an_idle_stream_that_a_client_leaves_is_closed_without_another_event() {
    let (closing, closed) = channel();
    let closing = Mutex::new(closing);
    let origin = Origin::answering("v1", move |_, reply| {
        reply.begin(&[("content-type", "text/event-stream")])?;
        reply.chunk("data: 1\n\n")?;
        let _over = closing.lock().send(reply.closed());
        Ok(())
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/").bytes());
    assert_eq!(client.head().status(), 200);
    assert!(client.chunk().expect("an event").is_some());
    drop(client);
    let closed = closed.recv_timeout(Duration::from_secs(5));
    assert_eq!(closed, Ok(true), "the upstream is closed within 5 s");
}

#[test]
fn a_cut_stream_is_never_a_clean_end() {
    let origin = Origin::answering("v1", |_, reply| {
        reply.begin(&[("content-type", "text/event-stream")])?;
        reply.chunk("data: 1\n\n")?;
        reply.close();
        Ok(())
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/").bytes());
    assert_eq!(client.head().status(), 200);
    assert!(client.chunk().expect("an event").is_some());
    client.chunk().expect_err("the connection ends without a last chunk");
    // Several times: what has arrived must leave, however close behind it the cut comes.
    for version in ["--http1.1", "--http2-prior-knowledge"].repeat(5) {
        let output = Curl::new("http", HOST, proxy.addr(), "/").args(&[version]).output();
        let code = output.status.code();
        assert!(matches!(code, Some(18 | 56 | 92)), "{version}: {code:?} {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).ends_with("data: 1\n\n"), "{version}: {output:?}");
    }
}

#[test]
fn an_upload_streams_as_well() {
    let (parts, arrived) = channel();
    let parts = Arc::new(Mutex::new(parts));
    let origin = Origin::connection(move |stream| {
        use std::io::{BufReader, Write as _};
        let mut reader = BufReader::new(stream.try_clone()?);
        let _head = lockstep_tests::http1::read_head(&mut reader)?;
        while let Some(part) = lockstep_tests::http1::read_chunk(&mut reader)? {
            let _over = parts.lock().send(part);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::new("POST", "/").header("transfer-encoding", "chunked").bytes());
    for number in 0..20 {
        let part = format!("part {number}");
        client.send(format!("{:x}\r\n{part}\r\n", part.len()));
        let got = arrived.recv_timeout(Duration::from_secs(10)).expect("it arrives before the next is sent");
        assert_eq!(String::from_utf8_lossy(&got), part);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn pieces_of_a_sized_body_leave_at_once() {
    let (go, gate) = channel();
    let gate = Arc::new(Mutex::new(gate));
    let origin = Origin::connection(move |stream| {
        use std::io::{BufReader, Write as _};
        let mut reader = BufReader::new(stream.try_clone()?);
        let _head = lockstep_tests::http1::read_head(&mut reader)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\nconnection: close\r\n\r\n0123456789")?;
        gate.lock().recv().expect("the client goes on");
        stream.write_all(b"abcdefghij")
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/").bytes());
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.bytes(10), b"0123456789");
    go.send(()).expect("the origin waits");
    assert_eq!(client.bytes(10), b"abcdefghij");
}
