use serde_json::{Value, json};

use super::*;

fn translate(body: &Value) -> Value {
    serde_json::from_slice(&translate_answer(body.to_string().as_bytes(), 1_741_570_283).unwrap()).unwrap()
}

#[test]
fn a_text() {
    let message = json!({"id": "msg_013", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "thinking", "thinking": "Hm", "signature": "x"}, {"type": "text", "text": "Hi! "}, {"type": "text", "text": "How?"}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 20, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 2}}});
    let expected = json!({"id": "msg_013", "object": "chat.completion", "created": 1_741_570_283, "model": "claude-sonnet-4-5",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi! How?", "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35,
            "prompt_tokens_details": {"cached_tokens": 7}, "completion_tokens_details": {"reasoning_tokens": 2}}});
    assert_eq!(translate(&message), expected);
}

#[test]
fn tool_calls() {
    let body = r#"{"type":"message","id":"msg_1","model":"m","content":[
        {"type":"tool_use","id":"toolu_1","name":"weather","input":{"z": 1.0, "city": "Bonn"}},
        {"type":"tool_use","id":"toolu_2","name":"now","input":{}}],"stop_reason":"tool_use"}"#;
    let found: Value = serde_json::from_slice(&translate_answer(body.as_bytes(), 1).unwrap()).unwrap();
    let expected = json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [
        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": "{\"z\": 1.0, \"city\": \"Bonn\"}"}},
        {"id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": "{}"}}]});
    assert_eq!(found["choices"][0]["message"], expected);
    assert_eq!(found["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(found["usage"]["total_tokens"], 0);
}

#[test]
fn stop_reasons() {
    let cases = [
        (json!("end_turn"), "stop"),
        (json!("stop_sequence"), "stop"),
        (json!("max_tokens"), "length"),
        (json!("model_context_window_exceeded"), "length"),
        (json!("tool_use"), "tool_calls"),
        (json!("refusal"), "content_filter"),
        (json!("pause_turn"), "stop"),
        (json!("reason_of_tomorrow"), "stop"),
        (json!(null), "stop"),
    ];
    for (stop_reason, finish_reason) in cases {
        let message = json!({"type": "message", "content": [], "stop_reason": stop_reason});
        assert_eq!(translate(&message)["choices"][0]["finish_reason"], finish_reason, "{stop_reason}");
    }
}

#[test]
fn what_is_no_message() {
    for body in
        ["", "{", "<html>", "[]", "{}", r#"{"type":"error","error":{}}"#, r#"{"object":"chat.completion"}"#]
    {
        assert!(translate_answer(body.as_bytes(), 1).is_err(), "{body}");
    }
}
