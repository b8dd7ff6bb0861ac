//! The parts of a `chat/completions` request, as clients send them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ai::reading::lenient::Text;

/// One message. Unknown fields are left alone.
#[derive(Deserialize)]
pub(super) struct ChatMessage<'a> {
    pub(super) role: String,
    #[serde(default, borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) tool_calls: Option<Vec<ToolCall>>,
    #[serde(default)]
    pub(super) tool_call_id: Option<String>,
    #[serde(default)]
    pub(super) refusal: Option<Text>,
    #[serde(default, borrow)]
    pub(super) audio: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) function_call: Option<&'a RawValue>,
}

/// A call that the assistant made earlier.
#[derive(Deserialize)]
pub(super) struct ToolCall {
    pub(super) id: String,
    #[serde(default, rename = "type")]
    pub(super) call_type: Option<String>,
    #[serde(default)]
    pub(super) function: Option<FunctionCall>,
}

/// What was called.
#[derive(Deserialize)]
pub(super) struct FunctionCall {
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: String,
}

/// A part of a message's content.
#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(rename = "type")]
    pub(super) part_type: String,
    #[serde(default)]
    pub(super) text: Option<Text>,
    #[serde(default)]
    pub(super) refusal: Option<Text>,
    #[serde(default, borrow)]
    pub(super) image_url: Option<ImageUrl<'a>>,
    #[serde(default, borrow)]
    pub(super) file: Option<File<'a>>,
    /// Anthropic's own field, which clients may add.
    #[serde(default, borrow)]
    pub(super) cache_control: Option<&'a RawValue>,
}

/// Where an image is.
#[derive(Deserialize)]
pub(super) struct ImageUrl<'a> {
    #[serde(borrow)]
    pub(super) url: Cow<'a, str>,
}

/// A file within the request.
#[derive(Deserialize)]
pub(super) struct File<'a> {
    #[serde(default, borrow)]
    pub(super) file_data: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) filename: Option<String>,
}

/// A tool that the model may call.
#[derive(Deserialize)]
pub(super) struct ChatTool<'a> {
    #[serde(rename = "type")]
    pub(super) tool_type: String,
    #[serde(default, borrow)]
    pub(super) function: Option<ChatFunction<'a>>,
    #[serde(default, borrow)]
    pub(super) cache_control: Option<&'a RawValue>,
}

/// The function of a tool.
#[derive(Deserialize)]
pub(super) struct ChatFunction<'a> {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default, borrow)]
    pub(super) parameters: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) strict: Option<bool>,
}
