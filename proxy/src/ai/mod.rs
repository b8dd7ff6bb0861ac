//! The AI gateway: calls of OpenAI's and Anthropic's SDKs, routed to providers with fallback, their
//! answers streamed through untouched, each with a record in the [`ledger`].

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
