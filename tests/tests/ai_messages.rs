//! Anthropic's API: chat is translated to it and back, `/messages` passes through as it is.

use lockstep_tests::gateway::{Running, Stream, chat_body, gateway, keyed, post, provider_key};
use lockstep_tests::provider::CONTENT;
use lockstep_tests::{Client, Message, Provider};
use serde_json::{Value, json};

/// A gateway with an Anthropic provider `c`, and one of OpenAI's kind, `a`, which is the first.
fn start(models: &[(&str, &[(&str, &str)])]) -> (Provider, Provider, Running) {
    let (a, c) = (Provider::start("a"), Provider::start("c"));
    let claude = json!({"kind": "anthropic", "base_url": c.url(), "api_key": {"value": provider_key("c")}});
    let mut section = gateway(&[("a", &a)])
        .provider("c", claude)
        .set("timeouts", json!({"idle": "500ms", "first_event": "1s"}));
    for (name, targets) in models {
        section = section.model(name, targets);
    }
    (a, c, section.start())
}

fn claude(fault: &'static str) -> (Provider, Provider, Running) {
    start(&[("claude", &[("c", fault)])])
}

fn chat(proxy: &Running, change: impl FnOnce(&mut Value)) -> Message {
    let mut body = chat_body("claude");
    change(&mut body);
    proxy.send(&post("/v1/chat/completions", &body))
}

fn stream(proxy: &Running, change: impl FnOnce(&mut Value)) -> Stream {
    let mut body = chat_body("claude");
    body["stream"] = json!(true);
    change(&mut body);
    Stream::of(proxy.addr(), &keyed(&post("/v1/chat/completions", &body)))
}

#[test]
fn chat_is_translated_both_ways() {
    let (a, c, proxy) = claude("ok");
    let answer = chat(&proxy, |body| {
        body["messages"] = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ]},
        ]);
        body["max_tokens"] = json!(50);
        body["stop"] = json!("END");
    });
    let told = answer.json();
    assert_eq!((&told["object"], &told["model"]), (&json!("chat.completion"), &json!("ok-2026-11-01")));
    let choice = &told["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!(CONTENT), &json!("stop")));
    // Input counts what was read from the cache.
    assert_eq!(
        (&told["usage"]["prompt_tokens"], &told["usage"]["completion_tokens"]),
        (&json!(11), &json!(15))
    );
    assert_eq!(answer.header("x-lockstep-target"), Some("c/ok"));
    let seen = c.last();
    assert_eq!(seen.request.target(), "/v1/messages");
    assert_eq!(seen.header("x-api-key"), Some(&*provider_key("c")));
    assert_eq!((seen.header("authorization"), seen.header("anthropic-version")), (None, Some("2023-06-01")));
    let sent = seen.json();
    assert!(sent["system"].to_string().contains("Be brief."), "{sent}");
    assert_eq!((&sent["max_tokens"], &sent["stop_sequences"]), (&json!(50), &json!(["END"])));
    let parts = &sent["messages"][0]["content"];
    assert_eq!(
        parts[1]["source"],
        json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="})
    );
    assert_eq!(a.count(), 0);
}

#[test]
fn streams_are_translated() {
    let (_a, c, proxy) = claude("ok");
    let answer = stream(&proxy, |_| {});
    assert!(answer.is_done() && answer.said() == CONTENT, "{answer:?}");
    let events = answer.events();
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk"));
    assert!(events.iter().all(|event| event["id"] == events[0]["id"] && event["model"] == "ok-2026-11-01"));
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events.last().expect("events")["choices"][0]["finish_reason"], "stop");
    assert!(events.iter().all(|event| event.get("usage").is_none()));
    let asked = stream(&proxy, |body| body["stream_options"] = json!({"include_usage": true}));
    let last = asked.events().pop().expect("events");
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(26)));
    assert!(c.last().json().get("stream_options").is_none());
}

#[test]
fn tools_are_translated() {
    let (_a, c, proxy) = claude("ok");
    let function = json!({"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
    let tools = json!([{"type": "function", "function": function}]);
    let expected = json!({"city": "Paris", "unit": "°C"});
    let answer = chat(&proxy, |body| body["tools"] = tools.clone()).json();
    let message = &answer["choices"][0]["message"];
    let call = &message["tool_calls"][0];
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    assert_eq!((&call["function"]["name"], &call["type"]), (&json!("weather"), &json!("function")));
    assert_eq!(parsed(call["function"]["arguments"].as_str().expect("text")), expected);
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(c.last().json()["tools"][0]["input_schema"], function["parameters"]);
    let streamed = stream(&proxy, |body| body["tools"] = tools.clone());
    let part = |event: &Value| {
        let function = &event["choices"][0]["delta"]["tool_calls"][0]["function"];
        function["arguments"].as_str().map(str::to_owned)
    };
    let arguments: String = streamed.events().iter().filter_map(part).collect();
    assert_eq!(parsed(&arguments), expected);
    assert!(streamed.is_done());
    let next = chat(&proxy, |body| {
        body["tools"] = tools;
        let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "22 °C"});
        body["messages"].as_array_mut().expect("a list").extend([message.clone(), result]);
    });
    assert_eq!(next.json()["choices"][0]["message"]["content"], CONTENT);
    let last = c.last().json()["messages"].as_array().and_then(|turns| turns.last().cloned()).expect("turns");
    assert_eq!((&last["role"], &last["content"][0]["type"]), (&json!("user"), &json!("tool_result")));
}

