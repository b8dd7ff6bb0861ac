//! Reads a plain answer: one JSON object.

use serde::Deserialize;

use super::lenient::{Lenient, List, Text};
use super::usage::WireUsage;
use super::{Format, ProviderError, Usage};

/// What a plain answer says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The model that answered.
    pub model: Option<String>,
    /// What was used.
    pub usage: Option<Usage>,
    /// Why each choice ended, in the provider's words, in the order of the answer. For `responses`
    /// the reason that it is incomplete, else its status.
    pub finish_reasons: Vec<String>,
    /// An error in spite of the good status.
    pub error: Option<ProviderError>,
}

/// The fields of all formats: their names do not collide.
#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    model: Lenient<Text>,
    #[serde(default)]
    usage: Lenient<WireUsage>,
    #[serde(default)]
    choices: List<Choice>,
    #[serde(default)]
    stop_reason: Lenient<Text>,
    #[serde(default)]
    status: Lenient<Text>,
    #[serde(default)]
    incomplete_details: Lenient<Incomplete>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    finish_reason: Lenient<Text>,
}

#[derive(Deserialize)]
pub(super) struct Incomplete {
    #[serde(default)]
    pub(super) reason: Lenient<Text>,
}

impl Answer {
    /// Reads the body of an answer with a good status. `None` if it is no JSON object; what it
    /// lacks, or has with another type, is left out. Takes memory up to the length of the body.
    #[must_use]
    pub fn read(format: Format, body: &[u8]) -> Option<Self> {
        let start = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
        if *start != b'{' {
            return None;
        }
        let wire: Wire = serde_json::from_slice(body).ok()?;
        let usage = wire.usage.0.and_then(|usage| usage.normalised(format));
        let finish_reasons = match format {
            Format::Responses => {
                let incomplete = wire.incomplete_details.0.and_then(|details| details.reason.string());
                incomplete.or(wire.status.string()).into_iter().collect()
            }
            Format::Messages => wire.stop_reason.string().into_iter().collect(),
            Format::Chat | Format::Completions | Format::Embeddings => {
                wire.choices.members().filter_map(|choice| choice.finish_reason.string()).collect()
            }
        };
        Some(Self {
            model: wire.model.string(),
            usage,
            finish_reasons,
            error: ProviderError::in_answer(body),
        })
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
