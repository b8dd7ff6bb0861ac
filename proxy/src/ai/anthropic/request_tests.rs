use serde_json::{Value, json};

use super::*;

const TARGET: Target<'static> = Target { model: "claude-sonnet-4-5", max_tokens: 4096, prefill: "" };

fn translate(body: &Value) -> Result<TranslatedRequest, Untranslatable> {
    translate_request(body.to_string().as_bytes(), TARGET)
}

/// What is sent for a request with these fields and one message, besides what is always sent.
fn sent(fields: &Value) -> (Value, Vec<String>) {
    let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let translated = translate(&body).unwrap_or_else(|error| panic!("{fields}: {error}"));
    let mut sent: Value = serde_json::from_slice(&translated.body).unwrap();
    let rest = sent.as_object_mut().unwrap();
    assert_eq!(rest.remove("model"), Some(json!("claude-sonnet-4-5")));
    assert_eq!(
        rest.remove("messages"),
        Some(json!([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]))
    );
    if rest.get("max_tokens") == Some(&json!(4096)) {
        rest.remove("max_tokens");
    }
    (sent, translated.changed)
}

/// System prompt and turns that are sent for these messages.
fn conversation(messages: &Value) -> Value {
    let translated =
        translate(&json!({"messages": messages})).unwrap_or_else(|error| panic!("{messages}: {error}"));
    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    json!({"system": sent["system"], "messages": sent["messages"]})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn fields_with_a_counterpart() {
    let effort = |effort| json!({"output_config": {"effort": effort}});
    let schema = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "number"}}});
    let cases = [
        (json!({}), json!({})),
        (json!({"max_tokens": 7}), json!({"max_tokens": 7})),
        (json!({"max_tokens": 7, "max_completion_tokens": 9}), json!({"max_tokens": 9})),
        (json!({"temperature": 0.2}), json!({"temperature": 0.2})),
        (json!({"temperature": 0}), json!({"temperature": 0.0})),
        (json!({"temperature": 1, "top_p": 1}), json!({})),
        (json!({"temperature": 1, "top_p": 0.9}), json!({"top_p": 0.9})),
        (json!({"top_k": 40}), json!({"top_k": 40})),
        (json!({"stop": "END"}), json!({"stop_sequences": ["END"]})),
        (json!({"stop": ["a", "b"]}), json!({"stop_sequences": ["a", "b"]})),
        (json!({"user": "u-1", "safety_identifier": "s-1"}), json!({"metadata": {"user_id": "u-1"}})),
        (json!({"safety_identifier": "s-1"}), json!({"metadata": {"user_id": "s-1"}})),
        (json!({"reasoning_effort": "minimal"}), effort("low")),
        (json!({"reasoning_effort": "high"}), effort("high")),
        (json!({"reasoning_effort": "none"}), json!({"thinking": {"type": "disabled"}})),
        (json!({"thinking": {"type": "adaptive"}}), json!({"thinking": {"type": "adaptive"}})),
        (json!({"response_format": {"type": "text"}}), json!({})),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}}}),
            json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        ),
        (json!({"stream": true, "stream_options": {"include_usage": true}}), json!({"stream": true})),
        (json!({"stream": false, "stream_options": null, "stop": null, "user": null}), json!({})),
        (
            json!({"n": 1, "logprobs": false, "top_logprobs": 0, "logit_bias": {}, "modalities": ["text"]}),
            json!({}),
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(sent(&fields), (expected, vec![]), "{fields}");
    }
}

#[test]
fn what_is_left_out_or_weakened_is_told() {
    let cases = [
        (json!({"temperature": 1.7}), json!({}), vec!["temperature"]),
        (json!({"temperature": 0.5, "top_p": 0.5}), json!({"temperature": 0.5}), vec!["top_p"]),
        (json!({"stop": ["\n", "END"]}), json!({"stop_sequences": ["END"]}), vec!["stop"]),
        (
            json!({"seed": 7, "presence_penalty": 0.1, "store": null}),
            json!({}),
            vec!["presence_penalty", "seed"],
        ),
        (json!({"field_of_tomorrow": {}}), json!({}), vec!["field_of_tomorrow"]),
        (
            json!({"response_format": {"type": "json_object"}}),
            json!({"system": [text(JSON_OBJECT)]}),
            vec!["response_format"],
        ),
    ];
    for (fields, expected, changed) in cases {
        let changed: Vec<String> = changed.into_iter().map(str::to_owned).collect();
        assert_eq!(sent(&fields), (expected, changed), "{fields}");
    }
}

#[test]
fn streams() {
    let plain = translate(&json!({"messages": [{"role": "user", "content": "Hi"}]})).unwrap();
    assert!(!plain.stream && !plain.include_usage);
    let options = json!({"messages": [{"role": "user", "content": "Hi"}], "stream": true, "stream_options": {"include_usage": true}});
    let stream = translate(&options).unwrap();
    assert!(stream.stream && stream.include_usage);
}

