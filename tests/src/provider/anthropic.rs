//! Anthropic's `/messages`, as its API reference has it.

use serde_json::{Value, json};

use super::answer::{Answer, Events, named, pieces};
use super::openai::ARGUMENTS;

fn usage(output: u32) -> Value {
    json!({
        "input_tokens": 7, "output_tokens": output,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
    })
}

pub(super) fn message(answer: &Answer<'_>, text: &str) -> Value {
    let (content, reason) = match answer.asked.tool() {
        Some(name) => {
            let input: Value = serde_json::from_str(ARGUMENTS).expect("JSON");
            (json!([{"type": "tool_use", "id": "toolu_1", "name": name, "input": input}]), "tool_use")
        }
        None => (json!([{"type": "text", "text": text}]), "end_turn"),
    };
    json!({
        "id": format!("msg_{}_{}", answer.provider, answer.number),
        "type": "message", "role": "assistant", "model": answer.asked.answering_model(),
        "content": content, "stop_reason": reason, "stop_sequence": null, "usage": usage(15),
    })
}

pub(super) fn events(answer: &Answer<'_>, text: &str) -> Events {
    let mut begun = message(answer, text);
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"] = usage(1);
    let tool = answer.asked.tool();
    let block = match &tool {
        Some(name) => json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}),
        None => json!({"type": "text", "text": ""}),
    };
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let deltas: Vec<Value> = match &tool {
        Some(_) => ARGUMENTS
            .split_inclusive(',')
            .map(|part| delta(json!({"type": "input_json_delta", "partial_json": part})))
            .collect(),
        None => pieces(text).map(|piece| delta(json!({"type": "text_delta", "text": piece}))).collect(),
    };
    let before = [
        json!({"type": "message_start", "message": begun}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "ping"}),
    ];
    let reason = if tool.is_some() { "tool_use" } else { "end_turn" };
    let finish = [
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"output_tokens": 15}}),
        json!({"type": "message_stop"}),
    ];
    Events {
        parts: before.iter().chain(&deltas).map(named).collect(),
        finish: finish.iter().map(named).collect(),
        usage: None,
        done: None,
    }
}
