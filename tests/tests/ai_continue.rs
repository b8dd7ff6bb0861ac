//! `midstream: continue`: another target takes over a stream that breaks, without the client
//! noticing, where the texts can be joined.

use lockstep_tests::Provider;
use lockstep_tests::gateway::{Running, Stream, chat_body, gateway, keyed, post, provider_key};
use lockstep_tests::provider::{CONTENT, Head, Step};
use serde_json::{Value, json};

/// What the first target delivers before it breaks.
const BEGUN: &str = "The quick brown ";

struct Trio {
    a: Provider,
    b: Provider,
    c: Provider,
    proxy: Running,
}

/// Three providers, the last of them Anthropic's kind, and a model over some of them.
fn start(targets: &Value, midstream: &str) -> Trio {
    start_with(targets, midstream, json!({"failures": 0}))
}

fn start_with(targets: &Value, midstream: &str, cooldown: Value) -> Trio {
    let (a, b, c) = (Provider::start("a"), Provider::start("b"), Provider::start("c"));
    let claude = json!({"kind": "anthropic", "base_url": c.url(), "api_key": {"value": provider_key("c")}});
    let proxy = gateway(&[("a", &a), ("b", &b)])
        .provider("c", claude)
        .set("timeouts", json!({"idle": "500ms"}))
        .set("cooldown", cooldown)
        .entry("m", json!({"targets": targets, "midstream": midstream}))
        .start();
    Trio { a, b, c, proxy }
}

fn target(provider: &str, model: &str, prefill: bool) -> Value {
    json!({"provider": provider, "model": model, "prefill": prefill})
}

/// Asserts that a stream looks as if one target had given all of it.
fn is_whole(stream: &Stream) {
    assert_eq!(stream.said(), CONTENT, "{stream:?}");
    assert!(stream.is_done(), "{stream:?}");
    let events = stream.events();
    for key in ["id", "model", "object"] {
        assert!(events.iter().all(|event| event[key] == events[0][key]), "{key}: {stream:?}");
    }
    let finished = events.iter().filter(|event| event["choices"][0]["finish_reason"].is_string()).count();
    let roles = events.iter().filter(|event| event["choices"][0]["delta"]["role"].is_string()).count();
    assert_eq!((finished, roles), (1, 1), "{stream:?}");
    assert!(events.iter().all(|event| event.get("usage").is_none()), "{stream:?}");
}

fn is_broken(stream: &Stream) {
    assert!(stream.cut && !stream.message.text().contains("[DONE]"), "{stream:?}");
    assert!(stream.error().is_some() && CONTENT.starts_with(&stream.said()), "{stream:?}");
}

fn last_turn(provider: &Provider) -> Value {
    let body = provider.last().json();
    body["messages"].as_array().and_then(|turns| turns.last().cloned()).expect("turns")
}

#[test]
fn a_target_goes_on_with_what_was_delivered() {
    for fault in ["cut", "cut-reset", "stall", "no-finish", "error-mid"] {
        let all = start(&json!([target("a", fault, false), target("b", "ok", true)]), "continue");
        let stream = all.proxy.stream("m");
        is_whole(&stream);
        assert_eq!(stream.events()[0]["model"], format!("{fault}-2026-11-01"));
        assert_eq!(last_turn(&all.b), json!({"role": "assistant", "content": BEGUN}), "{fault}");
        assert_eq!((all.a.count(), all.b.count()), (1, 1));
    }
}

#[test]
fn a_target_of_anthropics_goes_on_as_well() {
    let all = start(&json!([target("a", "cut", false), target("c", "ok", true)]), "continue");
    is_whole(&all.proxy.stream("m"));
    let turn = last_turn(&all.c);
    assert_eq!(turn["role"], "assistant");
    // It takes no white space at the end.
    assert!(turn.to_string().contains(&format!("\"{}\"", BEGUN.trim_end())), "{turn}");
    let all = start(&json!([target("c", "cut", false), target("b", "ok", true)]), "continue");
    is_whole(&all.proxy.stream("m"));
}

