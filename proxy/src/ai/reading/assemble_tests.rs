use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::super::{ErrorKind, Splitter};
use super::*;

fn feed(assembler: &mut Assembler, stream: &str) -> Vec<Read> {
    let mut splitter = Splitter::new(1 << 16);
    let mut chunk = Bytes::copy_from_slice(stream.as_bytes());
    let mut reads = Vec::new();
    while let Some(event) = splitter.next_event(&mut chunk).unwrap() {
        reads.push(assembler.read(&event));
    }
    reads
}

fn assemble(format: Format, expected: usize, stream: &str) -> Assembled {
    let mut assembler = Assembler::new(format, expected, 1 << 16);
    feed(&mut assembler, stream);
    assembler.finish()
}

/// Events without names, as chat streams have them.
fn events(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

/// Events named by their `type`.
fn named(data: &[&str]) -> String {
    let name = |data: &str| {
        serde_json::from_str::<serde_json::Value>(data).unwrap()["type"].as_str().unwrap().to_owned()
    };
    data.iter().map(|data| format!("event: {}\ndata: {data}\n\n", name(data))).collect()
}

const CHAT: [&str; 6] = [
    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}],"usage":null}"#,
    r#"{"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Grüß"},"logprobs":null,"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{"content":" Gott"},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    r#"{"id":"chatcmpl-1","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#,
    "[DONE]",
];

#[test]
fn a_chat_stream() {
    let mut assembler = Assembler::new(Format::Chat, 1, 1 << 16);
    let mut state = Vec::new();
    for data in CHAT {
        let read = feed(&mut assembler, &events(&[data]))[0];
        state.push((
            read,
            assembler.plain_text().map(str::to_owned),
            assembler.finished(),
            assembler.ended(),
        ));
    }
    let text = |text: &str| Some(text.to_owned());
    let expected = [
        (Read::Part, text(""), false, false),
        (Read::Part, text("Grüß"), false, false),
        (Read::Part, text("Grüß Gott"), false, false),
        (Read::Part, text("Grüß Gott"), true, false),
        (Read::Part, text("Grüß Gott"), true, false),
        (Read::End, text("Grüß Gott"), true, true),
    ];
    assert_eq!(state, expected);
    let assembled = assembler.finish();
    assert_eq!(assembled.model.as_deref(), Some("gpt-4o"));
    assert_eq!(assembled.usage, Some(Usage { input: 9, output: 2, ..Usage::default() }));
    assert_eq!(assembled.finish_reasons, ["stop"]);
    let message = serde_json::to_value(assembled.message).unwrap();
    assert_eq!(message, json!({"role": "assistant", "content": "Grüß Gott", "tool_calls": []}));
}

#[test]
fn tool_calls_of_a_chat_stream() {
    let stream = events(&[
        r#"{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"weather","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"time","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","function":{"name":"weather","arguments":"\"Bonn\"}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    let mut assembler = Assembler::new(Format::Chat, 1, 1 << 16);
    feed(&mut assembler, &stream);
    assert_eq!(assembler.plain_text(), None);
    let assembled = assembler.finish();
    assert!(assembled.finished && assembled.ended);
    let expected = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bonn\"}"}},
        {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]});
    assert_eq!(serde_json::to_value(assembled.message).unwrap(), expected);
}

#[test]
fn several_choices() {
    let one = r#"{"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"stop"}]}"#;
    let other = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"length"}]}"#;
    let half = assemble(Format::Chat, 2, &events(&[one]));
    assert!(!half.finished && !half.ended);
    let whole = assemble(Format::Chat, 2, &events(&[one, other]));
    assert!(whole.finished && !whole.ended);
    assert_eq!(whole.finish_reasons, ["length", "stop"]);
    let expected = json!({"role": "assistant", "content": "a", "tool_calls": [],
        "alternatives": [{"role": "assistant", "content": "b", "tool_calls": []}]});
    assert_eq!(serde_json::to_value(whole.message).unwrap(), expected);
}

