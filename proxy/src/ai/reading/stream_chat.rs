//! Chunks of `chat/completions` and of the old `completions`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::Draft;
use super::lenient::{Lenient, List, Text};
use super::usage::WireUsage;
use super::{Format, ProviderError};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default)]
    model: Lenient<Text>,
    #[serde(default)]
    usage: Lenient<WireUsage>,
    #[serde(default)]
    choices: List<Choice>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Lenient<u32>,
    #[serde(default)]
    delta: Lenient<Delta>,
    #[serde(default)]
    text: Lenient<Text>,
    #[serde(default)]
    finish_reason: Lenient<Text>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    role: Lenient<Text>,
    #[serde(default)]
    content: Lenient<Text>,
    #[serde(default)]
    refusal: Lenient<Text>,
    #[serde(default)]
    tool_calls: List<ToolDelta>,
    #[serde(default)]
    function_call: Lenient<FunctionDelta>,
}

#[derive(Deserialize)]
struct ToolDelta {
    #[serde(default)]
    index: Lenient<u32>,
    #[serde(default)]
    id: Lenient<Text>,
    #[serde(default)]
    function: Lenient<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    #[serde(default)]
    name: Lenient<Text>,
    #[serde(default)]
    arguments: Lenient<Text>,
}

/// Reads one chunk into the draft. False if its shape is not that of a chunk.
pub(super) fn read(draft: &mut Draft, name: Option<&str>, data: &[u8]) -> bool {
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else { return false };
    if chunk.error.is_some() || name == Some("error") {
        draft.error = ProviderError::in_event(name, data).or(draft.error.take());
    }
    draft.set_model(chunk.model.text().filter(|model| !model.is_empty()));
    if let Some(usage) = chunk.usage.0.and_then(|usage| usage.normalised(Format::Chat)) {
        draft.usage = Some(usage);
    }
    for choice in chunk.choices.members() {
        read_choice(draft, choice);
    }
    true
}

fn read_choice(draft: &mut Draft, choice: Choice) {
    let index = choice.index.0.unwrap_or(0);
    draft.begin(index, None);
    if let Some(text) = choice.text.text() {
        draft.add_content(index, text);
    }
    if let Some(delta) = choice.delta.0 {
        read_delta(draft, index, delta);
    }
    // Some say nothing with an empty text.
    if let Some(reason) = choice.finish_reason.text().filter(|reason| !reason.is_empty()) {
        draft.finish(index, reason);
    }
}

fn read_delta(draft: &mut Draft, index: u32, delta: Delta) {
    draft.begin(index, delta.role.text().filter(|role| !role.is_empty()));
    if let Some(text) = delta.content.text() {
        draft.add_content(index, text);
    }
    if let Some(text) = delta.refusal.text() {
        draft.add_refusal(index, text);
    }
    for call in delta.tool_calls.members() {
        read_function(draft, (index, call.index.0.unwrap_or(0)), call.id.text(), call.function.0.as_ref());
    }
    if let Some(call) = delta.function_call.0 {
        read_function(draft, (index, 0), None, Some(&call));
    }
}

fn read_function(
    draft: &mut Draft,
    (choice, tool): (u32, u32),
    id: Option<&str>,
    function: Option<&FunctionDelta>,
) {
    draft.name_tool(choice, tool, id, function.and_then(|function| function.name.text()));
    if let Some(arguments) = function.and_then(|function| function.arguments.text()) {
        draft.add_arguments(choice, tool, arguments);
    }
}
