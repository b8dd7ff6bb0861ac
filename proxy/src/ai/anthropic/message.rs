//! One message of the conversation.

use serde_json::value::RawValue;

use super::block::{Block, Role};
use super::content;
use super::fields::{Untranslatable, read};
use super::wire::{ChatMessage, ToolCall};

/// What a message becomes.
pub(super) enum Translated<'a> {
    /// Part of the system prompt.
    System(Vec<Block<'a>>),
    /// Part of a turn.
    Turn(Role, Vec<Block<'a>>),
}

/// Translates the message at `param`, such as `messages[3]`.
pub(super) fn translate<'a>(message: &'a RawValue, param: &str) -> Result<Translated<'a>, Untranslatable> {
    let Some(message) = read::<ChatMessage<'_>>(message, || param.to_owned())? else {
        return Err(Untranslatable::invalid(param, "null"));
    };
    let blocks = match message.content {
        Some(content) => content::blocks(content, &format!("{param}.content"))?,
        None => Vec::new(),
    };
    match message.role.as_str() {
        "system" | "developer" => Ok(Translated::System(blocks)),
        "user" => Ok(Translated::Turn(Role::User, blocks)),
        "assistant" => Ok(Translated::Turn(Role::Assistant, assistant(message, blocks, param)?)),
        "tool" => {
            let Some(tool_use_id) = message.tool_call_id else {
                return Err(Untranslatable::invalid(format!("{param}.tool_call_id"), "it is missing"));
            };
            Ok(Translated::Turn(Role::User, vec![Block::ToolResult { tool_use_id, content: blocks }]))
        }
        other => {
            Err(Untranslatable::unsupported(format!("{param}.role"), &format!("there is no role {other:?}")))
        }
    }
}

/// What the assistant said: its text or refusal, then its calls.
fn assistant<'a>(
    message: ChatMessage<'a>,
    mut blocks: Vec<Block<'a>>,
    param: &str,
) -> Result<Vec<Block<'a>>, Untranslatable> {
    for (field, value) in [("audio", message.audio), ("function_call", message.function_call)] {
        if value.is_some() {
            return Err(Untranslatable::unsupported(format!("{param}.{field}"), "there is nothing like it"));
        }
    }
    if blocks.is_empty() {
        let refusal = message.refusal.map(|text| text.0).filter(|text| !text.is_empty());
        blocks.extend(refusal.map(Block::text));
    }
    for (at, call) in message.tool_calls.into_iter().flatten().enumerate() {
        blocks.push(tool_use(call, &format!("{param}.tool_calls[{at}]"))?);
    }
    Ok(blocks)
}

/// A call with its arguments, which OpenAI has as a text and Anthropic as an object.
fn tool_use<'a>(call: ToolCall, param: &str) -> Result<Block<'a>, Untranslatable> {
    let Some(function) =
        call.function.filter(|_| call.call_type.as_deref().is_none_or(|kind| kind == "function"))
    else {
        return Err(Untranslatable::unsupported(format!("{param}.type"), "only calls of functions can"));
    };
    let place = || format!("{param}.function.arguments");
    let arguments = match function.arguments.trim() {
        "" => "{}",
        arguments if arguments.starts_with('{') => arguments,
        _ => return Err(Untranslatable::invalid(place(), "no JSON object")),
    };
    let input = RawValue::from_string(arguments.to_owned())
        .map_err(|error| Untranslatable::invalid(place(), error))?;
    Ok(Block::ToolUse { id: call.id, name: function.name, input })
}
