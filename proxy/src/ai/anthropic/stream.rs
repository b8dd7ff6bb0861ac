//! A stream of Anthropic's becomes a stream of chat completion chunks, event by event.

use bytes::Bytes;

use super::chunk::{ChatUsage, Chunk, ChunkChoice, Delta, finish_reason};
use crate::ai::reading::messages_event::{Block, BlockDelta, StreamEvent};
use crate::ai::reading::usage::WireUsage;
use crate::ai::reading::{Event, Format, ProviderError};

const DONE: &[u8] = b"data: [DONE]\n\n";

/// What every chunk of a stream carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id of the completion.
    pub id: String,
    /// The model that answers.
    pub model: String,
}

/// The translator of one stream.
#[derive(Debug)]
pub struct StreamTranslator {
    created: u64,
    include_usage: bool,
    /// Known from the first event on, or taken over from an earlier stream.
    identity: Option<Identity>,
    state: State,
    counts: WireUsage,
    finished: bool,
    /// Calls begun so far.
    calls: u32,
    /// The call whose block is open.
    open: Option<OpenCall>,
    /// White space that the client has already, and that the text may begin with.
    known: String,
}

/// What comes out for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: a `ping`, thinking, the end of a text.
    Nothing,
    /// Chunks to send on.
    Chunks(Bytes),
    /// The last chunks, with `[DONE]`.
    End(Bytes),
    /// The provider failed.
    Error(ProviderError),
    /// The event is no JSON. The stream may go on without it.
    Malformed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The chunk with the role was not sent yet.
    Silent,
    Speaking,
    Over,
}

#[derive(Debug)]
struct OpenCall {
    index: u32,
    /// Whether any arguments were sent on.
    has_arguments: bool,
    /// Arguments that came with the beginning of the block, where they come at once.
    input: String,
}

impl StreamTranslator {
    /// A translator for a new stream, `created` in seconds since 1970. With `include_usage` the
    /// chunks have a `usage`, and one more chunk has the numbers.
    #[must_use]
    pub fn new(created: u64, include_usage: bool) -> Self {
        Self {
            created,
            include_usage,
            identity: None,
            state: State::Silent,
            counts: WireUsage::default(),
            finished: false,
            calls: 0,
            open: None,
            known: String::new(),
        }
    }

    /// A translator for a stream that goes on where another broke off: under its identity, without
    /// the chunk that names the role, and without the white space `trimmed` off the prefill (see
    /// [`TranslatedRequest`](super::TranslatedRequest)) as far as the text repeats it.
    #[must_use]
    pub fn resume(identity: Identity, trimmed: String, created: u64, include_usage: bool) -> Self {
        let (identity, state) = (Some(identity), State::Speaking);
        Self { identity, state, known: trimmed, ..Self::new(created, include_usage) }
    }