#[test]
fn errors_are_translated() {
    let cases = [
        ("400", 400, Value::Null, 1),
        ("context-length", 400, json!("context_length_exceeded"), 1),
        ("429-after-200", 429, json!("rate_limit_exceeded"), 1),
        ("529", 503, json!("overloaded"), 2),
        ("500", 500, Value::Null, 2),
        ("401", 502, json!("provider_auth_failed"), 1),
        ("unknown-model", 404, json!("model_not_found"), 1),
        ("silence", 504, json!("upstream_timeout"), 1),
        ("not-json", 502, json!("upstream_malformed"), 1),
    ];
    for (fault, status, code, count) in cases {
        let (_a, c, proxy) = claude(fault);
        for streamed in [true, false] {
            if !streamed && fault == "silence" {
                continue;
            }
            c.forget();
            let answer = if streamed { stream(&proxy, |_| {}).message } else { chat(&proxy, |_| {}) };
            assert_eq!(
                (answer.status(), &answer.json()["error"]["code"]),
                (status, &code),
                "{fault}: {answer:?}"
            );
            assert!(answer.json()["error"]["type"].is_string(), "{answer:?}");
            assert_eq!(c.count(), count, "{fault}");
        }
    }
}

#[test]
fn broken_streams_are_broken_for_chat_too() {
    for (fault, whole) in [
        ("drip", true),
        ("malformed", true),
        ("paced-20", true),
        ("error-first-once", true),
        ("cut", false),
        ("cut-reset", false),
        ("stall", false),
        ("no-finish", false),
        ("error-mid", false),
    ] {
        let (_a, _c, proxy) = claude(fault);
        let answer = stream(&proxy, |_| {});
        assert_eq!(answer.is_done(), whole, "{fault}: {answer:?}");
        assert_eq!(answer.said() == CONTENT, whole, "{fault}: {answer:?}");
        assert_eq!(answer.error().is_some(), !whole, "{fault}: {answer:?}");
        assert!(whole || (answer.cut && !answer.message.text().contains("[DONE]")), "{fault}");
    }
}

#[test]
fn providers_of_both_kinds_stand_in_for_each_other() {
    let (a, c, proxy) = start(&[
        ("claude", &[("a", "500"), ("c", "ok")]),
        ("gpt", &[("c", "529"), ("a", "ok")]),
        ("openai-only", &[("a", "ok")]),
    ]);
    let answer = chat(&proxy, |_| {});
    assert_eq!((answer.header("x-lockstep-target"), a.count()), (Some("c/ok"), 2));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], CONTENT);
    let answer = proxy.stream("gpt");
    assert_eq!((answer.message.header("x-lockstep-target"), c.count()), (Some("a/ok"), 3));
    assert!(answer.is_done() && answer.said() == CONTENT);
    // What has no counterpart there goes to those who have it.
    let logprobs = chat(&proxy, |body| {
        body["model"] = json!("gpt");
        body["n"] = json!(2);
    });
    assert_eq!(logprobs.header("x-lockstep-target"), Some("a/ok"));
    // Nobody of the model's speaks this.
    let message = post("/v1/messages", &message_body("openai-only", false));
    let answer = proxy.send(&message);
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (404, &json!("model_not_found")));
}

fn message_body(model: &str, streamed: bool) -> Value {
    json!({"model": model, "max_tokens": 9, "stream": streamed, "messages": [{"role": "user", "content": "Hi"}]})
}

#[test]
fn messages_pass_through_as_they_are() {
    let (a, c, proxy) =
        start(&[("ok", &[("c", "ok")]), ("refusing", &[("c", "400")]), ("cut", &[("c", "cut")])]);
    let numbered = |body: &[u8]| String::from_utf8_lossy(body).replace(|c: char| c.is_ascii_digit(), "#");
    for streamed in [false, true] {
        let request = post("/v1/messages", &message_body("ok", streamed)).header("anthropic-beta", "x-1");
        let direct = Stream::of(c.addr, &request);
        let through = Stream::of(proxy.addr(), &keyed(&request));
        assert!(!through.cut);
        assert_eq!(numbered(&through.message.body), numbered(&direct.message.body));
        let seen = c.last();
        assert_eq!(seen.json(), message_body("ok", streamed));
        assert_eq!(
            (seen.header("anthropic-beta"), seen.header("x-api-key")),
            (Some("x-1"), Some(&*provider_key("c")))
        );
        assert_eq!(seen.header("authorization"), None);
    }
    let count = proxy.send(&post("/v1/messages/count_tokens", &message_body("ok", false)));
    assert_eq!(count.json(), json!({"input_tokens": 11}));
    // Errors are as Anthropic's SDKs read them.
    let refused = proxy.send(&post("/v1/messages", &message_body("refusing", false)));
    assert_eq!((refused.status(), &refused.json()["type"]), (400, &json!("error")));
    let unknown = Client::connect(proxy.addr()).exchange(&post("/v1/messages", &message_body("ok", false)));
    let unknown = unknown.expect("an answer");
    assert_eq!((unknown.status(), &unknown.json()["type"]), (401, &json!("error")));
    let cut = Stream::of(proxy.addr(), &keyed(&post("/v1/messages", &message_body("cut", true))));
    let text = cut.message.text();
    assert!(cut.cut && text.contains("event: error\ndata: {") && !text.contains("message_stop"), "{text}");
    assert_eq!(a.count(), 0);
}
