//! The provider of the demo: a model that repeats what it was told, word by word, as OpenAI's API does it.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

/// The pause between two words of a stream.
const PACE: Duration = Duration::from_millis(150);

/// What is read of a request.
#[derive(Debug, Deserialize)]
struct Asked {
    model: String,
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    stream: bool,
}

/// The provider's API.
pub(super) fn router() -> Router {
    Router::new().route("/v1/chat/completions", post(chat))
}

async fn chat(Json(asked): Json<Asked>) -> Response {
    let told = asked.messages.last().and_then(|message| message["content"].as_str()).unwrap_or_default();
    let text = format!("You said: {told}");
    let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
    let usage = usage(told, words.len());
    if asked.stream { streamed(asked.model, &words, &usage) } else { whole(&asked.model, &text, &usage) }
}

/// A word is a token here.
fn usage(told: &str, written: usize) -> Value {
    let read = told.split_whitespace().count();
    json!({"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written})
}

fn whole(model: &str, text: &str, usage: &Value) -> Response {
    let message = json!({"role": "assistant", "content": text});
    Json(json!({
        "id": "chatcmpl-demo", "object": "chat.completion", "created": now(), "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": null}],
        "usage": usage,
    }))
    .into_response()
}

fn streamed(model: String, words: &[String], usage: &Value) -> Response {
    let chunk = move |choices: Value, usage: &Value| {
        let chunk = json!({
            "id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": now(), "model": model,
            "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, end: Value| json!([{"index": 0, "delta": delta, "finish_reason": end}]);
    let said = words
        .iter()
        .map(|word| chunk(delta(json!({"role": "assistant", "content": word}), Value::Null), &Value::Null));
    let end = [
        chunk(delta(json!({}), json!("stop")), &Value::Null),
        chunk(json!([]), usage),
        "data: [DONE]\n\n".to_owned(),
    ];
    let events: Vec<String> = said.chain(end).collect();
    let paced = stream::iter(events).then(async |event| {
        tokio::time::sleep(PACE).await;
        Ok::<_, Infallible>(Bytes::from(event))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(paced)).into_response()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