#[test]
fn completions_and_refusals() {
    let texts = [
        r#"{"choices":[{"text":"One","index":0}]}"#,
        r#"{"choices":[{"text":" two","index":0,"finish_reason":"stop"}]}"#,
    ];
    let completion = assemble(Format::Completions, 1, &events(&texts));
    assert_eq!(completion.message.unwrap().content.as_deref(), Some("One two"));
    let refusal =
        assemble(Format::Chat, 1, &events(&[r#"{"choices":[{"index":0,"delta":{"refusal":"No."}}]}"#]));
    assert_eq!(refusal.message.unwrap().refusal.as_deref(), Some("No."));
    let old = [
        r#"{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{"}}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":"}"}}}]}"#,
    ];
    let call = assemble(Format::Chat, 1, &events(&old)).message.unwrap().tool_calls.remove(0);
    assert_eq!((call.function.name.as_str(), call.function.arguments.as_str()), ("f", "{}"));
}

#[test]
fn a_messages_stream() {
    let stream = named(&[
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"usage":{"input_tokens":472,"cache_read_input_tokens":30,"cache_creation_input_tokens":8,"output_tokens":2}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" look"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\": \"Bonn\"}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let cut = assemble(Format::Messages, 1, &stream[..stream.find("event: content_block_stop").unwrap()]);
    assert_eq!(cut.usage, Some(Usage { input: 510, output: 2, cached_input: 30, reasoning: 0 }));
    assert!(!cut.finished && !cut.ended);

    let whole = assemble(Format::Messages, 1, &stream);
    assert_eq!(whole.usage, Some(Usage { input: 510, output: 89, cached_input: 30, reasoning: 0 }));
    assert!(whole.finished && whole.ended && whole.error.is_none());
    assert_eq!(whole.finish_reasons, ["tool_use"]);
    assert_eq!(whole.model.as_deref(), Some("claude-sonnet-4-5"));
    let expected = json!({"role": "assistant", "content": "Let me look", "tool_calls": [
        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Bonn\"}"}}]});
    assert_eq!(serde_json::to_value(whole.message).unwrap(), expected);
}

#[test]
fn a_responses_stream() {
    let stream = named(&[
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","model":"gpt-4.1","error":null,"usage":null}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}"#,
        r#"{"type":"response.content_part.added","output_index":0,"content_index":0,"part":{"type":"output_text","text":""}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hi","logprobs":[]}"#,
        r#"{"type":"response.output_text.done","output_index":0,"text":"Hi"}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"weather","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"city\":\"Bonn\"}"}"#,
        r#"{"type":"response.new_kind.delta","delta":{"odd":1}}"#,
        r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","model":"gpt-4.1","error":null,"incomplete_details":null,"usage":{"input_tokens":37,"output_tokens":11,"output_tokens_details":{"reasoning_tokens":3}}}}"#,
    ]);
    let whole = assemble(Format::Responses, 1, &stream);
    assert_eq!(whole.usage, Some(Usage { input: 37, output: 11, cached_input: 0, reasoning: 3 }));
    assert!(whole.finished && whole.ended && whole.error.is_none());
    assert_eq!(whole.finish_reasons, ["completed"]);
    let expected = json!({"role": "assistant", "content": "Hi", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bonn\"}"}}]});
    assert_eq!(serde_json::to_value(whole.message).unwrap(), expected);
}

