//! Fields of `chat/completions` that Anthropic has no counterpart for.
//!
//! What would change the shape or the meaning of the answer is refused, so that nobody takes one
//! thing for another. What only tunes it, or is about bookkeeping, is left out and reported as
//! changed, so that a fallback to Anthropic is not spoiled by a `seed`.

use serde_json::Value;

use super::fields::{Fields, Untranslatable};

/// Fields that are refused, unless their value asks for nothing.
const REFUSED: [(&str, &str); 9] = [
    ("n", "there is only one choice"),
    ("logprobs", "there are no probabilities of tokens"),
    ("top_logprobs", "there are no probabilities of tokens"),
    ("logit_bias", "tokens can't be weighed"),
    ("audio", "it does not speak"),
    ("modalities", "it answers with text only"),
    ("functions", "use 'tools'"),
    ("function_call", "use 'tool_choice'"),
    ("web_search_options", "it has no search of this kind"),
];

/// Refuses what has no counterpart.
pub(super) fn refuse(fields: &mut Fields<'_>) -> Result<(), Untranslatable> {
    for (name, why) in REFUSED {
        let value: Option<Value> = fields.take(name)?;
        if value.is_some_and(|value| !asks_for_nothing(name, &value)) {
            return Err(Untranslatable::unsupported(name, why));
        }
    }
    Ok(())
}

fn asks_for_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64() == Some(if name == "n" { 1 } else { 0 }),
        Value::Bool(on) => !on,
        Value::Array(list) => list.iter().all(|member| name == "modalities" && member == "text"),
        // Options may all be left at their defaults.
        Value::Object(map) => map.is_empty() && name != "web_search_options",
        Value::String(text) => name == "function_call" && text == "none",
        Value::Null => true,
    }
}
