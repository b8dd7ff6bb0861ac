//! What a provider's answer says: who answered, what it used, how it ended, and what went wrong.
//!
//! Pure functions and state machines over bytes, for every wire format that the gateway knows. A
//! stream goes through [`Splitter`], which cuts it into events without changing a byte; each event
//! is forwarded as it came and shown to an [`Assembler`], which has the message, the usage and the
//! finish reasons at the end. A plain answer is read by [`Answer::read`], an error by
//! [`ProviderError::read`]. Reading never decides whether bytes are forwarded: what cannot be
//! understood is simply not known.

mod answer;
mod assemble;
mod assembled;
mod cost;
mod draft;
mod error_kind;
mod event;
pub(crate) mod lenient;
mod line_scan;
pub(crate) mod messages_event;
mod provider_error;
mod sse;
mod stream_chat;
mod stream_messages;
mod stream_responses;
pub(crate) mod usage;

pub use answer::Answer;
pub use assemble::{Assembler, Read};
pub use assembled::{Assembled, Function, Message, ToolCall};
pub use cost::{Cost, InvalidRate, Price, Rate};
pub use error_kind::ErrorKind;
pub use event::Event;
pub use provider_error::ProviderError;
pub use sse::{EventTooLarge, Last, Splitter};
pub use usage::Usage;

/// The wire format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `chat/completions`
    Chat,
    /// `completions`, the old text interface
    Completions,
    /// `embeddings`; never a stream
    Embeddings,
    /// `responses`
    Responses,
    /// Anthropic's `messages`
    Messages,
}
