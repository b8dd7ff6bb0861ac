//! Bodies as records show them: JSON as JSON, other text as a string, binary ones as base 64.

use std::iter;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr2;
use serde_json::value::{RawValue, to_raw_value};

/// Readers of records give up on JSON that is nested 128 levels deep, and a body begins two levels deep in a record.
const MAX_DEPTH: usize = 125;

/// A body as a JSON value; nothing if it is empty or no text.
#[must_use]
pub fn show(bytes: &[u8], truncated: bool, binary: bool) -> Option<Box<RawValue>> {
    if bytes.is_empty() {
        return None;
    }
    if binary {
        return to_raw_value(&STANDARD.encode(bytes)).ok();
    }
    let text = text(bytes, truncated)?;
    as_json(text).or_else(|| to_raw_value(text).ok())
}

/// Text that is one JSON value, on one line; every other byte of it stays as it came. What a reader of records might not
/// get over is none.
fn as_json(text: &str) -> Option<Box<RawValue>> {
    let value: &RawValue = serde_json::from_str(text).ok()?;
    if !is_readable(value.get()) {
        return None;
    }
    let line = on_one_line(value.get());
    // Most clients send no white space: then it need not be parsed again.
    if line.len() == value.get().len() {
        return Some(value.to_owned());
    }
    RawValue::from_string(line).ok()
}

/// A limit may cut the last character in two; only whole text is text.
fn text(bytes: &[u8], truncated: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let cut = truncated && error.error_len().is_none();
            let whole = bytes.get(..error.valid_up_to()).filter(|_| cut)?;
            std::str::from_utf8(whole).ok()
        }
    }
}

/// Whether JSON is not nested too deeply, and its strings are text: no half of a character beyond U+FFFF is escaped
/// without the other.
fn is_readable(json: &str) -> bool {
    let mut depth = 0_usize;
    strings(json).all(|(between, string)| {
        let is_shallow = between.bytes().all(|byte| {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth <= MAX_DEPTH
        });
        is_shallow && (!string.contains(r"\u") || serde_json::from_str::<String>(string).is_ok())
    })
}

/// JSON without the white space between its tokens.
fn on_one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for (between, string) in strings(json) {
        line.extend(between.split_ascii_whitespace());
        line.push_str(string);
    }
    line
}

/// The strings of JSON with their quotation marks, each with what is before it; behind the last one there may be none.
fn strings(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = json;
    iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (between, from) = rest.split_at_checked(rest.find('"').unwrap_or(rest.len()))?;
        let (string, after) = from.split_at_checked(end_of_string(from))?;
        rest = after;
        Some((between, string))
    })
}

/// Where a string ends with which a text begins, its quotation marks included.
fn end_of_string(text: &str) -> usize {
    let mut at = 1;
    while let Some(found) = text.as_bytes().get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text.as_bytes().get(at) == Some(&b'"') {
            return at + 1;
        }
        // What is escaped is no end.
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_text_base_64_or_nothing() {
        let cases: [(&[u8], bool, bool, Option<&str>); 16] = [
            (
                b"{ \"a\" : [1.50, \" x \\\" y \"],\n\"a\":2 }",
                false,
                false,
                Some(r#"{"a":[1.50," x \" y "],"a":2}"#),
            ),
            (b"123456789012345678901234567890", false, false, Some("123456789012345678901234567890")),
            (b" [ \"\\\\\" , \"\\u00e9 \xc3\xa9\" ] ", false, false, Some("[\"\\\\\",\"\\u00e9 \u{e9}\"]")),
            (
                b"{\"\\ud83d\\ude00\":[\"\\u005c\", 1e999]}",
                false,
                false,
                Some(r#"{"\ud83d\ude00":["\u005c",1e999]}"#),
            ),
            (b"[\"\\ud83d\"]", false, false, Some(r#""[\"\\ud83d\"]""#)),
            (b"{\"\\ude00\\ud83d\":1}", false, false, Some(r#""{\"\\ude00\\ud83d\":1}""#)),
            (br#"["\\\\ud83d"]"#, false, false, Some(r#"["\\\\ud83d"]"#)),
            (b"1 2", false, false, Some("\"1 2\"")),
            (b"\"\\", false, false, Some("\"\\\"\\\\\"")),
            (b"{\"cut", true, false, Some(r#""{\"cut""#)),
            (b"plain \x01", false, false, Some(r#""plain \u0001""#)),
            (b"\xff\xfe\x00\x01", false, false, None),
            (b"cut \xc3", true, false, Some(r#""cut ""#)),
            (b"cut \xc3", false, false, None),
            (b"\x00\x01", false, true, Some(r#""AAE=""#)),
            (b"", false, false, None),
        ];
        for (bytes, truncated, binary, expected) in cases {
            let shown = show(bytes, truncated, binary);
            assert_eq!(shown.as_deref().map(RawValue::get), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_to_be_read_within_a_record_is_a_string() {
        for (depth, is_json) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false), (10_000, false)] {
            let body = format!("{}\"[\"{}", "[".repeat(depth), "]".repeat(depth));
            let shown = show(body.as_bytes(), false, false).unwrap();
            let record = format!(r#"{{"request":{{"body":{shown}}}}}"#);
            let record: serde_json::Value = serde_json::from_str(&record).unwrap();
            assert_eq!(record["request"]["body"].is_array(), is_json, "{depth}");
        }
        let wide = format!("[{}[]]", "[],".repeat(1000));
        assert_eq!(show(wide.as_bytes(), false, false).unwrap().get(), wide);
    }
}
