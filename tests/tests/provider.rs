//! The provider of the gateway's tests keeps its word: curl and raw sockets against it.

use std::time::{Duration, Instant};

use lockstep_tests::curl::Curl;
use lockstep_tests::provider::{CONTENT, Ending, Head, PIECES, Step};
use lockstep_tests::{Client, Message, Provider, Request};
use serde_json::{Value, json};

fn asking(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
}

fn chat(model: &str, stream: bool) -> Request {
    Request::post("/v1/chat/completions", asking(model, stream).to_string())
}

fn curl(provider: &Provider, version: &str, path: &str, body: &Value) -> Message {
    let data = body.to_string();
    Curl::new("http", "provider.test", provider.addr, path).args(&[version, "--data", &data]).response()
}

/// The data of the events of a stream.
fn events(answer: &Message) -> Vec<String> {
    let text = answer.text();
    text.split("\n\n")
        .filter_map(|event| event.rsplit_once("data: ").map(|(_, data)| data.to_owned()))
        .collect()
}

fn said(events: &[String]) -> String {
    let delta = |event: &String| serde_json::from_str::<Value>(event).ok();
    let text = |event: Value| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    events.iter().filter_map(delta).filter_map(text).collect()
}

#[test]
fn both_versions_of_http_get_the_same_answers() {
    let provider = Provider::start("a");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let plain = curl(&provider, version, "/v1/chat/completions", &asking("ok", false));
        assert_eq!(plain.json()["choices"][0]["message"]["content"], CONTENT);
        assert_eq!(plain.json()["system_fingerprint"], "fp_a");
        let stream = curl(&provider, version, "/v1/chat/completions", &asking("ok", true));
        assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let events = events(&stream);
        assert_eq!((events.len(), events.last().map(String::as_str)), (PIECES + 3, Some("[DONE]")));
        assert_eq!(said(&events), CONTENT);
        let large = curl(&provider, version, "/v1/chat/completions", &asking("large-3", false));
        assert!(large.body.len() > 3 << 20);
        let seen = provider.last();
        assert_eq!((seen.http2, seen.model.as_str()), (version.ends_with("knowledge"), "large-3"));
        assert_eq!(seen.json(), asking("large-3", false));
        assert_eq!(provider.ended(), Ending::Done);
    }
}

