//! A plain answer of Anthropic becomes a chat completion.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::chunk::{ChatUsage, finish_reason};
use crate::ai::reading::Format;
use crate::ai::reading::lenient::{Lenient, List, Text};
use crate::ai::reading::usage::WireUsage;

/// An answer with a good status that is no message of Anthropic's.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer is no message")]
pub struct NotAMessage(#[source] Option<serde_json::Error>);

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, rename = "type")]
    message_type: Lenient<Text>,
    #[serde(default)]
    id: Lenient<Text>,
    #[serde(default)]
    model: Lenient<Text>,
    #[serde(default, borrow)]
    content: List<Block<'a>>,
    #[serde(default)]
    stop_reason: Lenient<Text>,
    #[serde(default)]
    usage: Lenient<WireUsage>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    block_type: String,
    #[serde(default)]
    text: Lenient<Text>,
    #[serde(default)]
    id: Lenient<Text>,
    #[serde(default)]
    name: Lenient<Text>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: ChatUsage,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: ChatMessage<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct ChatMessage<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: String,
    #[serde(rename = "type")]
    call_type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: String,
    /// The input as Anthropic wrote it.
    arguments: &'a str,
}

/// Translates the body of an answer with a good status. `created` is the time of the answer in
/// seconds since 1970, which Anthropic does not tell. Texts are joined; thinking, which chat
/// completions have no place for, is left out.
///
/// # Errors
///
/// When the body is no message of Anthropic's.
pub fn translate_answer(body: &[u8], created: u64) -> Result<Vec<u8>, NotAMessage> {
    let message: Message<'_> = serde_json::from_slice(body).map_err(|error| NotAMessage(Some(error)))?;
    if message.message_type.text() != Some("message") {
        return Err(NotAMessage(None));
    }
    let usage = message.usage.0.and_then(|usage| usage.normalised(Format::Messages));
    let finish_reason = finish_reason(message.stop_reason.text().unwrap_or_default());
    let completion = Completion {
        id: message.id.text().unwrap_or_default(),
        object: "chat.completion",
        created,
        model: message.model.text().unwrap_or_default(),
        choices: [Choice { index: 0, message: chat_message(message.content), logprobs: None, finish_reason }],
        usage: usage.unwrap_or_default().into(),
    };
    serde_json::to_vec(&completion).map_err(|error| NotAMessage(Some(error)))
}

fn chat_message(content: List<Block<'_>>) -> ChatMessage<'_> {
    let mut message = ChatMessage { role: "assistant", content: None, refusal: None, tool_calls: Vec::new() };
    for block in content.members() {
        match block.block_type.as_str() {
            "text" => {
                let text = block.text.text().unwrap_or_default();
                message.content.get_or_insert_default().push_str(text);
            }
            "tool_use" => message.tool_calls.push(ToolCall {
                id: block.id.string().unwrap_or_default(),
                call_type: "function",
                function: Function {
                    name: block.name.string().unwrap_or_default(),
                    arguments: block.input.map_or("{}", RawValue::get),
                },
            }),
            _ => {}
        }
    }
    message
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
