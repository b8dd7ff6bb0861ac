//! Each line holds the hash of the one before it.

use super::hash::Hash;

const MEMBER: &[u8] = br#""prev":""#;
const CLOSE: &[u8] = br#""}"#;
/// The longest end of a line from which [`prev_of`] can tell its `prev`.
pub(crate) const TAIL: usize = MEMBER.len() + 64 + CLOSE.len();

/// The line that is shipped for an object: with the hash of the line before it.
pub(crate) fn link(object: Vec<u8>, prev: Hash) -> Vec<u8> {
    let mut line = if is_object(&object) { object } else { malformed(&object) };
    line.truncate(line.trim_ascii_end().len());
    line.pop();
    line.truncate(line.trim_ascii_end().len());
    if line.len() > 1 {
        line.push(b',');
    }
    line.extend_from_slice(MEMBER);
    line.extend_from_slice(prev.to_string().as_bytes());
    line.extend_from_slice(CLOSE);
    line
}

/// What a line, of which at least the end is given, says of the line before it.
pub(crate) fn prev_of(line: &[u8]) -> Option<Hash> {
    let digits = line.strip_suffix(CLOSE)?;
    let (before, digits) = digits.split_at_checked(digits.len().checked_sub(64)?)?;
    before.ends_with(MEMBER).then(|| Hash::from_hex(digits))?
}

/// Whether it may become a line: looked at from outside, for what is inside is the assembler's affair.
fn is_object(bytes: &[u8]) -> bool {
    bytes.starts_with(b"{")
        && bytes.trim_ascii_end().ends_with(b"}")
        && !bytes.trim_ascii_end().contains(&b'\n')
}

fn malformed(bytes: &[u8]) -> Vec<u8> {
    tracing::error!(bytes = bytes.len(), "a record did not become a JSON object on one line");
    format!(r#"{{"malformed":"{}"}}"#, hex::encode(bytes)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prev_is_the_last_member_of_whatever_comes() {
        let prev = Hash::of(b"before");
        let cases = [
            (&br#"{"a":1}"#[..], r#"{"a":1,"#),
            (b"{}", "{"),
            (b"{\"a\":{}} \n", r#"{"a":{},"#),
            (b"{ }", "{"),
            (b"no", r#"{"malformed":"6e6f","#),
            (b"", r#"{"malformed":"","#),
            (b"}", r#"{"malformed":"7d","#),
            (b"{\n}", r#"{"malformed":"7b0a7d","#),
        ];
        for (object, wanted) in cases {
            let line = String::from_utf8(link(object.to_vec(), prev)).unwrap();
            assert_eq!(line, format!(r#"{wanted}"prev":"{prev}"}}"#));
            assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
            assert_eq!(prev_of(line.as_bytes()), Some(prev));
        }
        assert_eq!(prev_of(br#"{"prev":"00"}"#), None);
    }
}
