//! Translation between OpenAI's `chat/completions` and Anthropic's `messages`.
//!
//! A request becomes a `messages` request with [`translate_request`], or an [`Untranslatable`] that
//! names the field which Anthropic has no counterpart for. What comes back is translated by
//! [`translate_answer`], event by event by [`StreamTranslator`], and by [`OpenAiError`] if it is an
//! error. Nothing here touches the network. Facts about the wire are those of Anthropic's API
//! reference and its official SDK 2.13.

mod answer;
mod block;
mod chunk;
mod content;
mod error;
mod fields;
mod headers;
mod image;
mod message;
mod request;
mod sampling;
mod stream;
mod tools;
mod turns;
mod unsupported;
mod wire;

pub use answer::{NotAMessage, translate_answer};
pub use error::OpenAiError;
pub use fields::Untranslatable;
pub use headers::{BETA, REQUEST_ID, VERSION, set_headers};
pub use request::{Target, TranslatedRequest, translate_request};
pub use stream::{Identity, Step, StreamTranslator};