#[test]
fn a_target_without_prefill_says_it_again() {
    let all = start(&json!([target("a", "cut", false), target("b", "ok", false)]), "continue");
    is_whole(&all.proxy.stream("m"));
    assert_eq!(last_turn(&all.b)["role"], "user", "it is asked afresh");
}

#[test]
fn what_can_not_be_joined_ends_with_an_error() {
    let targets = json!([target("a", "cut", false), target("b", "other", false)]);
    let all = start_with(&targets, "continue", json!({"failures": 1, "window": "30s", "for": "1h"}));
    let event = |text: &str, reason: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "other",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]})
    };
    let events = [event("Something ", Value::Null), event("else.", json!("stop"))];
    let data = events.iter().map(|event| Step::Data(format!("data: {event}\n\n").into()));
    let mut script = vec![Step::Head(Head::new(200, "text/event-stream"))];
    script.extend(data.chain([Step::Data("data: [DONE]\n\n".into()), Step::End]));
    all.b.play("other", script);
    let stream = all.proxy.stream("m");
    is_broken(&stream);
    assert_eq!(stream.said(), BEGUN);
    assert_eq!(stream.error().map(|error| error["code"].clone()), Some(json!("upstream_failed")));
    // To say something else is no fault: the target that broke off is left alone, this one is asked.
    let cooling =
        |provider: &str| all.proxy.proxy.metrics().sum("lockstep_ai_cooling", &[("provider", provider)]);
    assert_eq!((cooling("a"), cooling("b")), (1.0, 0.0));
    // Nor is there anybody to ask.
    let all = start(&json!([target("a", "cut", false)]), "continue");
    is_broken(&all.proxy.stream("m"));
}

#[test]
fn who_refuses_to_go_on_is_passed_over() {
    let targets = json!([target("a", "cut", false), target("b", "400", true), target("c", "ok", true)]);
    let all = start(&targets, "continue");
    is_whole(&all.proxy.stream("m"));
    assert_eq!((all.b.count(), all.c.count()), (1, 1));
}

#[test]
fn what_is_no_stream_does_not_go_on_with_one() {
    let away = Head::new(307, "text/event-stream").header("location", "/elsewhere");
    let page = vec![Step::Head(away.length(6)), Step::Data("<html>".into()), Step::End];
    for answer in ["away", "gzip", "wrong-type", "not-json"] {
        for (last, whole) in [("ok", true), ("500", false)] {
            let targets =
                json!([target("a", "cut", false), target("b", answer, true), target("c", last, true)]);
            let all = start(&targets, "continue");
            all.b.play("away", page.clone());
            let stream = all.proxy.stream("m");
            if whole {
                is_whole(&stream)
            } else {
                is_broken(&stream)
            }
            assert_eq!((stream.said().starts_with(BEGUN), all.b.count()), (true, 1), "{answer}");
        }
    }
}

#[test]
fn only_plain_text_of_one_choice_is_continued() {
    let targets = json!([target("a", "cut", false), target("b", "ok", true)]);
    let all = start(&targets, "continue");
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {}}}]);
    for (key, value) in [("tools", tools), ("n", json!(2))] {
        let mut body = chat_body("m");
        body["stream"] = json!(true);
        body[key] = value;
        let stream = Stream::of(all.proxy.addr(), &keyed(&post("/v1/chat/completions", &body)));
        assert!(stream.cut && stream.error().is_some(), "{key}: {stream:?}");
    }
    assert_eq!(all.b.count(), 0);
    let all = start(&targets, "error");
    is_broken(&all.proxy.stream("m"));
    assert_eq!(all.b.count(), 0);
}

#[test]
fn usage_is_told_once() {
    let all = start(&json!([target("a", "cut", false), target("b", "ok", true)]), "continue");
    let mut body = chat_body("m");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let stream = Stream::of(all.proxy.addr(), &keyed(&post("/v1/chat/completions", &body)));
    assert!(stream.is_done() && stream.said() == CONTENT, "{stream:?}");
    let usages = stream.events().iter().filter(|event| event["usage"].is_object()).count();
    assert_eq!(usages, 1, "{stream:?}");
}
