//! One instance goes, another takes over: no request is lost (P2).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use lockstep_tests::load::Load;
use lockstep_tests::origin::STREAM_BYTES;
use lockstep_tests::process::Signal;
use lockstep_tests::{Client, Config, HOST, Lockstep, Origin, Request, poll, until};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;

/// Sends visitors to an instance that says it is ready, as a balancer does.
struct Balancer {
    target: Arc<Mutex<SocketAddr>>,
    stop: Arc<AtomicBool>,
    prober: JoinHandle<()>,
}

impl Balancer {
    /// Probes the admin listener of the first; once it is not ready, the second is the target.
    fn start(probed: SocketAddr, first: SocketAddr, second: SocketAddr) -> Self {
        let target = Arc::new(Mutex::new(first));
        let stop = Arc::new(AtomicBool::new(false));
        let (chosen, stopped) = (Arc::clone(&target), Arc::clone(&stop));
        let prober = std::thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let ready =
                    Request::get("/readyz").try_send(probed).is_ok_and(|answer| answer.status() == 200);
                if !ready {
                    *chosen.lock() = second;
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { target, stop, prober }
    }

    fn load(&self) -> Load {
        let target = Arc::clone(&self.target);
        Load::new(move || *target.lock())
    }

    fn target(&self) -> SocketAddr {
        *self.target.lock()
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Release);
        self.prober.join().expect("the prober");
    }
}

#[test]
fn a_second_instance_takes_over_under_load() {
    let origins = [Origin::with_streams("v1"), Origin::with_streams("v2")];
    let config = Config::shop(&[("v1", origins[0].addr), ("v2", origins[1].addr)])
        .set("server.shutdown.lame_duck", "2s");
    let mut first = Lockstep::start(&config);
    let second = Lockstep::start(&config);
    let balancer = Balancer::start(first.admin, first.addr(), second.addr());
    let mut load = balancer.load();
    load.newcomers(3);
    for version in ["v1", "v2"] {
        load.keep(load.pinned(version));
        load.keep(load.patient(version, "/stream", STREAM_BYTES));
    }
    until("the load is on", || load.requests() > 300);
    first.signal(Signal::Term);
    let status = first.process.wait(poll::SOON);
    assert!(status.success(), "{status}");
    assert_eq!(balancer.target(), second.addr());
    let taken_over = load.requests();
    until("the second serves on", || load.requests() > taken_over + 300);
    balancer.finish();
    load.finish();
    assert!(!first.process.stderr.all().iter().any(|line| line.contains("cut at the end")));
}

#[test]
fn what_is_under_way_when_the_lame_duck_ends_is_finished() {
    let origins = [Origin::with_streams("v1")];
    let config = Config::shop(&[("v1", origins[0].addr)]).set("server.shutdown.lame_duck", "200ms");
    let mut first = Lockstep::start(&config);
    let (addr, mut waiting) = (first.addr(), Vec::new());
    for _ in 0..30 {
        let mut client = Client::connect(addr);
        client.send(Request::get("/stream").pinned("v1").bytes());
        waiting.push(client);
    }
    until("all of them are served", || origins[0].requests().len() == 30);
    first.signal(Signal::Term);
    until("new connections are refused", || Client::try_connect(addr).is_err());
    for client in &mut waiting {
        assert_eq!(client.response().body.len(), STREAM_BYTES);
        assert!(client.closes(), "nothing more is served");
    }
    assert!(first.process.wait(poll::SOON).success());
}

#[test]
fn a_busy_http2_connection_is_ended_without_losing_a_stream() {
    let origin = Origin::with_streams("v1");
    let shutdown = json!({"lame_duck": "200ms", "grace": "120s"});
    let mut first = Lockstep::start(&Config::shop(&[("v1", origin.addr)]).set("server.shutdown", shutdown));
    let addr = first.addr();
    let client = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(busy(addr))
    });
    until("the stream runs", || origin.requests().iter().any(|request| request.target() == "/stream"));
    first.signal(Signal::Term);
    // Long before the grace is over.
    assert!(first.process.wait(poll::SOON).success());
    let (streamed, others) = client.join().expect("no answer was cut");
    assert_eq!(streamed, STREAM_BYTES);
    assert!(others > 0);
}

/// Reads a stream, and sends requests beside it, so that it is never idle, until the connection takes no more. Gives
/// back the bytes of the stream, and how many others were answered.
async fn busy(addr: SocketAddr) -> (usize, usize) {
    let socket = tokio::net::TcpStream::connect(addr).await.expect("connected");
    let (mut client, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    let (stream, _) = client.send_request(get("/stream"), true).expect("sent");
    let stream = async {
        let mut body = stream.await.expect("an answer").into_body();
        let mut count = 0;
        while let Some(piece) = body.data().await {
            let piece = piece.expect("the stream is whole");
            let _given_back = body.flow_control().release_capacity(piece.len());
            count += piece.len();
        }
        count
    };
    let mut others = JoinSet::new();
    for number in 0..4 {
        others.spawn(one_after_the_other(client.clone(), Duration::from_millis(number * 250)));
    }
    drop(client);
    let (streamed, answered, _ended) = tokio::join!(stream, others.join_all(), connection);
    (streamed, answered.into_iter().sum())
}

/// Requests streams of a second until the connection takes no more.
async fn one_after_the_other(mut client: h2::client::SendRequest<Bytes>, begins_after: Duration) -> usize {
    tokio::time::sleep(begins_after).await;
    let mut answered = 0;
    loop {
        let Ok(ready) = client.ready().await else { return answered };
        client = ready;
        let Ok((answer, _)) = client.send_request(get("/stream"), true) else { return answered };
        match answer.await {
            Ok(answer) => {
                answered += 1;
                let mut body = answer.into_body();
                while let Some(piece) = body.data().await {
                    let length = piece.expect("the stream is whole").len();
                    let _given_back = body.flow_control().release_capacity(length);
                }
            }
            // What the goodbye of the other side crossed is told not to have been looked at.
            Err(error) => assert!(error.is_go_away(), "{error}"),
        }
    }
}

fn get(path: &str) -> http::Request<()> {
    http::Request::get(format!("http://{HOST}{path}")).body(()).expect("a request")
}
