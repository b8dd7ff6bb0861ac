//! Events of `responses`.

use serde::Deserialize;

use super::answer::Incomplete;
use super::draft::Draft;
use super::lenient::{Lenient, Text};
use super::usage::WireUsage;
use super::{Format, ProviderError};

#[derive(Deserialize)]
struct ResponseEvent {
    #[serde(default, rename = "type")]
    kind: Lenient<Text>,
    #[serde(default)]
    output_index: Lenient<u32>,
    #[serde(default)]
    delta: Lenient<Text>,
    #[serde(default)]
    item: Lenient<Item>,
    #[serde(default)]
    response: Lenient<Response>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default, rename = "type")]
    kind: Lenient<Text>,
    #[serde(default)]
    role: Lenient<Text>,
    #[serde(default)]
    call_id: Lenient<Text>,
    #[serde(default)]
    name: Lenient<Text>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    model: Lenient<Text>,
    #[serde(default)]
    status: Lenient<Text>,
    #[serde(default)]
    incomplete_details: Lenient<Incomplete>,
    #[serde(default)]
    usage: Lenient<WireUsage>,
}

/// Reads one event into the draft. False if its shape is not that of an event.
pub(super) fn read(draft: &mut Draft, name: Option<&str>, data: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<ResponseEvent>(data) else { return false };
    let index = event.output_index.0.unwrap_or(0);
    let delta = event.delta.text().unwrap_or_default();
    match event.kind.text() {
        Some("response.created" | "response.in_progress" | "response.queued") => {
            draft.set_model(event.response.0.as_ref().and_then(|response| response.model.text()));
        }
        Some("response.output_item.added") => read_item(draft, index, event.item.0),
        Some("response.output_text.delta") => draft.add_content(0, delta),
        Some("response.refusal.delta") => draft.add_refusal(0, delta),
        Some("response.function_call_arguments.delta" | "response.custom_tool_call_input.delta") => {
            draft.add_arguments(0, index, delta);
        }
        Some("response.completed" | "response.incomplete") => read_end(draft, event.response.0),
        Some("response.failed") => {
            read_end(draft, event.response.0);
            draft.error = ProviderError::in_event(name, data);
        }
        Some(kind) if kind.starts_with("response.") => {}
        _ => draft.error = ProviderError::in_event(name, data).or(draft.error.take()),
    }
    true
}

fn read_item(draft: &mut Draft, index: u32, item: Option<Item>) {
    let Some(item) = item else { return };
    match item.kind.text() {
        Some("message") => draft.begin(0, item.role.text()),
        Some("function_call" | "custom_tool_call") => {
            draft.name_tool(0, index, item.call_id.text(), item.name.text());
        }
        _ => {}
    }
}

fn read_end(draft: &mut Draft, response: Option<Response>) {
    draft.ended = true;
    let Some(response) = response else { return };
    draft.set_model(response.model.text());
    draft.usage = response.usage.0.and_then(|usage| usage.normalised(Format::Responses)).or(draft.usage);
    let incomplete = response.incomplete_details.0.and_then(|details| details.reason.string());
    if let Some(reason) = incomplete.or(response.status.string()) {
        draft.finish(0, &reason);
    }
}
