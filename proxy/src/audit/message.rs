//! The message that the events of a stream amount to.

use bytes::Bytes;
use serde_json::Value;

use super::contents::Format;
use crate::ai::reading::{self, Assembler, Splitter};

/// More than this is not assembled of one stream.
const MAX: usize = 16 * 1024 * 1024;

/// The message in the text of a stream; nothing if it is none of a known format.
#[must_use]
pub fn assemble(format: Format, text: &Bytes) -> Option<Value> {
    let format = match format {
        Format::Chat => reading::Format::Chat,
        Format::Completions => reading::Format::Completions,
        Format::Responses => reading::Format::Responses,
        Format::Messages => reading::Format::Messages,
        Format::Other => return None,
    };
    let mut assembler = Assembler::new(format, 0, MAX);
    let (mut splitter, mut rest) = (Splitter::new(MAX), text.clone());
    while let Ok(Some(event)) = splitter.next_event(&mut rest) {
        assembler.read(&event);
    }
    serde_json::to_value(assembler.finish().message?).ok()
}
