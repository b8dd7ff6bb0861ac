//! Events of Anthropic's `messages`.

use super::ProviderError;
use super::draft::Draft;
use super::messages_event::{Block, BlockDelta, MessageStart, StreamEvent};

/// Reads one event into the draft. False if its shape is not that of an event.
pub(super) fn read(draft: &mut Draft, name: Option<&str>, data: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<StreamEvent<'_>>(data) else { return false };
    let index = event.index.0.unwrap_or(0);
    match event.kind.text() {
        Some("message_start") => read_start(draft, event.message.0),
        Some("content_block_start") => read_block(draft, index, event.content_block.0),
        Some("content_block_delta") => read_delta(draft, index, event.delta.0),
        Some("message_delta") => {
            if let Some(usage) = event.usage.0 {
                draft.add_counts(usage);
            }
            if let Some(reason) = event.delta.0.as_ref().and_then(|delta| delta.stop_reason.text()) {
                draft.finish(0, reason);
            }
        }
        Some("message_stop") => draft.ended = true,
        Some("ping" | "content_block_stop") => {}
        _ => draft.error = ProviderError::in_event(name, data).or(draft.error.take()),
    }
    true
}

fn read_start(draft: &mut Draft, start: Option<MessageStart>) {
    let Some(start) = start else { return };
    draft.set_model(start.model.text());
    draft.begin(0, start.role.text());
    if let Some(usage) = start.usage.0 {
        draft.add_counts(usage);
    }
}

fn read_block(draft: &mut Draft, index: u32, block: Option<Block<'_>>) {
    let Some(block) = block else { return };
    match block.kind.text() {
        Some("text") => draft.add_content(0, block.text.text().unwrap_or_default()),
        Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {
            draft.name_tool(0, index, block.id.text(), block.name.text());
        }
        _ => {}
    }
}

fn read_delta(draft: &mut Draft, index: u32, delta: Option<BlockDelta>) {
    let Some(delta) = delta else { return };
    if let Some(text) = delta.text.text() {
        draft.add_content(0, text);
    }
    if let Some(text) = delta.partial_json.text() {
        draft.add_arguments(0, index, text);
    }
}
