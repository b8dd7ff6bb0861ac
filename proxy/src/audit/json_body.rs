//! Bodies as records show them: JSON as JSON, other text as a string, binary ones as base 64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr2;
use serde_json::value::{RawValue, to_raw_value};

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

/// Text that is one JSON value, on one line; every other byte of it stays as it came.
fn as_json(text: &str) -> Option<Box<RawValue>> {
    let value: &RawValue = serde_json::from_str(text).ok()?;
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

/// JSON without the white space between its tokens.
fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((between, string)) = rest.split_once('"') {
        line.extend(between.split_ascii_whitespace());
        let (string, after) = string.split_at_checked(end_of_string(string)).unwrap_or((string, ""));
        line.push('"');
        line.push_str(string);
        rest = after;
    }
    line.extend(rest.split_ascii_whitespace());
    line
}

/// Where a string ends that begins before `text`, its quotation mark included.
fn end_of_string(text: &str) -> usize {
    let mut at = 0;
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
        let cases: [(&[u8], bool, bool, Option<&str>); 12] = [
            (
                b"{ \"a\" : [1.50, \" x \\\" y \"],\n\"a\":2 }",
                false,
                false,
                Some(r#"{"a":[1.50," x \" y "],"a":2}"#),
            ),
            (b"123456789012345678901234567890", false, false, Some("123456789012345678901234567890")),
            (b" [ \"\\\\\" , \"\\u00e9 \xc3\xa9\" ] ", false, false, Some("[\"\\\\\",\"\\u00e9 \u{e9}\"]")),
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
}
