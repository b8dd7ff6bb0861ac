use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Target, translate_request};
use super::*;
use crate::ai::reading::{Assembler, ErrorKind, Splitter};

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":5,"output_tokens":1}}}"#;
const PING: &str = r#"{"type":"ping"}"#;
const TEXT_START: &str =
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const HELLO: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#;
const WORLD: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" wörld"}}"#;
const TEXT_STOP: &str = r#"{"type":"content_block_stop","index":0}"#;
const END_TURN: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn named(data: &[&str]) -> Bytes {
    let name = |data: &str| serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_owned();
    data.iter().map(|data| format!("event: {}\ndata: {data}\n\n", name(data))).collect::<String>().into()
}

fn events(mut stream: Bytes) -> Vec<Event> {
    let mut splitter = Splitter::new(1 << 16);
    let mut events = Vec::new();
    while let Some(event) = splitter.next_event(&mut stream).unwrap() {
        events.push(event);
    }
    events
}

/// The steps, with chunks as the JSON that a client reads.
fn steps(translator: &mut StreamTranslator, data: &[&str]) -> Vec<(&'static str, Vec<Value>)> {
    let mut steps = Vec::new();
    for event in events(named(data)) {
        steps.push(match translator.translate(&event) {
            Step::Nothing => ("nothing", vec![]),
            Step::Chunks(bytes) => ("chunks", values(bytes)),
            Step::End(bytes) => ("end", values(bytes)),
            Step::Error(error) => ("error", vec![json!(error.message)]),
            Step::Malformed => ("malformed", vec![]),
        });
    }
    steps
}

fn values(bytes: Bytes) -> Vec<Value> {
    let data =
        |event: &Event| serde_json::from_slice(event.data().unwrap()).unwrap_or_else(|_| json!("[DONE]"));
    events(bytes).iter().map(data).collect()
}

fn chunk(delta: &Value, finish_reason: &Value) -> Value {
    json!({"id": "msg_1", "object": "chat.completion.chunk", "created": 9, "model": "claude-sonnet-4-5",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]})
}

#[test]
fn a_text() {
    let stream = [START, PING, TEXT_START, HELLO, WORLD, TEXT_STOP, END_TURN, STOP, HELLO];
    let found = steps(&mut StreamTranslator::new(9, false), &stream);
    let null = Value::Null;
    let expected = vec![
        ("chunks", vec![chunk(&json!({"role": "assistant", "content": ""}), &null)]),
        ("nothing", vec![]),
        ("nothing", vec![]),
        ("chunks", vec![chunk(&json!({"content": "Hello"}), &null)]),
        ("chunks", vec![chunk(&json!({"content": " wörld"}), &null)]),
        ("nothing", vec![]),
        ("chunks", vec![chunk(&json!({}), &json!("stop"))]),
        ("end", vec![json!("[DONE]")]),
        ("nothing", vec![]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn usage_if_asked_for() {
    let found = steps(&mut StreamTranslator::new(9, true), &[START, HELLO, END_TURN, STOP]);
    let chunks: Vec<&Value> = found.iter().flat_map(|(_, chunks)| chunks).collect();
    assert_eq!(chunks.len(), 5);
    assert!(chunks[..3].iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    let expected = json!({"id": "msg_1", "object": "chat.completion.chunk", "created": 9, "model": "claude-sonnet-4-5", "choices": [],
        "usage": {"prompt_tokens": 30, "completion_tokens": 15, "total_tokens": 45,
            "prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 0}}});
    assert_eq!(chunks[3], &expected);
    assert_eq!(found.last().unwrap().0, "end");
}

#[test]
fn a_stream_that_goes_on_under_another_identity() {
    let identity = Identity { id: "chatcmpl-7".to_owned(), model: "gpt-4o".to_owned() };
    let mut translator = StreamTranslator::resume(identity, String::new(), 9, false);
    let found = steps(&mut translator, &[START, WORLD, END_TURN, STOP]);
    assert_eq!(found[0], ("nothing", vec![]));
    let mut first = chunk(&json!({"content": " wörld"}), &Value::Null);
    first["id"] = json!("chatcmpl-7");
    first["model"] = json!("gpt-4o");
    assert_eq!(found[1], ("chunks", vec![first]));
    assert_eq!(translator.identity().unwrap().id, "chatcmpl-7");
}

#[test]
fn white_space_that_the_client_has_is_not_repeated() {
    let cases = [
        ("", vec![" a", " b"], " a b"),
        (" ", vec![" a", " b"], "a b"),
        (" ", vec!["a", " b"], "a b"),
        (" \n", vec![" ", "\n", "a", "\n"], "a\n"),
        (" \n", vec![" a", "\nb"], "a\nb"),
        ("\u{a0} ", vec!["\u{a0}", " ", " a"], " a"),
        (" ", vec!["", "\n a"], "\n a"),
    ];
    for (trimmed, texts, expected) in cases {
        let identity = Identity { id: "i".to_owned(), model: "m".to_owned() };
        let mut translator = StreamTranslator::resume(identity, trimmed.to_owned(), 9, false);
        let mut client = Assembler::new(Format::Chat, 1, 1 << 16);
        for text in &texts {
            let delta = json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}});
            if let Step::Chunks(bytes) = translator.translate(&events(named(&[&delta.to_string()]))[0]) {
                client.read(&events(bytes)[0]);
            }
        }
        assert_eq!(client.plain_text(), Some(expected), "{trimmed:?} {texts:?}");
    }
}

#[test]
fn failures() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let mut translator = StreamTranslator::new(9, false);
    let found = steps(&mut translator, &[START, HELLO, overloaded, WORLD, STOP]);
    let kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["chunks", "chunks", "error", "nothing", "nothing"]);

    let cases = [
        ("event: error\ndata: boom\n\n", "error"),
        ("event: content_block_delta\ndata: {\"type\":\n\n", "malformed"),
        ("data: {\"type\":\"event_of_tomorrow\"}\n\n", "nothing"),
        ("data: {\"type\":7}\n\n", "nothing"),
        (": comment\n\n", "nothing"),
    ];
    for (event, expected) in cases {
        let mut translator = StreamTranslator::new(9, false);
        let step = translator.translate(&events(Bytes::from_static(event.as_bytes()))[0]);
        let found = match step {
            Step::Nothing => "nothing",
            Step::Error(_) => "error",
            Step::Malformed => "malformed",
            Step::Chunks(_) | Step::End(_) => "chunks",
        };
        assert_eq!(found, expected, "{event}");
    }
    let step = StreamTranslator::new(9, false).translate(&events(named(&[overloaded]))[0]);
    assert!(
        matches!(step, Step::Error(error) if error.kind == ErrorKind::Overloaded && error.status == Some(529))
    );
}

const CALLS: [&str; 13] = [
    START,
    TEXT_START,
    HELLO,
    TEXT_STOP,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\": \"Bo"}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"nn\"}"}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_2","name":"now","input":{}}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":40}}"#,
    STOP,
];