    /// What the chunks carry, once it is known.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// What the chunks say of when the stream began, in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Translates the next event. After the end and after an error nothing comes out any more.
    pub fn translate(&mut self, event: &Event) -> Step {
        let Some(data) = event.data().filter(|_| self.state != State::Over) else { return Step::Nothing };
        let parsed: StreamEvent<'_> = match serde_json::from_slice(data) {
            Ok(parsed) => parsed,
            Err(_) => return self.fail(event).unwrap_or(Step::Malformed),
        };
        let mut out = Vec::new();
        match parsed.kind.text() {
            Some("message_start") => self.start(parsed, &mut out),
            Some("content_block_start") => {
                if let Some(block) = parsed.content_block.0 {
                    self.begin_block(&block, &mut out);
                }
            }
            Some("content_block_delta") => {
                if let Some(delta) = parsed.delta.0 {
                    self.delta(&delta, &mut out);
                }
            }
            Some("content_block_stop") => self.end_block(&mut out),
            Some("message_delta") => self.end_message(parsed, &mut out),
            Some("message_stop") => return self.stop(out),
            _ => return self.fail(event).unwrap_or(Step::Nothing),
        }
        if out.is_empty() { Step::Nothing } else { Step::Chunks(out.into()) }
    }

    fn start(&mut self, event: StreamEvent<'_>, out: &mut Vec<u8>) {
        if let Some(message) = event.message.0 {
            let (id, model) = (message.id.string(), message.model.string());
            self.identity.get_or_insert_with(|| Identity {
                id: id.unwrap_or_default(),
                model: model.unwrap_or_default(),
            });
            self.counts.replace(message.usage.0.unwrap_or_default());
        }
        self.speak(out);
    }

    fn begin_block(&mut self, block: &Block<'_>, out: &mut Vec<u8>) {
        match block.kind.text() {
            Some("text") => self.text(block.text.text(), out),
            Some("tool_use") => {
                let index = self.calls;
                self.calls += 1;
                let input = block.input.map_or("{}", |input| input.get()).to_owned();
                self.open = Some(OpenCall { index, has_arguments: false, input });
                let (id, name) = (block.id.text().unwrap_or_default(), block.name.text().unwrap_or_default());
                self.write(Delta::call(index, id, name), None, out);
            }
            _ => {}
        }
    }

    fn delta(&mut self, delta: &BlockDelta, out: &mut Vec<u8>) {
        self.text(delta.text.text(), out);
        let arguments = delta.partial_json.text().filter(|arguments| !arguments.is_empty());
        if let (Some(arguments), Some(call)) = (arguments, &mut self.open) {
            call.has_arguments = true;
            let index = call.index;
            self.write(Delta::arguments(index, arguments), None, out);
        }
    }

    /// A call without arguments has none in Anthropic's stream; OpenAI's clients expect JSON.
    fn end_block(&mut self, out: &mut Vec<u8>) {
        if let Some(call) = self.open.take().filter(|call| !call.has_arguments) {
            self.write(Delta::arguments(call.index, &call.input), None, out);
        }
    }

    fn end_message(&mut self, event: StreamEvent<'_>, out: &mut Vec<u8>) {
        self.counts.replace(event.usage.0.unwrap_or_default());
        if let Some(reason) = event.delta.0.as_ref().and_then(|delta| delta.stop_reason.text()) {
            self.finish(finish_reason(reason), out);
        }
    }

    fn finish(&mut self, reason: &'static str, out: &mut Vec<u8>) {
        if !self.finished {
            self.finished = true;
            self.write(Delta::default(), Some(reason), out);
        }
    }

    fn stop(&mut self, mut out: Vec<u8>) -> Step {
        self.finish("stop", &mut out);
        if self.include_usage {
            let usage = self.counts.normalised(Format::Messages).unwrap_or_default();
            self.write_chunk(Vec::new(), Some(Some(usage.into())), &mut out);
        }
        out.extend_from_slice(DONE);
        self.state = State::Over;
        Step::End(out.into())
    }

    fn fail(&mut self, event: &Event) -> Option<Step> {
        let error = ProviderError::in_event(event.name(), event.data()?)?;
        self.state = State::Over;
        Some(Step::Error(error))
    }

    fn text(&mut self, text: Option<&str>, out: &mut Vec<u8>) {
        let text = text.map(|text| self.skip_known(text)).unwrap_or_default();
        if !text.is_empty() {
            self.write(Delta::content(text), None, out);
        }
    }

    /// What `text` has beyond what is known. With the first new character nothing is known any more.
    fn skip_known<'a>(&mut self, text: &'a str) -> &'a str {
        let pairs = text.chars().zip(self.known.chars());
        let same: usize = pairs.take_while(|(new, known)| new == known).map(|(new, _)| new.len_utf8()).sum();
        if same < text.len() {
            self.known.clear();
        } else {
            self.known.drain(..same);
        }
        text.get(same..).unwrap_or_default()
    }

    /// The chunk with the role comes first.
    fn speak(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Silent {
            self.state = State::Speaking;
            self.write(Delta::role(), None, out);
        }
    }

    fn write(&mut self, delta: Delta<'_>, finish_reason: Option<&'static str>, out: &mut Vec<u8>) {
        self.speak(out);
        let choice = ChunkChoice { index: 0, delta, logprobs: None, finish_reason };
        self.write_chunk(vec![choice], self.include_usage.then_some(None), out);
    }

    fn write_chunk(
        &self,
        choices: Vec<ChunkChoice<'_>>,
        usage: Option<Option<ChatUsage>>,
        out: &mut Vec<u8>,
    ) {
        let (id, model) = self.identity.as_ref().map_or(("", ""), |known| (&known.id, &known.model));
        let object = "chat.completion.chunk";
        let chunk = Chunk { id, object, created: self.created, model, choices, usage };
        if let Ok(json) = serde_json::to_vec(&chunk) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&json);
            out.extend_from_slice(b"\n\n");
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
