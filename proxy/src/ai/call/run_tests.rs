use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::protocols::http::server::Session;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::ai::call::serve::{Summary, serve};
use crate::ai::gateway::Gateway;
use crate::ai::ledger::{Begin, Discard, End, Entry, Ledger, Refused as Unheard, Target};
use crate::config;
use crate::metrics::Metrics;

/// A ledger that takes what begins and no end.
struct NoEnds;

#[async_trait]
impl Ledger for NoEnds {
    async fn begin(&self, _begin: Begin) -> Result<Box<dyn Entry>, LedgerError> {
        Ok(Box::new(Self))
    }

    async fn answered(&self, _begin: Begin, _end: End) -> Result<(), LedgerError> {
        Err(LedgerError::Full)
    }

    fn refused(&self, _refused: Unheard) {}
}

#[async_trait]
impl Entry for NoEnds {
    async fn attempt(&mut self, _target: Target) -> Result<(), LedgerError> {
        Ok(())
    }

    fn part(&mut self, _delivered: &Bytes) {}

    async fn end(self: Box<Self>, _end: End) -> Result<(), LedgerError> {
        Err(LedgerError::Failed)
    }
}

/// Two providers, `a` of kind `openai` and `b` of kind `anthropic`, that give every request the same answer.
struct Stage {
    gateway: Arc<Gateway>,
    asked: [Arc<AtomicUsize>; 2],
    _providers: JoinSet<()>,
}

/// What came of a call.
#[derive(Debug)]
struct Told {
    answer: String,
    served: Served,
    summary: Summary,
}

impl Stage {
    /// With the model `m`, and with `settings` besides.
    async fn new(ledger: impl Ledger + 'static, answers: [String; 2], settings: &str) -> Self {
        let mut providers = JoinSet::new();
        let [a, b] = answers;
        let [(a, a_asked), (b, b_asked)] =
            [provider(a, &mut providers).await, provider(b, &mut providers).await];
        let text = format!(
            "server: {{listen: [{{addr: '127.0.0.1:0'}}]}}
ai:
  providers:
    a: {{kind: openai, base_url: 'http://127.0.0.1:{a}', api_key: {{value: sk-a}}, accepts_caller_key: true}}
    b: {{kind: anthropic, base_url: 'http://127.0.0.1:{b}', api_key: {{value: sk-b}}}}
  default_provider: a
  models:
    m: {{targets: [{{provider: a}}, {{provider: b}}]}}
    only-b: {{targets: [{{provider: b}}]}}
  retry: {{per_target: 1}}
  {settings}"
        );
        let config = config::parse(&text, Path::new("x"), &HashMap::new()).unwrap();
        let gateway = Gateway::new(Arc::new(ledger), Metrics::new().unwrap());
        gateway.reconfigure(gateway.prepare(&config).unwrap());
        Self { gateway, asked: [a_asked, b_asked], _providers: providers }
    }

    async fn call(&self, request: &str) -> Told {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(request.as_bytes()).await.unwrap();
        let serving = async move {
            let mut session = Session::new_http1(Box::new(server));
            assert!(session.read_request().await.unwrap());
            let snapshot = self.gateway.snapshot().clone().unwrap();
            serve(&self.gateway.desk(), &snapshot, &mut session, ulid::Ulid::generate(), Duration::MAX).await
        };
        let mut answer = String::new();
        let ((served, summary), read) = tokio::join!(serving, client.read_to_string(&mut answer));
        read.unwrap();
        Told { answer, served, summary }
    }

    fn asked(&self) -> [usize; 2] {
        self.asked.each_ref().map(|asked| asked.load(Ordering::Relaxed))
    }

    fn metrics(&self) -> String {
        String::from_utf8(self.gateway.metrics.render()).unwrap()
    }
}

impl Told {
    fn starts(&self, status: u16) -> bool {
        self.answer.starts_with(&format!("HTTP/1.1 {status} "))
    }
}

async fn provider(answer: String, tasks: &mut JoinSet<()>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _length = stream.read(&mut vec![0; 65536]).await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            // What was not read would reset the connection, and the answer with it.
            let _rest = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    (port, asked)
}

