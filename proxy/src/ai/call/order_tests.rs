//! The order of things around a call, seen from its ledger: nothing reaches a provider before its
//! begin is noted, and no client sees the end before it is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use parking_lot::Mutex;
use pingora::protocols::http::server::Session;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::serve::serve;
use crate::ai::gateway::Gateway;
use crate::ai::ledger::{Begin, End, Entry, Ledger, LedgerError, Outcome, Refused, Target};
use crate::config;
use crate::metrics::Metrics;

/// What happened, in order.
type Events = Arc<Mutex<Vec<String>>>;

/// A ledger whose syncs take as long as the test likes.
struct Slow {
    events: Events,
    /// One permit for each sync that may be done.
    syncs: Arc<Semaphore>,
    full: bool,
}

struct SlowEntry(Events, Arc<Semaphore>);

impl Slow {
    async fn sync(events: &Events, syncs: &Semaphore, what: String) {
        syncs.acquire().await.unwrap().forget();
        events.lock().push(what);
    }
}

#[async_trait]
impl Ledger for Slow {
    async fn begin(&self, begin: Begin) -> Result<Box<dyn Entry>, LedgerError> {
        if self.full {
            return Err(LedgerError::Full);
        }
        let model = begin.model.unwrap_or_default();
        Self::sync(&self.events, &self.syncs, format!("begin {model}")).await;
        Ok(Box::new(SlowEntry(Arc::clone(&self.events), Arc::clone(&self.syncs))))
    }

    async fn answered(&self, _begin: Begin, end: End) -> Result<(), LedgerError> {
        Self::sync(&self.events, &self.syncs, format!("answered {}", end.status)).await;
        Ok(())
    }

    fn refused(&self, refused: Refused) {
        self.events.lock().push(format!("refused {}", refused.status));
    }
}

#[async_trait]
impl Entry for SlowEntry {
    async fn attempt(&mut self, target: Target) -> Result<(), LedgerError> {
        Slow::sync(&self.0, &self.1, format!("attempt {}", target.provider)).await;
        Ok(())
    }

    fn part(&mut self, delivered: &Bytes) {
        let text = String::from_utf8_lossy(delivered);
        self.0.lock().push(format!("part {}", text.trim_end()));
    }