#[test]
fn conversations() {
    let turn = |role: &str, blocks: Value| json!({"role": role, "content": blocks});
    let cases = [
        (
            json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "developer", "content": [{"type": "text", "text": "In German."}]}]),
            json!({"system": [text("Be brief."), text("In German.")], "messages": [turn("user", json!([text("Hi")]))]}),
        ),
        (
            json!([{"role": "user", "content": "a", "name": "x"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}, {"role": "assistant", "content": [{"type": "refusal", "refusal": "d"}]}, {"role": "user", "content": "e"}]),
            json!({"system": null, "messages": [turn("user", json!([text("a"), text("b")])), turn("assistant", json!([text("c"), text("d")])), turn("user", json!([text("e")]))]}),
        ),
        (
            json!([{"role": "user", "content": ""}, {"role": "user", "content": [{"type": "text", "text": " \n"}, {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}]),
            json!({"system": null, "messages": [turn("user", json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]))]}),
        ),
        (
            json!([{"role": "system", "content": "Only this."}]),
            json!({"system": null, "messages": [turn("user", json!([text("Only this.")]))]}),
        ),
        (
            json!([{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://x.test/cat.png", "detail": "high"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
                {"type": "text", "text": "What is it?"}]}]),
            json!({"system": null, "messages": [turn("user", json!([
                {"type": "image", "source": {"type": "url", "url": "https://x.test/cat.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
                text("What is it?")]))]}),
        ),
        (
            json!([
                {"role": "user", "content": "Weather in Bonn and Rome?"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bonn\"}"}},
                    {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
                {"role": "tool", "tool_call_id": "call_2", "content": ""},
                {"role": "user", "content": "And?"}]),
            json!({"system": null, "messages": [
                turn("user", json!([text("Weather in Bonn and Rome?")])),
                turn("assistant", json!([
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Bonn"}},
                    {"type": "tool_use", "id": "call_2", "name": "now", "input": {}}])),
                turn("user", json!([
                    {"type": "tool_result", "tool_use_id": "call_1", "content": [text("12 °C")]},
                    {"type": "tool_result", "tool_use_id": "call_2"},
                    text("And?")]))]}),
        ),
    ];
    for (messages, expected) in cases {
        assert_eq!(conversation(&messages), expected, "{messages}");
    }
}

#[test]
fn results_of_tools_come_first() {
    let messages = json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]},
        {"role": "user", "content": "meanwhile"},
        {"role": "tool", "tool_call_id": "a", "content": "y"}]);
    let types: Vec<Value> = conversation(&messages)["messages"][2]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["type"].clone())
        .collect();
    assert_eq!(types, ["tool_result", "text"]);
}

#[test]
fn tools() {
    let function = json!({"type": "function", "function": {"name": "weather", "description": "Tells it", "strict": true,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}});
    let tool = json!({"name": "weather", "description": "Tells it", "strict": true,
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}});
    let bare = json!({"name": "now", "input_schema": {"type": "object", "properties": {}}});
    let named = json!({"type": "function", "function": {"name": "weather"}});
    let cases = [
        (
            json!({"tools": [function, {"type": "function", "function": {"name": "now"}}]}),
            json!({"tools": [tool, bare]}),
        ),
        (
            json!({"tools": [function], "tool_choice": "auto"}),
            json!({"tools": [tool], "tool_choice": {"type": "auto"}}),
        ),
        (
            json!({"tools": [function], "tool_choice": "none"}),
            json!({"tools": [tool], "tool_choice": {"type": "none"}}),
        ),
        (
            json!({"tools": [function], "tool_choice": "required"}),
            json!({"tools": [tool], "tool_choice": {"type": "any"}}),
        ),
        (
            json!({"tools": [function], "tool_choice": named}),
            json!({"tools": [tool], "tool_choice": {"type": "tool", "name": "weather"}}),
        ),
        (
            json!({"tools": [function], "parallel_tool_calls": false}),
            json!({"tools": [tool], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
        ),
        (
            json!({"tools": [function], "tool_choice": "required", "parallel_tool_calls": false}),
            json!({"tools": [tool], "tool_choice": {"type": "any", "disable_parallel_tool_use": true}}),
        ),
        (json!({"tools": [function], "parallel_tool_calls": true}), json!({"tools": [tool]})),
        (json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": false}), json!({})),
    ];
    for (fields, expected) in cases {
        assert_eq!(sent(&fields), (expected, vec![]), "{fields}");
    }
}

#[test]
fn schemas_and_arguments_keep_their_order() {
    let body = r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","type":"function",
        "function":{"name":"f","arguments":"{\"z\": 1.0, \"a\": 12345678901234567890123}"}}]},{"role":"tool","tool_call_id":"c","content":"y"}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"z":{},"a":{}}}}}]}"#;
    let sent = String::from_utf8(translate_request(body.as_bytes(), TARGET).unwrap().body).unwrap();
    assert!(sent.contains(r#""input":{"z": 1.0, "a": 12345678901234567890123}"#), "{sent}");
    assert!(sent.contains(r#""input_schema":{"type":"object","properties":{"z":{},"a":{}}}"#), "{sent}");
}

#[test]
fn the_beginning_of_an_answer() {
    let ask = json!([{"role": "user", "content": "Count"}]);
    let begun = json!([{"role": "user", "content": "Count"}, {"role": "assistant", "content": "Well: "}]);
    let cases = [
        (&ask, "", json!(null), ""),
        (&ask, "One, two", json!([text("One, two")]), ""),
        (&ask, "One, two, \n", json!([text("One, two,")]), " \n"),
        (&ask, "\n\n", json!(null), "\n\n"),
        (&begun, "", json!([text("Well:")]), " "),
        (&begun, "one ", json!([text("Well: "), text("one")]), " "),
    ];
    for (messages, prefill, expected, trimmed) in cases {
        let body = json!({"messages": messages}).to_string();
        let translated = translate_request(body.as_bytes(), Target { prefill, ..TARGET }).unwrap();
        let sent: Value = serde_json::from_slice(&translated.body).unwrap();
        assert_eq!(sent["messages"][1]["content"], expected, "{prefill:?}");
        assert_eq!(translated.trimmed, trimmed, "{prefill:?}");
    }
}

/// A request with one more field.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().insert(field.to_owned(), value);
    body
}

/// A request with one more message.
fn say(message: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}, message]})
}