#[test]
fn errors_within_streams() {
    let failed = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"x"}}}"#;
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let cases = [
        (
            Format::Chat,
            events(&[r#"{"error":{"message":"x","type":"server_error","code":null}}"#]),
            ErrorKind::Server,
        ),
        (Format::Chat, "event: error\ndata: broken\n\n".to_owned(), ErrorKind::Other),
        (Format::Messages, named(&[overloaded]), ErrorKind::Overloaded),
        (Format::Responses, named(&[failed]), ErrorKind::Server),
        (
            Format::Responses,
            named(&[r#"{"type":"error","code":"rate_limit_exceeded","message":"x"}"#]),
            ErrorKind::RateLimited,
        ),
    ];
    for (format, stream, kind) in cases {
        let mut assembler = Assembler::new(format, 1, 1 << 16);
        assert_eq!(feed(&mut assembler, &stream), [Read::Error], "{stream}");
        assert_eq!(assembler.error().unwrap().kind, kind, "{stream}");
    }
}

#[test]
fn what_is_malformed_and_what_is_only_odd() {
    let odd = r#"{"choices":[{"delta":{"content":7}},{"index":-1,"delta":{"content":"b"}}],"model":[],"usage":"x"}"#;
    let cases = [
        ("data: {\"choices\":\n\n", Read::Malformed),
        ("data: hello\n\n", Read::Malformed),
        ("data:\n\n", Read::Malformed),
        ("data: [1]\n\n", Read::Part),
        ("data: 1\n\n", Read::Part),
        ("data: {\"model\":\"a\",\"model\":\"b\"}\n\n", Read::Part),
        (": keep-alive\n\n", Read::Nothing),
        ("event: ping\ndata: {}\n\n", Read::Part),
        (&events(&[odd]), Read::Part),
        ("data: [DONE]\n\n", Read::End),
    ];
    for (stream, expected) in cases {
        let mut assembler = Assembler::new(Format::Chat, 1, 1 << 16);
        assert_eq!(feed(&mut assembler, stream), [expected], "{stream}");
        assert_eq!(assembler.finish().malformed, u64::from(expected == Read::Malformed), "{stream}");
    }
    let broken = events(&[CHAT[0], "{\"choices\":", CHAT[1], CHAT[3], "[DONE]"]);
    let assembled = assemble(Format::Chat, 1, &broken);
    assert_eq!(assembled.message.unwrap().content.as_deref(), Some("Grüß"));
    assert!(assembled.finished && assembled.ended);
}

#[test]
fn memory_is_bounded() {
    for (max, kept) in [(0, ""), (4, "Grü"), (5, "Grü"), (6, "Grüß"), (7, "Grüß "), (100, "Grüß Gott")]
    {
        let mut assembler = Assembler::new(Format::Chat, 1, max);
        feed(&mut assembler, &events(&CHAT));
        let truncated = kept != "Grüß Gott";
        assert_eq!(assembler.plain_text().is_none(), truncated, "{max}");
        let assembled = assembler.finish();
        assert!(assembled.finished && assembled.usage.is_some());
        assert_eq!(assembled.truncated, truncated, "{max}");
        assert_eq!(assembled.message.unwrap().content.as_deref(), Some(kept), "{max}");
    }
    let mut assembler = Assembler::new(Format::Chat, 1, 1 << 16);
    for index in 0..5_000 {
        let name = "x".repeat(1000);
        feed(
            &mut assembler,
            &events(&[&format!(r#"{{"choices":[{{"index":{index},"delta":{{"role":"{name}"}}}}]}}"#)]),
        );
    }
    let assembled = assembler.finish();
    let message = assembled.message.unwrap();
    assert!(assembled.truncated);
    assert!(message.alternatives.len() < 600 && message.role.len() <= 128);
}

/// Real events, cut and with pieces exchanged.
fn odd_data() -> impl Strategy<Value = String> {
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "null",
        "7",
        "-1",
        "\"",
        "\"choices\":",
        "\"delta\":",
        "\"index\":",
        "\"content\":",
        "\"a\u{e9}\"",
        "\"type\":",
        "\"response.completed\"",
        "\"message_start\"",
        "\"error\":",
        "\"usage\":",
        "\\ud83d",
    ];
    let soup = prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat());
    let cut = (0..CHAT.len(), any::<prop::sample::Index>(), soup.clone()).prop_map(|(event, at, soup)| {
        let at = CHAT[event].floor_char_boundary(at.index(CHAT[event].len()));
        format!("{}{soup}{}", &CHAT[event][..at], &CHAT[event][at..])
    });
    prop_oneof![soup, cut]
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_left(data in prop::collection::vec(odd_data(), 0..12), max in 0_usize..40) {
        for format in [Format::Chat, Format::Completions, Format::Embeddings, Format::Responses, Format::Messages] {
            let mut assembler = Assembler::new(format, 1, max);
            let data: Vec<&str> = data.iter().map(String::as_str).collect();
            let reads = feed(&mut assembler, &events(&data));
            for (data, read) in data.iter().zip(reads) {
                let json = serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok();
                let expected = !json && !data.starts_with("[DONE]");
                prop_assert_eq!(read == Read::Malformed, expected, "{:?} {}", format, data);
            }
            let assembled = assembler.finish();
            let text = assembled.message.and_then(|message| message.content).unwrap_or_default();
            prop_assert!(text.len() <= max);
        }
    }
}
