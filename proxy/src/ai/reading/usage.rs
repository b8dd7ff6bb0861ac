//! Tokens that a call used, the same for every wire format.

use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::Format;
use super::lenient::Lenient;

/// Tokens used. Adding saturates.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens read, those from a cache included. Anthropic counts them apart: they are added here.
    pub input: u64,
    /// Tokens written, those of reasoning included.
    pub output: u64,
    /// Those of `input` that came from a cache.
    pub cached_input: u64,
    /// Those of `output` that were reasoning, where the provider tells.
    pub reasoning: u64,
}

/// The usage object of any format.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct WireUsage {
    #[serde(default)]
    prompt_tokens: Lenient<u64>,
    #[serde(default)]
    completion_tokens: Lenient<u64>,
    #[serde(default)]
    prompt_tokens_details: Lenient<Details>,
    #[serde(default)]
    completion_tokens_details: Lenient<Details>,
    #[serde(default)]
    input_tokens: Lenient<u64>,
    #[serde(default)]
    output_tokens: Lenient<u64>,
    #[serde(default)]
    input_tokens_details: Lenient<Details>,
    #[serde(default)]
    output_tokens_details: Lenient<Details>,
    #[serde(default)]
    cache_creation_input_tokens: Lenient<u64>,
    #[serde(default)]
    cache_read_input_tokens: Lenient<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Lenient<u64>,
    /// Anthropic says `thinking_tokens`.
    #[serde(default, alias = "thinking_tokens")]
    reasoning_tokens: Lenient<u64>,
}

impl WireUsage {
    /// What later events of an Anthropic stream say replaces what earlier ones said, field by
    /// field: the counts are cumulative, and not every event has all of them.
    pub(crate) fn replace(&mut self, later: Self) {
        let pairs = [
            (&mut self.input_tokens, later.input_tokens),
            (&mut self.output_tokens, later.output_tokens),
            (&mut self.cache_creation_input_tokens, later.cache_creation_input_tokens),
            (&mut self.cache_read_input_tokens, later.cache_read_input_tokens),
        ];
        for (before, later) in pairs {
            if later.0.is_some() {
                *before = later;
            }
        }
        if later.output_tokens_details.0.is_some() {
            self.output_tokens_details = later.output_tokens_details;
        }
    }

    /// The counts in our terms. `None` if the object has none that `format` knows.
    pub(crate) fn normalised(&self, format: Format) -> Option<Usage> {
        match format {
            Format::Messages => self.of_messages(),
            Format::Responses => self.counted(
                (&self.input_tokens, &self.input_tokens_details),
                (&self.output_tokens, &self.output_tokens_details),
            ),
            Format::Chat | Format::Completions | Format::Embeddings => self.counted(
                (&self.prompt_tokens, &self.prompt_tokens_details),
                (&self.completion_tokens, &self.completion_tokens_details),
            ),
        }
    }

    fn counted(
        &self,
        input: (&Lenient<u64>, &Lenient<Details>),
        output: (&Lenient<u64>, &Lenient<Details>),
    ) -> Option<Usage> {
        (input.0.0.or(output.0.0))?;
        Some(Usage {
            input: input.0.0.unwrap_or(0),
            output: output.0.0.unwrap_or(0),
            cached_input: input.1.0.as_ref().and_then(|details| details.cached_tokens.0).unwrap_or(0),
            reasoning: output.1.0.as_ref().and_then(|details| details.reasoning_tokens.0).unwrap_or(0),
        })
    }

    fn of_messages(&self) -> Option<Usage> {
        let usage = self.counted(
            (&self.input_tokens, &self.input_tokens_details),
            (&self.output_tokens, &self.output_tokens_details),
        )?;
        let read = self.cache_read_input_tokens.0.unwrap_or(0);
        let written = self.cache_creation_input_tokens.0.unwrap_or(0);
        Some(Usage {
            input: usage.input.saturating_add(read).saturating_add(written),
            cached_input: read,
            ..usage
        })
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            reasoning: self.reasoning.saturating_add(other.reasoning),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(attempts: I) -> Self {
        attempts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_each_format() {
        let openai = r#"{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
            "prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":4,"accepted_prediction_tokens":0}}"#;
        let responses = r#"{"input_tokens":36,"input_tokens_details":{"cached_tokens":3},"output_tokens":87,
            "output_tokens_details":{"reasoning_tokens":64},"total_tokens":123}"#;
        let anthropic = r#"{"input_tokens":2095,"cache_creation_input_tokens":100,"cache_read_input_tokens":900,
            "output_tokens":503,"output_tokens_details":{"thinking_tokens":200},"service_tier":"standard"}"#;
        let usage =
            |input, output, cached_input, reasoning| Some(Usage { input, output, cached_input, reasoning });
        let cases = [
            (Format::Chat, openai, usage(19, 10, 8, 4)),
            (Format::Completions, openai, usage(19, 10, 8, 4)),
            (Format::Embeddings, r#"{"prompt_tokens":8,"total_tokens":8}"#, usage(8, 0, 0, 0)),
            (Format::Responses, responses, usage(36, 87, 3, 64)),
            (Format::Messages, anthropic, usage(3095, 503, 900, 200)),
            (Format::Messages, r#"{"output_tokens":5}"#, usage(0, 5, 0, 0)),
            (Format::Chat, r#"{"prompt_tokens":7,"prompt_tokens_details":null}"#, usage(7, 0, 0, 0)),
            (Format::Chat, r#"{"prompt_tokens":"7","completion_tokens":-1}"#, None),
            (Format::Chat, anthropic, None),
            (Format::Responses, "{}", None),
        ];
        for (format, json, expected) in cases {
            let wire: WireUsage = serde_json::from_str(json).unwrap();
            assert_eq!(wire.normalised(format), expected, "{format:?} {json}");
        }
    }

    #[test]
    fn attempts_add_up() {
        let one = Usage { input: 10, output: 2, cached_input: 4, reasoning: 1 };
        let full = Usage { input: u64::MAX, ..one };
        assert_eq!(
            [one, one].into_iter().sum::<Usage>(),
            Usage { input: 20, output: 4, cached_input: 8, reasoning: 2 }
        );
        assert_eq!((full + one).input, u64::MAX);
    }
}
