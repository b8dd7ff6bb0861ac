//! A `chat/completions` request becomes a `messages` request.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::{Block, MessagesRequest, Metadata};
use super::fields::{Fields, Untranslatable};
use super::sampling::Form;
use super::turns::Conversation;
use super::{sampling, tools, unsupported};

/// What the model is told where any JSON object is asked for.
const JSON_OBJECT: &str =
    "Answer with a single valid JSON object and nothing else: no explanation, no code fence.";

/// What the gateway decides about a request.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model to ask.
    pub model: &'a str,
    /// The most tokens of the answer, where the client sets no limit: Anthropic requires one.
    pub max_tokens: u64,
    /// What the client already got of the answer. The model goes on from there. Empty: nothing.
    pub prefill: &'a str,
}

/// A request for `POST /v1/messages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslatedRequest {
    /// The body.
    pub body: Vec<u8>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Whether the client wants the usage in its stream.
    pub include_usage: bool,
    /// White space at the end of the prefill, which Anthropic does not take. The continuation may
    /// begin with all or part of it, which the client already has: see
    /// [`StreamTranslator::resume`](super::StreamTranslator::resume).
    pub trimmed: String,
    /// Fields of the client that were left out or weakened, in alphabetical order.
    pub changed: Vec<String>,
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

/// Translates the body of a `chat/completions` request.
///
/// System prompts are moved to the front, neighbouring messages of one role joined, blank texts
/// left out. `response_format: json_schema` becomes Anthropic's structured output; `json_object`
/// becomes a line of the system prompt. A model that lacks a feature (`effort`, structured output,
/// prefill) answers 400, which is relayed.
///
/// # Errors
///
/// When the body is no such request, or asks for what Anthropic can't do; the error names the
/// field.
pub fn translate_request(body: &[u8], target: Target<'_>) -> Result<TranslatedRequest, Untranslatable> {
    let mut fields = Fields::parse(body)?;
    let mut changed = Vec::new();
    unsupported::refuse(&mut fields)?;
    let messages: Vec<&RawValue> =
        fields.take("messages")?.ok_or_else(|| Untranslatable::invalid("messages", "it is missing"))?;
    let mut conversation = Conversation::of(messages)?;
    let trimmed = conversation.begin_answer(target.prefill);
    let (sampling, form) = sampling::take(&mut fields, &mut changed)?;
    if let Form::AnyObject = form {
        changed.push("response_format".to_owned());
        conversation.system.push(Block::text(JSON_OBJECT));
    }
    let (tools, tool_choice) = tools::take(&mut fields)?;
    let stream = fields.take("stream")?.unwrap_or(false);
    let options: StreamOptions = fields.take("stream_options")?.unwrap_or_default();
    let request = MessagesRequest {
        model: target.model,
        max_tokens: max_tokens(&mut fields)?.unwrap_or(target.max_tokens),
        system: conversation.system,
        messages: conversation.turns,
        tools,
        tool_choice,
        sampling,
        metadata: user(&mut fields)?.map(|user_id| Metadata { user_id }),
        stream,
    };
    let body = serde_json::to_vec(&request).map_err(|error| Untranslatable::invalid("body", error))?;
    changed.extend(fields.rest().filter(|name| name != "model"));
    changed.sort_unstable();
    let include_usage = options.include_usage == Some(true);
    Ok(TranslatedRequest { body, stream, include_usage, trimmed, changed })
}

fn max_tokens(fields: &mut Fields<'_>) -> Result<Option<u64>, Untranslatable> {
    let old: Option<u64> = fields.take("max_tokens")?;
    let new: Option<u64> = fields.take("max_completion_tokens")?;
    Ok(new.or(old))
}

fn user(fields: &mut Fields<'_>) -> Result<Option<String>, Untranslatable> {
    let user: Option<String> = fields.take("user")?;
    let safety: Option<String> = fields.take("safety_identifier")?;
    Ok(user.or(safety))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
