//! What OpenAI's clients get: usage, tool calls and chunks of a stream.

use serde::Serialize;

use crate::ai::reading::Usage;

/// Usage in OpenAI's shape.
#[derive(Debug, Serialize)]
pub(super) struct ChatUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Debug, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

/// One chunk.
#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: Vec<ChunkChoice<'a>>,
    /// Absent, null, or the usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Option<ChatUsage>>,
}

/// The only choice of a chunk.
#[derive(Serialize)]
pub(super) struct ChunkChoice<'a> {
    pub(super) index: u32,
    pub(super) delta: Delta<'a>,
    pub(super) logprobs: Option<()>,
    pub(super) finish_reason: Option<&'static str>,
}

/// What a chunk adds.
#[derive(Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<[ToolDelta<'a>; 1]>,
}

/// What a chunk adds to a call.
#[derive(Serialize)]
pub(super) struct ToolDelta<'a> {
    pub(super) index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) call_type: Option<&'static str>,
    pub(super) function: FunctionDelta<'a>,
}

/// What a chunk adds to a function's name or arguments.
#[derive(Serialize)]
pub(super) struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

impl From<Usage> for ChatUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached_input },
            completion_tokens_details: CompletionDetails { reasoning_tokens: usage.reasoning },
        }
    }
}

impl<'a> Delta<'a> {
    /// The first delta: who speaks.
    pub(super) fn role() -> Self {
        Self { role: Some("assistant"), content: Some(""), tool_calls: None }
    }

    pub(super) fn content(text: &'a str) -> Self {
        Self { content: Some(text), ..Self::default() }
    }

    /// The first delta of a call.
    pub(super) fn call(index: u32, id: &'a str, name: &'a str) -> Self {
        let function = FunctionDelta { name: Some(name), arguments: "" };
        Self::tool(ToolDelta { index, id: Some(id), call_type: Some("function"), function })
    }

    pub(super) fn arguments(index: u32, arguments: &'a str) -> Self {
        Self::tool(ToolDelta {
            index,
            id: None,
            call_type: None,
            function: FunctionDelta { name: None, arguments },
        })
    }

    fn tool(delta: ToolDelta<'a>) -> Self {
        Self { tool_calls: Some([delta]), ..Self::default() }
    }
}

/// Anthropic's stop reason in OpenAI's words. Unknown ones are an ordinary stop.
pub(super) fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}
