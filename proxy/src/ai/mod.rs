//! The gateway to providers of language models.
//!
//! [`reading`] understands what providers answer; [`anthropic`] lets clients that speak
//! `chat/completions` be answered by Anthropic's `messages`.

pub mod anthropic;
pub mod reading;
