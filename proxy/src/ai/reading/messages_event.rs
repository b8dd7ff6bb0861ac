//! The events of Anthropic's streams, for those who read them and those who translate them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Lenient, Text};
use super::usage::WireUsage;

/// Any event: which fields it has depends on its type.
#[derive(Deserialize)]
pub(crate) struct StreamEvent<'a> {
    #[serde(default, rename = "type")]
    pub(crate) kind: Lenient<Text>,
    /// Which block of content it is about.
    #[serde(default)]
    pub(crate) index: Lenient<u32>,
    #[serde(default)]
    pub(crate) message: Lenient<MessageStart>,
    #[serde(default, borrow)]
    pub(crate) content_block: Lenient<Block<'a>>,
    #[serde(default)]
    pub(crate) delta: Lenient<BlockDelta>,
    #[serde(default)]
    pub(crate) usage: Lenient<WireUsage>,
}

/// The beginning of a message.
#[derive(Deserialize)]
pub(crate) struct MessageStart {
    #[serde(default)]
    pub(crate) id: Lenient<Text>,
    #[serde(default)]
    pub(crate) model: Lenient<Text>,
    #[serde(default)]
    pub(crate) role: Lenient<Text>,
    #[serde(default)]
    pub(crate) usage: Lenient<WireUsage>,
}

/// The beginning of a block of content.
#[derive(Deserialize)]
pub(crate) struct Block<'a> {
    #[serde(default, rename = "type")]
    pub(crate) kind: Lenient<Text>,
    #[serde(default)]
    pub(crate) id: Lenient<Text>,
    #[serde(default)]
    pub(crate) name: Lenient<Text>,
    #[serde(default)]
    pub(crate) text: Lenient<Text>,
    #[serde(default, borrow)]
    pub(crate) input: Option<&'a RawValue>,
}

/// More of a block, or the end of the message.
#[derive(Deserialize)]
pub(crate) struct BlockDelta {
    #[serde(default)]
    pub(crate) text: Lenient<Text>,
    #[serde(default)]
    pub(crate) partial_json: Lenient<Text>,
    #[serde(default)]
    pub(crate) stop_reason: Lenient<Text>,
}
