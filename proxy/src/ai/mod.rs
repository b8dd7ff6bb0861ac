//! The AI gateway: calls of OpenAI's and Anthropic's SDKs, routed to providers with fallback, their
//! answers streamed through untouched, each with a record in the [`ledger`].
//!
//! A request that belongs to the gateway ([`route`]) is served by `call` with what [`snapshot`]
//! made ready of the configuration: [`keys`] tells who calls, [`body`] what for, [`attempts`] whom
//! to ask and what follows on failure; [`upstream`] asks, [`stream`] passes on what comes by and by.
//! [`reading`] understands what providers answer; [`anthropic`] lets clients that speak
//! `chat/completions` be answered by Anthropic's `messages`.

pub mod anthropic;
pub mod attempts;
pub mod body;
pub mod buffers;
pub(crate) mod call;
pub mod errors;
pub mod gateway;
pub mod json;
pub mod keys;
pub mod ledger;
pub mod metrics;
pub mod multipart;
pub mod reading;
pub mod route;
pub mod snapshot;
pub mod stream;
pub mod upstream;
