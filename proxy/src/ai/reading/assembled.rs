//! What a stream said, put together.

use serde::Serialize;

use super::{ProviderError, Usage};

/// What a stream said up to where it was read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The answer; `None` if no choice was begun.
    pub message: Option<Message>,
    /// The model that answered.
    pub model: Option<String>,
    /// What was used; of several reports the last.
    pub usage: Option<Usage>,
    /// Why choices ended, in the provider's words, by index.
    pub finish_reasons: Vec<String>,
    /// The error that the stream reported.
    pub error: Option<ProviderError>,
    /// Whether all expected choices have ended.
    pub finished: bool,
    /// Whether the stream's own end was seen (`[DONE]`, `message_stop`, a final response).
    pub ended: bool,
    /// Whether the message lacks something for the memory it would take.
    pub truncated: bool,
    /// Events whose data was no JSON.
    pub malformed: u64,
}

/// An assistant's message in the shape of a chat completion, whatever format it came in.
///
/// An answer with several choices is the message of the lowest index, with the other choices'
/// messages in `alternatives`, by index. So the message has the same shape in every record.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `assistant`, unless the provider said something else.
    pub role: String,
    /// The text; `None` if there is none.
    pub content: Option<String>,
    /// Calls of tools, in order.
    pub tool_calls: Vec<ToolCall>,
    /// The model's text of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The messages of further choices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Message>,
}

/// One call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// The id that its result refers to.
    pub id: Option<String>,
    /// Always `function`.
    #[serde(rename = "type")]
    pub call_type: &'static str,
    /// What is called.
    pub function: Function,
}

/// The function of a tool call.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its arguments as the model wrote them: JSON if the model did well and was not cut off.
    pub arguments: String,
}
