//! Right answers.

use serde_json::{Value, json};

use super::{Stage, chat_params, has_our_id, ways};
use crate::gateway::{KEY, provider_key};
use crate::provider::{CONTENT, PIECES};
use crate::sdk::{Call, Sdk};

/// Plain chat: the text, the usage and the id arrive; the provider gets our key and nothing of the
/// caller's.
///
/// # Panics
/// If not.
pub fn chat(sdk: &Sdk, stage: &Stage) {
    for how in ways(sdk).0 {
        let told = sdk.run(&stage.chat("ok").how(how));
        let value = told.value();
        assert_eq!(value["choices"][0]["message"]["content"], CONTENT);
        assert_eq!(value["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
        assert_eq!(value["model"], "ok-2026-11-01");
        has_our_id(&told);
        let seen = stage.provider.last();
        assert_eq!(seen.json(), chat_params("ok"));
        assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {}", provider_key("a"))));
        assert_eq!(seen.header("x-stainless-retry-count"), Some("0"));
        assert!(seen.header("user-agent").is_some_and(|agent| agent.contains("OpenAI/")));
        assert!(!format!("{:?}", seen.request).contains(KEY), "{seen:?}");
    }
}

/// Streams of chat, with and without the usage asked for.
///
/// # Panics
/// If they are not as they should be.
pub fn streams(sdk: &Sdk, stage: &Stage) {
    for how in ways(sdk).1 {
        let told = sdk.run(&stage.chat("ok").how(how));
        assert_eq!((told.said(), told.error()), (CONTENT.to_owned(), &Value::Null));
        assert_eq!(told.events().len(), PIECES + 2, "no event for a usage that was not asked for");
        assert!(told.events().iter().all(|event| event.get("usage").is_none()), "{told:?}");
        assert_eq!(told.events()[PIECES + 1]["choices"][0]["finish_reason"], "stop");
        let mut params = chat_params("ok");
        params["stream_options"] = json!({"include_usage": true});
        let told = sdk.run(&stage.call("chat.completions.create", params).how(how));
        assert_eq!(told.error(), &Value::Null);
        let last = told.events().last().expect("events");
        assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(26)));
        for model in ["drip", "no-done", "huge-1", "paced-1"] {
            let told = sdk.run(&stage.chat(model).how(how));
            assert_eq!(told.error(), &Value::Null, "{model}");
            assert!(model == "huge-1" || told.said() == CONTENT, "{model}: {told:?}");
        }
    }
}

/// A tool is called, and the answer follows on its result.
///
/// # Panics
/// If not.
pub fn tools(sdk: &Sdk, stage: &Stage) {
    let function =
        json!({"name": "weather", "description": "Now", "parameters": {"type": "object", "properties": {}}});
    let mut params = chat_params("ok");
    params["tools"] = json!([{"type": "function", "function": function}]);
    let call = |params: &Value| stage.call("chat.completions.create", params.clone());
    let plain = sdk.run(&call(&params));
    let message = &plain.value()["choices"][0]["message"];
    let made = &message["tool_calls"][0]["function"];
    assert_eq!(made["name"], "weather");
    let told = sdk.run(&call(&params).how("stream"));
    assert_eq!(told.error(), &Value::Null);
    let part = |event: &Value| {
        let function = &event["choices"][0]["delta"]["tool_calls"][0]["function"];
        function["arguments"].as_str().map(str::to_owned)
    };
    let arguments: String = told.events().iter().filter_map(part).collect();
    assert_eq!(json!(arguments), made["arguments"]);
    let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "22 °C"});
    let messages = params["messages"].as_array_mut().expect("a list");
    messages.extend([message.clone(), result]);
    assert_eq!(sdk.run(&call(&params)).value()["choices"][0]["message"]["content"], CONTENT);
}

/// Embeddings, as SDKs ask for them: in base64.
///
/// # Panics
/// If not.
pub fn embeddings(sdk: &Sdk, stage: &Stage) {
    let told = sdk.run(&stage.call("embeddings.create", json!({"model": "ok", "input": ["one", "two"]})));
    assert_eq!(told.value()["data"][1]["embedding"], json!([0.5, -0.25]));
    assert_eq!(stage.provider.last().json()["encoding_format"], "base64");
    has_our_id(&told);
}

/// `/responses`, plain and as a stream.
///
/// # Panics
/// If not.
pub fn responses(sdk: &Sdk, stage: &Stage) {
    let params = json!({"model": "ok", "input": "Hello"});
    let told = sdk.run(&stage.call("responses.create", params.clone()));
    assert_eq!(told.value()["output"][0]["content"][0]["text"], CONTENT);
    for how in ways(sdk).1 {
        let told = sdk.run(&stage.call("responses.create", params.clone()).how(how));
        assert_eq!(told.error(), &Value::Null);
        let text: String = told
            .events()
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .filter_map(|event| event["delta"].as_str())
            .collect();
        assert_eq!(text, CONTENT);
        let last = told.events().last().expect("events");
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["usage"]["total_tokens"], 26);
    }
    let told = sdk.run(&stage.call("responses.create", json!({"model": "cut", "input": "x"})).how("stream"));
    let types: Vec<_> = told.events().iter().map(|event| event["type"].as_str()).collect();
    let ends_whole = types.contains(&Some("response.completed"));
    let says = told.error() != &Value::Null || types.last() == Some(&Some("error"));
    assert!(!ends_whole && says, "a cut is told: {told:?}");
}

/// Models as the configuration has them, and what else has a model.
///
/// # Panics
/// If not.
pub fn listed_models(sdk: &Sdk, stage: &Stage) {
    let told = sdk.run(&stage.call("models.list", json!({})));
    let ids: Vec<_> = told.value().as_array().expect("a list").iter().map(|model| &model["id"]).collect();
    assert!(ids.contains(&&json!("gpt-test")), "{ids:?}");
    let one = sdk.run(&stage.call("models.retrieve", json!({"model": "gpt-test"})));
    assert_eq!((&one.value()["id"], &one.value()["object"]), (&json!("gpt-test"), &json!("model")));
    assert_eq!(stage.provider.count(), 0, "the gateway knows them itself");
    let told = sdk.run(&stage.call("moderations.create", json!({"model": "ok", "input": "x"})));
    assert_eq!(told.value()["results"][0]["flagged"], false);
    let told = sdk.run(&stage.call("images.generate", json!({"model": "ok", "prompt": "x"})));
    assert!(told.value()["data"][0]["b64_json"].is_string());
    let told = sdk.run(&stage.call("completions.create", json!({"model": "ok", "prompt": "x"})));
    assert_eq!(told.value()["choices"][0]["text"], CONTENT);
}

/// Azure's client with its paths and its header for the key.
///
/// # Panics
/// If it gets no answer.
pub fn azure(sdk: &Sdk, stage: &Stage) {
    let endpoint = format!("http://{}", stage.gateway.addr());
    let call = Call::new("", KEY, "chat.completions.create", chat_params("gpt-test")).azure(&endpoint);
    let told = sdk.run(&call);
    assert_eq!(told.value()["choices"][0]["message"]["content"], CONTENT);
    assert_eq!(stage.provider.last().request.target(), "/v1/chat/completions");
    let told = sdk.run(&call.how("stream"));
    assert_eq!((told.said().as_str(), told.error()), (CONTENT, &Value::Null));
}
