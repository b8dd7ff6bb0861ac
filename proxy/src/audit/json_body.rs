//! Bodies as records show them: JSON as JSON, other text as a string, binary ones as base 64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
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
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    RawValue::from_string(on_one_line(text)).ok()
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
    let (mut inside, mut escaped) = (false, false);
    text.chars()
        .filter(|character| {
            let keep = inside || !matches!(character, ' ' | '\t' | '\n' | '\r');
            if escaped {
                escaped = false;
            } else if *character == '"' {
                inside = !inside;
            } else {
                escaped = inside && *character == '\\';
            }
            keep
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_text_base_64_or_nothing() {
        let cases: [(&[u8], bool, bool, Option<&str>); 9] = [
            (
                b"{ \"a\" : [1.50, \" x \\\" y \"],\n\"a\":2 }",
                false,
                false,
                Some(r#"{"a":[1.50," x \" y "],"a":2}"#),
            ),
            (b"123456789012345678901234567890", false, false, Some("123456789012345678901234567890")),
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
