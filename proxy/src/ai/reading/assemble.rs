//! Follows a stream, event by event, and knows at the end what it said.

use serde::de::IgnoredAny;

use super::assembled::Assembled;
use super::draft::Draft;
use super::event::Event;
use super::{Format, ProviderError, Usage, stream_chat, stream_messages, stream_responses};

/// The reader of one stream.
#[derive(Debug)]
pub struct Assembler {
    format: Format,
    expected: usize,
    draft: Draft,
    malformed: u64,
}

/// What an event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// No event to clients: a comment, say.
    Nothing,
    /// Part of the answer, or something unknown that may be.
    Part,
    /// The stream's own end: `[DONE]`, `message_stop`, a final response.
    End,
    /// An error: [`Assembler::error`] has it.
    Error,
    /// Its data is no JSON. Clients would break on it.
    Malformed,
}

impl Assembler {
    /// A reader for a stream of `expected` choices (`n` of the request, times the prompts of
    /// `completions`), whose message may hold `max` bytes of text. Names and reasons take up to some
    /// hundred kilobytes besides, with the most choices and tool calls that are followed.
    #[must_use]
    pub fn new(format: Format, expected: usize, max: usize) -> Self {
        Self { format, expected: expected.max(1), draft: Draft::new(max), malformed: 0 }
    }

    /// Reads the next event.
    pub fn read(&mut self, event: &Event) -> Read {
        event.data().map_or(Read::Nothing, |data| self.read_data(event.name(), data))
    }

    /// The error that the stream reported.
    #[must_use]
    pub fn error(&self) -> Option<&ProviderError> {
        self.draft.error.as_ref()
    }

    /// What was used, as far as it was reported.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.draft.usage
    }

    /// The model that answers.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.draft.model.as_deref()
    }

    /// Whether all expected choices, and all that were begun, have ended.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.draft.finished(self.expected)
    }

    /// Whether the stream's own end was seen.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.draft.ended
    }

    /// The text so far, as long as it is all that was said: a single choice without tool calls and
    /// refusals, nothing cut for memory. Only such a text can be continued by another model.
    #[must_use]
    pub fn plain_text(&self) -> Option<&str> {
        self.draft.plain_text()
    }

    /// What the stream said.
    #[must_use]
    pub fn finish(self) -> Assembled {
        self.draft.assemble(self.expected, self.malformed)
    }

    fn read_data(&mut self, name: Option<&str>, data: &[u8]) -> Read {
        if data.starts_with(b"[DONE]") {
            self.draft.ended = true;
            return Read::End;
        }
        let error_before = self.draft.error.is_some();
        let ended_before = self.draft.ended;
        let read = match self.format {
            Format::Chat | Format::Completions => stream_chat::read(&mut self.draft, name, data),
            Format::Responses => stream_responses::read(&mut self.draft, name, data),
            Format::Messages => stream_messages::read(&mut self.draft, name, data),
            Format::Embeddings => false,
        };
        if !read {
            return self.read_unknown(name, data);
        }
        match (self.draft.error.is_some() && !error_before, self.draft.ended && !ended_before) {
            (true, _) => Read::Error,
            (false, true) => Read::End,
            (false, false) => Read::Part,
        }
    }

    /// Data of an unexpected shape. An event that is named `error` is one, even without JSON.
    fn read_unknown(&mut self, name: Option<&str>, data: &[u8]) -> Read {
        if let Some(error) = ProviderError::in_event(name, data) {
            self.draft.error = Some(error);
            return Read::Error;
        }
        let json =
            std::str::from_utf8(data).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        if json {
            return Read::Part;
        }
        self.malformed += 1;
        Read::Malformed
    }
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