fn answer(status: u16, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn refuses(status: u16, message: &str) -> String {
    answer(status, "application/json", &json!({"error": {"message": message, "type": "x"}}).to_string())
}

fn post(path: &str, headers: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn chat(model: &str, headers: &str) -> String {
    let messages = json!([{"role": "user", "content": "x"}]);
    post("/v1/chat/completions", headers, &json!({"model": model, "messages": messages}))
}

/// What has no counterpart at a provider of kind `anthropic`.
fn two_choices(model: &str) -> String {
    let messages = json!([{"role": "user", "content": "x"}]);
    post("/v1/chat/completions", "", &json!({"model": model, "n": 2, "messages": messages}))
}

const UPLOAD: &str = "POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";

const FILE: &str = "GET /v1/files/f HTTP/1.1\r\nHost: h\r\n\r\n";

#[tokio::test]
async fn what_the_only_able_target_says_is_told() {
    let answers = || [refuses(500, "busy"), refuses(500, "unasked")];
    let settings = "auth: none\n  cooldown: {failures: 1}";
    let stage = Stage::new(Discard, answers(), settings).await;
    // The first call finds the target well, the second one finds it left alone.
    for count in [1, 2] {
        let told = stage.call(&two_choices("m")).await;
        assert!(told.starts(500) && told.answer.contains("busy"), "{told:?}");
        assert_eq!(stage.asked(), [count, 0]);
    }
    let told = stage.call(&two_choices("only-b")).await;
    assert!(told.starts(400) && told.answer.contains("unsupported_parameter"), "{told:?}");
    assert_eq!(stage.asked(), [2, 0]);
}

#[tokio::test]
async fn a_key_of_one_caller_keeps_no_target_from_others() {
    for status in [401, 402, 429] {
        let answers = [refuses(status, "no"), refuses(500, "unasked")];
        let settings = "auth: passthrough\n  cooldown: {failures: 1}";
        let stage = Stage::new(Discard, answers, settings).await;
        let told = stage.call(&chat("m", "Authorization: Bearer sk-mine\r\n")).await;
        assert!(told.starts(status), "{told:?}");
        let snapshot = stage.gateway.snapshot().clone().unwrap();
        let health = &snapshot.model("m").unwrap().targets[0].health;
        assert_eq!(health.standing(Instant::now()), Standing::Open, "{status}");
    }
}

#[tokio::test]
async fn credentials_of_ours_are_nothing_that_an_upload_is_told() {
    let stage = Stage::new(Discard, [refuses(401, "Wrong key sk-other."), String::new()], "auth: none").await;
    for request in [UPLOAD, FILE] {
        let told = stage.call(request).await;
        assert!(told.starts(502) && told.answer.contains("provider_auth_failed"), "{told:?}");
        assert!(!told.answer.contains("sk-other"), "{told:?}");
    }
    let attempts = "lockstep_ai_attempts_total{model=\"\",provider=\"a\",result=\"credentials_refused\"} 2";
    assert!(stage.metrics().contains(attempts), "{}", stage.metrics());
}

#[tokio::test]
async fn what_is_not_found_without_a_model_is_no_model() {
    let answers = [refuses(404, "No such model file."), refuses(404, "No such model.")];
    let stage = Stage::new(Discard, answers, "auth: none").await;
    for request in [UPLOAD, FILE] {
        let told = stage.call(request).await;
        assert!(told.starts(404) && told.answer.contains("No such model file."), "{told:?}");
    }
    let told = stage.call(&chat("m", "")).await;
    assert!(told.starts(404) && told.answer.contains("The model `m` does not exist"), "{told:?}");
}

#[tokio::test]
async fn a_response_that_failed_has_its_end() {
    let failed = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"x"}}}"#;
    let events = format!("data: {{\"type\":\"response.created\"}}\n\ndata: {failed}\n\n");
    let stage = Stage::new(Discard, [answer(200, "text/event-stream", &events), String::new()], "auth: none");
    let stage = stage.await;
    let told =
        stage.call(&post("/v1/responses", "", &json!({"model": "m", "stream": true, "input": "x"}))).await;
    assert!(told.answer.contains(failed) && told.answer.ends_with("\r\n0\r\n\r\n"), "{told:?}");
    assert_eq!((told.served, told.summary.outcome), (Served::Done, Some(Outcome::UpstreamError)));
}

#[tokio::test]
async fn what_could_not_be_recorded_is_not_complete() {
    let plain = answer(200, "application/json", r#"{"choices":[]}"#);
    let file = answer(200, "application/octet-stream", "wxyz");
    let stream = answer(200, "text/event-stream", "data: {\"choices\":[]}\n\ndata: [DONE]\n\n");
    let streaming = post("/v1/chat/completions", "", &json!({"model": "m", "stream": true, "messages": [1]}));
    let cases = [
        (&plain, chat("m", ""), 503, Outcome::Interrupted),
        (&stream, streaming, 200, Outcome::Interrupted),
        (&file, FILE.to_owned(), 200, Outcome::Interrupted),
        (&plain, chat("none", ""), 503, Outcome::Rejected),
    ];
    for (answer, request, status, outcome) in cases {
        let stage = Stage::new(NoEnds, [answer.clone(), String::new()], "auth: none").await;
        let told = stage.call(&request).await;
        assert!(told.starts(status), "{told:?}");
        let Summary { outcome: noted, code, .. } = told.summary;
        assert_eq!((noted, code), (Some(outcome), Some("audit_unavailable")), "{request}");
        let refused = "lockstep_ai_refused_total{code=\"audit_unavailable\"} 1";
        assert_eq!(stage.metrics().contains(refused), outcome == Outcome::Rejected, "{request}");
    }
}

#[tokio::test]
async fn every_request_that_makes_no_call_is_counted_by_its_code() {
    // SHA-256 of "lk-test".
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest("lk-test"));
    let limits = "limits: {requests_per_minute: 3}";
    let settings = format!("keys: [{{id: k, sha256: '{digest}', {limits}}}]");
    let stage = Stage::new(Discard, [refuses(500, ""), String::new()], &settings).await;
    let key = "Authorization: Bearer lk-test\r\n";
    let unserved = post("/v1/embeddings", key, &json!({"model": "only-b", "input": "x"}));
    let codes = [
        ("model_not_found", unserved),
        ("model_not_found", chat("none", key)),
        ("unsupported_parameter", two_choices("only-b").replacen("Host", &format!("{key}Host"), 1)),
        ("rate_limit_exceeded", chat("m", key)),
    ];
    for (code, request) in codes {
        assert_eq!(stage.call(&request).await.summary.code, Some(code), "{request}");
    }
    for (code, count) in [("model_not_found", 2), ("unsupported_parameter", 1), ("rate_limit_exceeded", 1)] {
        let refused = format!("lockstep_ai_refused_total{{code=\"{code}\"}} {count}");
        assert!(stage.metrics().contains(&refused), "{refused}: {}", stage.metrics());
    }
    assert_eq!(stage.asked(), [0, 0]);
}