#[test]
fn tool_calls_as_chunks() {
    let found = steps(&mut StreamTranslator::new(9, false), &CALLS);
    let delta = |step: &(&str, Vec<Value>)| {
        step.1.first().map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].clone())
    };
    let deltas: Vec<Value> = found[4..11].iter().filter_map(delta).collect();
    let expected = [
        json!([{"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": ""}}]),
        json!([{"index": 0, "function": {"arguments": "{\"city\": \"Bo"}}]),
        json!([{"index": 0, "function": {"arguments": "nn\"}"}}]),
        json!([{"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": ""}}]),
        json!([{"index": 1, "function": {"arguments": "{}"}}]),
    ];
    assert_eq!(deltas, expected);
    assert_eq!(found[11].1[0]["choices"][0]["finish_reason"], "tool_calls");
}

/// The provider's calls reach the client as chunks; the client sends them back with the results,
/// and the provider gets the very blocks that it sent.
#[test]
fn tool_calls_there_and_back() {
    let mut translator = StreamTranslator::new(9, true);
    let mut of_provider = Assembler::new(Format::Messages, 1, 1 << 16);
    let mut of_client = Assembler::new(Format::Chat, 1, 1 << 16);
    for event in events(named(&CALLS)) {
        of_provider.read(&event);
        if let Step::Chunks(bytes) | Step::End(bytes) = translator.translate(&event) {
            for chunk in events(bytes) {
                of_client.read(&chunk);
            }
        }
    }
    let (provider, client) = (of_provider.finish(), of_client.finish());
    assert!(client.finished && client.ended);
    assert_eq!(client.usage, provider.usage);
    assert_eq!(client.finish_reasons, ["tool_calls"]);

    let assistant = serde_json::to_value(client.message.unwrap()).unwrap();
    let body = json!({"messages": [{"role": "user", "content": "Weather?"}, assistant,
        {"role": "tool", "tool_call_id": "toolu_1", "content": "12 °C"}, {"role": "tool", "tool_call_id": "toolu_2", "content": "noon"}]});
    let target = Target { model: "claude", max_tokens: 100, prefill: "" };
    let sent = translate_request(body.to_string().as_bytes(), target).unwrap();
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let expected = json!([{"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bonn"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}]);
    assert_eq!(sent["messages"][1], json!({"role": "assistant", "content": expected}));
    assert_eq!(sent["messages"][2]["content"][1]["tool_use_id"], "toolu_2");
}

/// Values of any type, where another may be expected.
fn anything() -> impl Strategy<Value = Value> {
    let texts =
        prop::sample::select(vec!["text", "tool_use", "tool_calls", "end_turn", "a\u{e9}\n", "", "{\"a\":"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "type",
        "index",
        "text",
        "id",
        "name",
        "input",
        "partial_json",
        "stop_reason",
        "usage",
        "model",
        "output_tokens",
    ]);
    leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(keys.clone(), inner, 0..4)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn odd_event() -> impl Strategy<Value = Value> {
    let types = vec![
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "ping",
    ];
    let fields = (prop::sample::select(types), anything(), anything(), anything(), anything());
    fields.prop_map(|(kind, message, content_block, delta, usage)| {
        json!({"type": kind, "message": message, "content_block": content_block, "delta": delta, "usage": usage})
    })
}

proptest! {
    #[test]
    fn odd_events_never_make_odd_chunks(stream in prop::collection::vec(odd_event(), 0..12)) {
        let mut translator = StreamTranslator::new(9, true);
        let mut chunks = Vec::new();
        for event in &stream {
            match translator.translate(&events(named(&[&event.to_string()]))[0]) {
                Step::Chunks(bytes) => chunks.extend(values(bytes)),
                Step::Nothing => {}
                step => prop_assert!(false, "{event} gave {step:?}"),
            }
        }
        let Step::End(bytes) = translator.translate(&events(named(&[STOP]))[0]) else { panic!("no end") };
        chunks.extend(values(bytes));
        let (done, chunks) = chunks.split_last().unwrap();
        let (usage, chunks) = chunks.split_last().unwrap();
        prop_assert_eq!(done, "[DONE]");
        prop_assert!(usage["choices"].as_array().unwrap().is_empty() && usage["usage"].is_object());
        prop_assert_eq!(&chunks[0]["choices"][0]["delta"]["role"], "assistant");
        let finished = |chunk: &&Value| chunk["choices"][0]["finish_reason"].is_string();
        prop_assert_eq!(chunks.iter().filter(finished).count(), 1);
    }
}