    async fn end(self: Box<Self>, end: End) -> Result<(), LedgerError> {
        let attempts = end.attempts.len();
        self.0.lock().push("ending".to_owned());
        Slow::sync(&self.0, &self.1, format!("end {} {attempts}", end.outcome.as_str())).await;
        Ok(())
    }
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: {\"choices\":[]}\n\ndata: [DONE]\n\n";
/// A stream that breaks off.
const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: {\"choices\":[]}\n\n";
/// An answer that passes as it is, and says how long it is.
const FILE: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwxyz";
/// A body of unknown length, which is not kept.
const UPLOAD: &str = "POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
/// Answers whose head is their end.
const HEADS: [&str; 2] = [
    "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 307 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
];
const BUSY: &str = "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
const ASKED: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[1]}"#;

/// A provider that gives every request the same answer.
async fn provider(name: &'static str, answer: &'static str, events: Events, tasks: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 65536];
            let _length = stream.read(&mut request).await.unwrap();
            events.lock().push(format!("{name} asked"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    port
}

struct Scene {
    events: Events,
    syncs: Arc<Semaphore>,
    client: DuplexStream,
    tasks: JoinSet<()>,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

impl Scene {
    /// A call to a model with two targets, the first of which answers `first`.
    async fn begin(first: &'static str, full: bool, body: &str) -> Self {
        let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Self::asked(first, full, &request).await
    }

    /// The same for any request.
    async fn asked(first: &'static str, full: bool, request: &str) -> Self {
        let events = Events::default();
        let mut tasks = JoinSet::new();
        let a = provider("a", first, Arc::clone(&events), &mut tasks).await;
        let b = provider("b", STREAM, Arc::clone(&events), &mut tasks).await;
        let text = format!(
            "server: {{listen: [{{addr: '127.0.0.1:0'}}]}}
ai:
  auth: none
  default_provider: a
  providers:
    a: {{kind: openai, base_url: 'http://127.0.0.1:{a}'}}
    b: {{kind: openai, base_url: 'http://127.0.0.1:{b}'}}
  models: {{m: {{targets: [{{provider: a}}, {{provider: b}}]}}}}
  retry: {{per_target: 1}}"
        );
        let config = config::parse(&text, Path::new("x"), &HashMap::new()).unwrap();
        let syncs = Arc::new(Semaphore::new(0));
        let ledger = Slow { events: Arc::clone(&events), syncs: Arc::clone(&syncs), full };
        let gateway = Gateway::new(Arc::new(ledger), Metrics::new().unwrap());
        gateway.reconfigure(gateway.prepare(&config).unwrap());
        let (mut client, server) = tokio::io::duplex(65536);
        client.write_all(request.as_bytes()).await.unwrap();
        let outcome = Arc::<Mutex<Option<Outcome>>>::default();
        let told = Arc::clone(&outcome);
        tasks.spawn(async move {
            let mut session = Session::new_http1(Box::new(server));
            assert!(session.read_request().await.unwrap());
            let snapshot = gateway.snapshot().clone().unwrap();
            let (_, summary) = serve(
                &gateway.desk(),
                &snapshot,
                &mut session,
                ulid::Ulid::generate(),
                std::time::Duration::MAX,
            )
            .await;
            *told.lock() = summary.outcome;
        });
        Self { events, syncs, client, tasks, outcome }
    }

    /// Lets one sync be done, and waits until `event` has happened.
    async fn until(&self, event: &str) -> Vec<String> {
        self.syncs.add_permits(1);
        self.reached(event).await
    }

    async fn reached(&self, event: &str) -> Vec<String> {
        loop {
            let events = self.events.lock().clone();
            if events.iter().any(|seen| seen == event) {
                return events;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What the client has got by now.
    async fn received(&mut self) -> String {
        let mut got = vec![0; 65536];
        let length = self.client.read(&mut got).await.unwrap();
        String::from_utf8_lossy(&got[..length]).into_owned()
    }
}

/// Gives everything that could happen too early the time to.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_provider_waits_for_the_begin_and_the_client_for_the_end() {
    let mut scene = Scene::begin(STREAM, false, ASKED).await;
    settle().await;
    assert_eq!(*scene.events.lock(), Vec::<String>::new(), "nobody is asked before the begin is noted");
    scene.until("part data: [DONE]").await;
    settle().await;
    let expected = ["begin m", "a asked", "part data: {\"choices\":[]}", "part data: [DONE]", "ending"];
    assert_eq!(*scene.events.lock(), expected);
    let got = scene.received().await;
    assert!(got.contains("choices") && !got.contains("[DONE]"), "{got}");
    scene.until("end complete 1").await;
    let got = scene.received().await;
    assert!(got.contains("data: [DONE]\n\n"), "{got}");
    scene.tasks.abort_all();
}

#[tokio::test]
async fn a_head_that_is_all_waits_for_the_end_as_well() {
    for answer in HEADS {
        let mut scene = Scene::begin(answer, false, ASKED).await;
        scene.until("a asked").await;
        scene.reached("ending").await;
        assert_eq!(scene.received().now_or_never(), None, "nothing leaves before the end is noted");
        scene.until("end complete 1").await;
        let status = answer.get(..12).unwrap();
        let got = scene.received().await;
        assert!(got.starts_with(status), "{got}");
    }
}

#[tokio::test]
async fn the_last_bytes_of_what_passes_wait_for_the_end() {
    let passes = |request| (FILE, request, "wxyz", "end complete 1");
    let get = "GET /v1/files/f/content HTTP/1.1\r\nHost: h\r\n\r\n";
    for (answer, request, last, end) in [passes(get), passes(UPLOAD)] {
        let mut scene = Scene::asked(answer, false, request).await;
        settle().await;
        assert_eq!(*scene.events.lock(), Vec::<String>::new(), "nobody is asked before the begin is noted");
        scene.until("ending").await;
        settle().await;
        let got = scene.received().await;
        assert!(got.starts_with("HTTP/1.1 200 ") && !got.contains(last), "{got}");
        scene.until(end).await;
        assert_eq!(scene.received().await, last);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_recorded_before_that_is_told() {
    let mut scene = Scene::begin(CUT, false, ASKED).await;
    scene.until("ending").await;
    settle().await;
    let got = scene.received().await;
    assert!(got.contains("choices") && !got.contains("error"), "{got}");
    scene.until("end upstream_error 1").await;
    let got = scene.received().await;
    assert!(got.contains("\"error\""), "{got}");
}

#[tokio::test]
async fn a_further_target_waits_for_its_attempt() {
    let scene = Scene::begin(BUSY, false, ASKED).await;
    scene.until("a asked").await;
    settle().await;
    assert_eq!(*scene.events.lock(), ["begin m", "a asked"]);
    let events = scene.until("b asked").await;
    assert_eq!(events[2..4], ["attempt b", "b asked"]);
    scene.until("end complete 2").await;
}

#[tokio::test]
async fn a_full_journal_keeps_calls_from_being_made() {
    let mut scene = Scene::begin(STREAM, true, ASKED).await;
    let got = scene.received().await;
    assert!(got.starts_with("HTTP/1.1 503 ") && got.contains("x-request-id: "), "{got}");
    settle().await;
    assert_eq!(*scene.events.lock(), Vec::<String>::new());
}

#[tokio::test]
async fn a_rejection_is_recorded_before_it_is_told() {
    let mut scene = Scene::begin(STREAM, false, r#"{"model":"other","messages":[1]}"#).await;
    settle().await;
    assert_eq!(*scene.events.lock(), Vec::<String>::new());
    scene.until("answered 404").await;
    assert!(scene.received().await.starts_with("HTTP/1.1 404 "));
    while scene.outcome.lock().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*scene.outcome.lock(), Some(Outcome::Rejected));
}