#[test]
fn every_endpoint_answers_in_its_own_way() {
    let provider = Provider::start("a");
    let post = |path: &str, body: Value| curl(&provider, "--http1.1", path, &body);
    let embeddings = post("/v1/embeddings", json!({"model": "e", "input": ["a", "b"]}));
    assert_eq!(embeddings.json()["data"][1]["embedding"], json!([0.5, -0.25]));
    let legacy = post("/v1/completions", json!({"model": "c", "prompt": "x"}));
    assert_eq!(legacy.json()["choices"][0]["text"], CONTENT);
    let stream = post("/v1/responses", json!({"model": "r", "input": "x", "stream": true}));
    let numbers: Vec<_> = events(&stream)
        .iter()
        .map(|event| serde_json::from_str::<Value>(event).expect("JSON")["sequence_number"].as_u64())
        .collect();
    assert_eq!(numbers, (0..numbers.len() as u64).map(Some).collect::<Vec<_>>());
    let message = post("/v1/messages", json!({"model": "m", "max_tokens": 9, "messages": []}));
    assert_eq!(
        (&message.json()["type"], &message.json()["stop_reason"]),
        (&json!("message"), &json!("end_turn"))
    );
    let stream = post("/v1/messages", json!({"model": "m", "max_tokens": 9, "messages": [], "stream": true}));
    assert!(stream.text().ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    let azure = post("/openai/deployments/429/chat/completions?api-version=1", json!({"messages": []}));
    assert_eq!((azure.status(), provider.last().model.as_str()), (429, "429"));
    let form = ["--form", "model=whisper", "--form", "file=@/proc/self/cmdline;filename=a.mp3"];
    let sound = Curl::new("http", "provider.test", provider.addr, "/v1/audio/transcriptions").args(&form);
    assert!(sound.response().text().contains("bytes of sound"));
    assert_eq!(provider.last().model, "whisper");
}

#[test]
fn tools_are_called_once() {
    let provider = Provider::start("a");
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {}}}]);
    let mut body = asking("ok", false);
    body["tools"] = tools;
    let send = |body: &Value| curl(&provider, "--http1.1", "/v1/chat/completions", body).json();
    let call = send(&body);
    assert_eq!(call["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "weather");
    assert_eq!(call["choices"][0]["finish_reason"], "tool_calls");
    body["messages"] = json!([{"role": "tool", "tool_call_id": "call_1", "content": "22"}]);
    assert_eq!(send(&body)["choices"][0]["finish_reason"], "stop");
}

#[test]
fn statuses_say_when_to_come_again() {
    let provider = Provider::start("a");
    let cases = [
        ("429", None, None),
        ("429-after-7", Some("7"), None),
        ("503-after-ms-50", None, Some("50")),
        ("content-filter", None, None),
    ];
    for (model, seconds, millis) in cases {
        let answer = chat(model, false).send(provider.addr);
        assert!(answer.status() >= 400);
        assert_eq!(
            (answer.header("retry-after"), answer.header("retry-after-ms")),
            (seconds, millis),
            "{model}"
        );
        assert!(answer.json()["error"]["message"].is_string());
    }
    let date = chat("429-after-date-3", false).send(provider.addr);
    assert!(date.header("retry-after").is_some_and(|date| date.ends_with(" GMT")));
    let statuses = |model: &str| [0; 3].map(|_| chat(model, false).send(provider.addr).status());
    assert_eq!(statuses("500-once"), [500, 200, 200]);
    assert_eq!(statuses("flapping"), [500, 200, 500]);
}

#[test]
fn streams_break_as_they_should() {
    let provider = Provider::start("a");
    for model in ["reset", "close"] {
        chat(model, true).try_send(provider.addr).expect_err("no answer");
    }
    for (model, error) in [("cut", true), ("cut-reset", true), ("no-finish", false), ("no-done", false)] {
        let mut client = Client::connect(provider.addr);
        client.send(chat(model, true).bytes());
        assert_eq!(client.head().status(), 200);
        let mut whole = Vec::new();
        let end = loop {
            match client.chunk() {
                Ok(Some(chunk)) => whole.extend(chunk),
                end => break end,
            }
        };
        assert_eq!(end.is_err(), error, "{model}");
        assert!(!String::from_utf8_lossy(&whole).contains("[DONE]"), "{model}");
        assert!(model != "cut" || whole.ends_with(b"\n\n"));
    }
    let drip = chat("drip", true).send(provider.addr);
    assert_eq!(said(&events(&drip)), CONTENT);
    let broken = chat("malformed", true).send(provider.addr);
    assert!(broken.text().contains("{\"id\": \"chatcmpl-\n\n"));
    let huge = chat("huge-2", true).send(provider.addr);
    assert!(huge.body.len() > 2 << 20);
}

#[test]
fn it_notices_when_its_peer_goes_away() {
    let provider = Provider::start("a");
    for model in ["silence", "headers-silence", "stall", "no-done-silent", "endless", "paced-20"] {
        let mut client = Client::connect(provider.addr);
        client.send(chat(model, true).bytes());
        if !matches!(model, "silence") {
            assert_eq!(client.head().status(), 200);
        } else {
            lockstep_tests::until("it has the request", || provider.calls().iter().any(|c| c.model == model));
        }
        let left = Instant::now();
        drop(client);
        assert!(provider.is_left_within(Duration::from_secs(5)), "{model}");
        assert!(provider.last().ended_at().is_some_and(|at| at >= left), "{model}");
    }
}

#[test]
fn scripts_of_a_test_are_played() {
    let mut provider = Provider::start("a");
    let head = Head::new(200, "text/plain").length(4);
    provider
        .play("mine", vec![Step::Head(head), Step::Data("ab".into()), Step::Data("cd".into()), Step::End]);
    assert_eq!(chat("mine", false).send(provider.addr).text(), "abcd");
    provider.otherwise("418");
    assert_eq!(Request::get("/v1/batches").send(provider.addr).status(), 418);
    provider.forget();
    assert_eq!(provider.count(), 0);
    provider.stop();
    Request::get("/").try_send(provider.addr).expect_err("it is gone");
}
