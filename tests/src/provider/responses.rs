//! OpenAI's `/responses`, as its API reference has it: named events with numbers.

use serde_json::{Value, json};

use super::answer::{Answer, Events, named, pieces};
use super::openai::ARGUMENTS;

pub(super) fn response(answer: &Answer<'_>, text: &str, status: &str) -> Value {
    let completed = status == "completed";
    let output = if completed { json!([item(answer, text, status)]) } else { json!([]) };
    let usage = json!({
        "input_tokens": 11, "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 15, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 26,
    });
    json!({
        "id": format!("resp_{}_{}", answer.provider, answer.number),
        "object": "response", "created_at": 1_780_000_000, "status": status, "error": null,
        "incomplete_details": null, "instructions": null, "metadata": {},
        "model": answer.asked.answering_model(), "output": output, "parallel_tool_calls": true,
        "temperature": 1.0, "tool_choice": "auto", "tools": answer.asked.body["tools"].as_array().cloned().unwrap_or_default(),
        "top_p": 1.0, "usage": if completed { usage } else { Value::Null },
    })
}

fn item(answer: &Answer<'_>, text: &str, status: &str) -> Value {
    match answer.asked.tool() {
        Some(name) => json!({
            "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
            "arguments": ARGUMENTS, "status": status,
        }),
        None => json!({
            "type": "message", "id": "msg_1", "role": "assistant", "status": status,
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }),
    }
}

pub(super) fn events(answer: &Answer<'_>, text: &str) -> Events {
    let at = |kind: &str| json!({"type": kind, "item_id": "msg_1", "output_index": 0, "content_index": 0});
    let mut events = vec![
        json!({"type": "response.created", "response": response(answer, text, "in_progress")}),
        json!({"type": "response.in_progress", "response": response(answer, text, "in_progress")}),
    ];
    let mut begun = item(answer, "", "in_progress");
    if begun["type"] == "message" {
        begun["content"] = json!([]);
    } else {
        begun["arguments"] = json!("");
    }
    events.push(json!({"type": "response.output_item.added", "output_index": 0, "item": begun}));
    if answer.asked.tool().is_some() {
        let delta = |part: &str| json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": part});
        events.extend(ARGUMENTS.split_inclusive(',').map(delta));
        events.push(json!({"type": "response.function_call_arguments.done", "item_id": "fc_1",
            "output_index": 0, "arguments": ARGUMENTS}));
    } else {
        let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
        events.push(with(at("response.content_part.added"), "part", part("")));
        let deltas = pieces(text).map(|piece| with(at("response.output_text.delta"), "delta", json!(piece)));
        events.extend(deltas);
        events.push(with(at("response.output_text.done"), "text", json!(text)));
        events.push(with(at("response.content_part.done"), "part", part(text)));
    }
    events.push(json!({"type": "response.output_item.done", "output_index": 0,
        "item": item(answer, text, "completed")}));
    events.push(json!({"type": "response.completed", "response": response(answer, text, "completed")}));
    let mut bytes: Vec<_> = events
        .into_iter()
        .enumerate()
        .map(|(number, event)| named(&with(event, "sequence_number", json!(number))))
        .collect();
    let finish = bytes.split_off(bytes.len() - 1);
    Events { parts: bytes, finish, usage: None, done: None }
}

fn with(mut event: Value, key: &str, value: Value) -> Value {
    event[key] = value;
    event
}
