//! No key ever shows: not in logs, metrics, answers of the admin API, nor files.

use std::path::Path;

use lockstep_tests::gateway::{KEY, Stream, chat, chat_stream, digest, gateway, keyed, provider_key};
use lockstep_tests::process::Signal;
use lockstep_tests::provider::{Head, Step};
use lockstep_tests::{Client, OPERATOR, Provider, Request, VIEWER, poll};
use serde_json::json;

const EXPIRED: &str = "lk-expired-0123456789abcdef";
const WRONG: &str = "lk-nobodys-0123456789abcdef";
const COOKIE: &str = "session=cookie-0123456789abcdef";

/// The texts of all files below a directory.
fn files(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}

#[test]
fn no_key_ever_shows() {
    let provider = Provider::start("a");
    let keys = json!([
        {"id": "current", "sha256": digest(KEY)},
        {"id": "old", "sha256": digest(EXPIRED), "expires": "2026-01-31"},
    ]);
    let mut proxy = gateway(&[("a", &provider)])
        .set("keys", keys)
        .model("failing", &[("a", "500")])
        .model("refused", &[("a", "401")])
        .model("broken", &[("a", "malformed")])
        .start();
    for key in [KEY, EXPIRED, WRONG] {
        for (name, value) in
            [("authorization", format!("Bearer {key}")), ("api-key", key.into()), ("x-api-key", key.into())]
        {
            for model in ["ok", "failing", "refused", "broken", "reset", "cut"] {
                for request in [chat(model), chat_stream(model)] {
                    let request = request.header(name, &value).header("cookie", COOKIE);
                    // Some of them are cut.
                    let _answer = request.try_send(proxy.addr());
                }
            }
        }
    }
    // Where it does not belong.
    let mut client = Client::connect(proxy.addr());
    let upgrade = Request::get("/v1/realtime?model=ok")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-protocol", &format!("realtime, openai-insecure-api-key.{WRONG}"));
    assert_eq!(client.exchange(&keyed(&upgrade)).expect("an answer").status(), 501);
    proxy.send(&Request::get(&format!("/v1/files?key={WRONG}")));
    let mut texts = vec![("metrics".to_owned(), Request::get("/metrics").send(proxy.proxy.admin).text())];
    for path in ["config", "status", "ai/providers", "problems", "apps", "audit/stats"] {
        let answer =
            Request::get(&format!("/api/v1/{path}")).header("authorization", &format!("Bearer {VIEWER}"));
        texts.push((path.to_owned(), answer.send(proxy.proxy.admin).text()));
    }
    proxy.proxy.signal(Signal::Term);
    assert!(proxy.proxy.process.wait(poll::SOON).success());
    texts.push(("stdout".to_owned(), proxy.proxy.process.stdout.all().join("\n")));
    texts.push(("stderr".to_owned(), proxy.proxy.process.stderr.all().join("\n")));
    texts.extend(files(&proxy.proxy.data_dir()));
    let secrets = [KEY, EXPIRED, WRONG, OPERATOR, VIEWER, &provider_key("a"), "cookie-0123456789abcdef"];
    for (what, text) in &texts {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {what}: {text}");
        }
    }
    assert!(
        texts.iter().any(|(what, text)| what == "stdout" && text.contains("current")),
        "the log tells who called"
    );
}

#[test]
fn a_key_that_a_provider_repeats_is_hidden() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let key = provider_key("a");
    let error =
        json!({"error": {"message": format!("Not so: Bearer {key}"), "type": "invalid_request_error"}});
    let part = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    let json = "application/json";
    let events = "text/event-stream";
    let (plain, streamed) = (error.to_string(), format!("data: {error}\n\n"));
    let cases = [
        ("shaped", 400, json, plain.clone()),
        ("failing", 500, json, plain.clone()),
        ("unshaped", 400, "text/plain", json!({"detail": key}).to_string()),
        ("within", 200, json, plain),
        ("first", 200, events, streamed.clone()),
        ("middle", 200, events, format!("{part}{streamed}")),
    ];
    for (model, status, content_type, body) in cases {
        let head = Head::new(status, content_type).length(body.len());
        provider.play(model, vec![Step::Head(head), Step::Data(body.into()), Step::End]);
        let request = if content_type == events { chat_stream(model) } else { chat(model) };
        let text = Stream::of(proxy.addr(), &keyed(&request)).message.text();
        assert!(text.contains("***") && !text.contains(&key), "{model}: {text}");
    }
}