/// A request with one more message, of one part.
fn part(part: &Value) -> Value {
    say(&json!({"role": "user", "content": [part]}))
}

/// A request with a call of these arguments.
fn call(arguments: &str) -> Value {
    say(
        &json!({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}]}),
    )
}

#[test]
fn what_has_no_counterpart_is_refused_by_name() {
    let cases = [
        (with("n", json!(2)), "n"),
        (with("logprobs", json!(true)), "logprobs"),
        (with("top_logprobs", json!(5)), "top_logprobs"),
        (with("logit_bias", json!({"50256": -100})), "logit_bias"),
        (with("audio", json!({"voice": "ash"})), "audio"),
        (with("modalities", json!(["text", "audio"])), "modalities"),
        (with("functions", json!([{"name": "f"}])), "functions"),
        (with("web_search_options", json!({"a": 1})), "web_search_options"),
        (with("tools", json!([{"type": "custom", "custom": {}}])), "tools[0].type"),
        (with("tool_choice", json!({"type": "allowed_tools"})), "tool_choice"),
        (with("reasoning_effort", json!("huge")), "reasoning_effort"),
        (with("response_format", json!({"type": "grammar"})), "response_format.type"),
        (part(&json!({"type": "input_audio", "input_audio": {}})), "messages[1].content[0].type"),
        (part(&json!({"type": "file", "file": {"file_id": "f"}})), "messages[1].content[0].file"),
        (
            part(&json!({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,QQ"}})),
            "messages[1].content[0].image_url.url",
        ),
        (say(&json!({"role": "assistant", "audio": {"id": "a"}})), "messages[1].audio"),
        (say(&json!({"role": "function", "name": "f", "content": "x"})), "messages[1].role"),
    ];
    for (body, param) in cases {
        let error = translate(&body).err().unwrap_or_else(|| panic!("{body}"));
        assert_eq!(
            (error.param.as_str(), error.code),
            (param, Some("unsupported_parameter")),
            "{body}: {error}"
        );
    }
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    let cases = [
        (json!({}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "Hi"}), "messages"),
        (json!({"messages": [{"content": "Hi"}]}), "messages[0]"),
        (json!({"messages": [null]}), "messages[0]"),
        (say(&json!({"role": "user", "content": 7})), "messages[1].content"),
        (say(&json!({"role": "tool", "content": "x"})), "messages[1].tool_call_id"),
        (part(&json!({"type": "text"})), "messages[1].content[0].text"),
        (part(&json!({"type": "image_url", "image_url": "x"})), "messages[1].content[0]"),
        (call("{\"a\":"), "messages[1].tool_calls[0].function.arguments"),
        (call("[1]"), "messages[1].tool_calls[0].function.arguments"),
        (with("temperature", json!("hot")), "temperature"),
        (with("temperature", json!(2.5)), "temperature"),
        (with("max_tokens", json!(-1)), "max_tokens"),
        (with("stop", json!(7)), "stop"),
        (with("response_format", json!({"type": "json_schema"})), "response_format.json_schema.schema"),
        (json!([1]), "body"),
    ];
    for (body, param) in cases {
        let error = translate(&body).err().unwrap_or_else(|| panic!("{body}"));
        assert_eq!((error.param.as_str(), error.code), (param, None), "{body}: {error}");
    }
    assert_eq!(translate_request(b"no json", TARGET).unwrap_err().param, "body");
}
