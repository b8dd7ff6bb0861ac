//! Takes out of a stream what only we asked for: the chunk that reports usage, and the `usage: null`
//! of all others.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use crate::ai::json;
use crate::ai::reading::Event;

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// It says nothing of usage.
    AsIs,
    /// It says nothing else.
    Not,
    /// It says so beside other things.
    Without(Bytes),
}

/// Decides on an event of chat/completions or completions.
#[must_use]
pub fn hide(event: &Event) -> Shown {
    let Some(data) = event.data() else { return Shown::AsIs };
    if memmem::find(data, b"\"usage\"").is_none() {
        return Shown::AsIs;
    }
    let Ok([choices, Some(usage)]) = json::find(data, ["choices", "usage"]) else { return Shown::AsIs };
    if !json::is_null(usage) {
        let alone = choices.is_none_or(json::is_empty_array);
        return if alone { Shown::Not } else { Shown::AsIs };
    }
    let entry = entry(data, &json::span(data, usage));
    let raw = event.raw();
    let offset = data.as_ptr().addr().checked_sub(raw.as_ptr().addr());
    let within = offset.filter(|offset| raw.get(*offset..*offset + data.len()) == Some(data));
    let mut shown = BytesMut::with_capacity(raw.len());
    match within {
        Some(offset) => {
            shown.extend_from_slice(raw.get(..offset + entry.start).unwrap_or_default());
            shown.extend_from_slice(raw.get(offset + entry.end..).unwrap_or_default());
        }
        // Of several lines: written anew in one.
        None => {
            shown.extend_from_slice(b"data: ");
            let rest = [data.get(..entry.start), data.get(entry.end..)].map(Option::unwrap_or_default);
            shown.extend(rest.concat().into_iter().map(|byte| if byte == b'\n' { b' ' } else { byte }));
            shown.extend_from_slice(b"\n\n");
        }
    }
    Shown::Without(shown.freeze())
}

/// The key of a value with the value and one comma.
fn entry(data: &[u8], value: &Range<usize>) -> Range<usize> {
    let before = data.get(..value.start).unwrap_or_default();
    // The key is the last text before its value, however it is written.
    let quote = before.iter().rposition(|byte| *byte == b'"').unwrap_or(0);
    let key = before.get(..quote).unwrap_or_default().iter().rposition(|byte| *byte == b'"').unwrap_or(quote);
    let lead = data.get(..key).unwrap_or_default().trim_ascii_end();
    if lead.ends_with(b",") {
        return lead.len() - 1..value.end;
    }
    let tail = data.get(value.end..).unwrap_or_default();
    let blank = tail.len() - tail.trim_ascii_start().len();
    let comma = usize::from(tail.get(blank) == Some(&b','));
    key..value.end + blank * comma + comma
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai::reading::Splitter;

    fn shown(text: &str) -> Option<String> {
        let mut chunk = Bytes::copy_from_slice(text.as_bytes());
        let event = Splitter::new(1024).next_event(&mut chunk).unwrap().unwrap();
        match hide(&event) {
            Shown::AsIs => Some(text.to_owned()),
            Shown::Not => None,
            Shown::Without(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        }
    }

    #[test]
    fn usage_is_hidden() {
        let cases = [
            (r#"data: {"choices":[{}]}"#, Some(r#"data: {"choices":[{}]}"#)),
            (r#"data: {"choices":[{}],"usage":null}"#, Some(r#"data: {"choices":[{}]}"#)),
            (r#"data:{"usage" : null , "choices":[{}]}"#, Some(r#"data:{ "choices":[{}]}"#)),
            (r#"data: {"id":1, "usage": null, "choices":[{}]}"#, Some(r#"data: {"id":1, "choices":[{}]}"#)),
            (r#"data: {"usage":null}"#, Some("data: {}")),
            (r#"data: {"choices":[],"usage":{"prompt_tokens":1}}"#, None),
            (r#"data: {"choices":[ ],"usage":{}}"#, None),
            (r#"data: {"usage":{}}"#, None),
            (r#"data: {"choices":[{"x":1}],"usage":{}}"#, Some(r#"data: {"choices":[{"x":1}],"usage":{}}"#)),
            (
                r#"data: {"choices":[{"delta":{"content":"\"usage\":null"}}]}"#,
                Some(r#"data: {"choices":[{"delta":{"content":"\"usage\":null"}}]}"#),
            ),
            ("data: {\"a\":1,\ndata: \"usage\":null}", Some("data: {\"a\":1}")),
            (": usage", Some(": usage")),
            ("data: [DONE]", Some("data: [DONE]")),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|expected| format!("{expected}\n\n"));
            assert_eq!(shown(&format!("{text}\n\n")), expected, "{text}");
        }
    }
}
