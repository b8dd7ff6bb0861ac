//! OpenAI's answers, as its API reference has them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, Events, pieces, unnamed};

const CREATED: u64 = 1_780_000_000;

/// What a model calls its tool with.
pub(super) const ARGUMENTS: &str = "{\"city\":\"Paris\",\"unit\":\"°C\"}";

pub(super) fn usage() -> Value {
    json!({
        "prompt_tokens": 11, "completion_tokens": 15, "total_tokens": 26,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
    })
}

fn call() -> Value {
    json!({"id": "call_1", "type": "function"})
}

pub(super) fn chat(answer: &Answer<'_>, text: &str) -> Value {
    let (message, reason) = match answer.asked.tool() {
        Some(name) => {
            let mut call = call();
            call["function"] = json!({"name": name, "arguments": ARGUMENTS});
            (
                json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null}),
                "tool_calls",
            )
        }
        None => (json!({"role": "assistant", "content": text, "refusal": null}), "stop"),
    };
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": reason});
    object(answer, "chatcmpl", "chat.completion", &json!([choice]), Some(usage()))
}

pub(super) fn completion(answer: &Answer<'_>, text: &str) -> Value {
    let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"});
    object(answer, "cmpl", "text_completion", &json!([choice]), Some(usage()))
}

fn object(answer: &Answer<'_>, prefix: &str, kind: &str, choices: &Value, usage: Option<Value>) -> Value {
    let mut object = json!({
        "id": format!("{prefix}-{}-{}", answer.provider, answer.number),
        "object": kind,
        "created": CREATED,
        "model": answer.asked.answering_model(),
        "choices": choices,
        "system_fingerprint": format!("fp_{}", answer.provider),
    });
    if let Some(usage) = usage {
        object["usage"] = usage;
    }
    object
}

pub(super) fn chat_events(answer: &Answer<'_>, text: &str) -> Events {
    let choice = |delta: Value, reason: Option<&str>| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]);
    let mut deltas = vec![json!({"role": "assistant", "content": "", "refusal": null})];
    let reason = if let Some(name) = answer.asked.tool() {
        let mut call = call();
        call["index"] = json!(0);
        call["function"] = json!({"name": name, "arguments": ""});
        deltas = vec![json!({"role": "assistant", "content": null, "tool_calls": [call]})];
        let part = |part: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": part}}]});
        deltas.extend(ARGUMENTS.split_inclusive(['"', ',']).map(part));
        "tool_calls"
    } else {
        deltas.extend(pieces(text).map(|piece| json!({"content": piece})));
        "stop"
    };
    let deltas = deltas.into_iter().map(|delta| choice(delta, None)).collect();
    stream(answer, ("chatcmpl", "chat.completion.chunk"), deltas, &choice(json!({}), Some(reason)))
}

pub(super) fn completion_events(answer: &Answer<'_>, text: &str) -> Events {
    let choice = |text: &str, reason: Option<&str>| json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": reason}]);
    let parts = pieces(text).map(|piece| choice(piece, None)).collect();
    stream(answer, ("cmpl", "text_completion"), parts, &choice("", Some("stop")))
}

fn stream(answer: &Answer<'_>, (prefix, kind): (&str, &str), parts: Vec<Value>, finish: &Value) -> Events {
    // With usage asked for, all chunks have the key.
    let none = answer.asked.include_usage.then_some(Value::Null);
    let event = |choices: &Value| unnamed(&object(answer, prefix, kind, choices, none.clone()));
    Events {
        parts: parts.iter().map(event).collect(),
        finish: vec![event(finish)],
        usage: answer.asked.include_usage.then(|| usage_event(answer)),
        done: Some(Bytes::from_static(b"data: [DONE]\n\n")),
    }
}

/// The extra event with the usage.
pub(super) fn usage_event(answer: &Answer<'_>) -> Bytes {
    unnamed(&object(answer, "chatcmpl", "chat.completion.chunk", &json!([]), Some(usage())))
}

pub(super) fn embeddings(answer: &Answer<'_>) -> Value {
    let count = answer.asked.body["input"].as_array().map_or(1, Vec::len);
    // SDKs ask for base64 by themselves: the little-endian bytes of 0.5 and -0.25.
    let base64 = answer.asked.body["encoding_format"] == "base64";
    let vector = if base64 { json!("AAAAPwAAgL4=") } else { json!([0.5, -0.25]) };
    let data: Vec<_> =
        (0..count).map(|index| json!({"object": "embedding", "index": index, "embedding": vector})).collect();
    json!({
        "object": "list", "data": data, "model": answer.asked.answering_model(),
        "usage": {"prompt_tokens": 11, "total_tokens": 11},
    })
}

pub(super) fn models(answer: &Answer<'_>) -> Value {
    let model = json!({"id": "ok", "object": "model", "created": CREATED, "owned_by": answer.provider});
    json!({"object": "list", "data": [model]})
}

pub(super) fn moderations(answer: &Answer<'_>) -> Value {
    let result = json!({"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.001},
        "category_applied_input_types": {"violence": ["text"]}});
    json!({"id": format!("modr-{}", answer.number), "model": answer.asked.answering_model(), "results": [result]})
}

pub(super) fn images() -> Value {
    json!({"created": CREATED, "data": [{"b64_json": "iVBORw0KGgo="}]})
}
