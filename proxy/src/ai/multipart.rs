//! Finds the field `model` in a multipart body (RFC 7578), and where its value stands.

use std::ops::Range;

use memchr::memmem;

/// The boundary that a content type names.
#[must_use]
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut named = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, value) = named.find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let value = value.trim_matches('"');
    (1..=70).contains(&value.len()).then_some(value)
}

/// Where the value of a field stands; `None` if there is no such field.
///
/// # Errors
/// If the body does not consist of parts, or has the field twice.
pub fn field(body: &[u8], boundary: &str, name: &str) -> Result<Option<Range<usize>>, Broken> {
    let delimiter = format!("--{boundary}");
    let mut at = body.strip_prefix(b"\r\n").map_or(0, |_| 2);
    if !body.get(at..).unwrap_or_default().starts_with(delimiter.as_bytes()) {
        // A preamble, which nobody reads.
        at = memmem::find(body, format!("\r\n{delimiter}").as_bytes()).ok_or(Broken)? + 2;
    }
    let between = format!("\r\n{delimiter}");
    let finder = memmem::Finder::new(between.as_bytes());
    let mut found = None;
    loop {
        at += delimiter.len();
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(found);
        }
        let skipped = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if !rest.get(skipped..).unwrap_or_default().starts_with(b"\r\n") {
            return Err(Broken);
        }
        at += skipped;
        let rest = body.get(at..).unwrap_or_default();
        let headers = memmem::find(rest, b"\r\n\r\n").ok_or(Broken)?;
        let value = at + headers + 4;
        // A part without content ends with the line break of its headers.
        let end = value - 2 + finder.find(body.get(value - 2..).unwrap_or_default()).ok_or(Broken)?;
        let named = is_named(rest.get(..headers).unwrap_or_default(), name);
        if named && found.replace(value..end.max(value)).is_some() {
            return Err(Broken);
        }
        at = end + 2;
    }
}

/// The body is not what it says, or can be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

fn is_named(headers: &[u8], name: &str) -> bool {
    let text = String::from_utf8_lossy(headers);
    text.split("\r\n").any(|line| {
        let Some((field, value)) = line.split_once(':') else { return false };
        field.trim().eq_ignore_ascii_case("content-disposition")
            && value.split(';').filter_map(|part| part.trim().split_once('=')).any(|(key, value)| {
                key.trim().eq_ignore_ascii_case("name") && value.trim().trim_matches('"') == name
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\n\0\u{1}--b model\r\n\r\n--b\r\ncontent-disposition: form-data; name=model\r\n\r\nwhisper-1\r\n--b--\r\n";

    #[test]
    fn boundaries_are_found() {
        let cases = [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=x; Boundary=\"a b\"", Some("a b")),
            ("multipart/mixed; boundary=abc", None),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
        ];
        for (content_type, expected) in cases {
            assert_eq!(boundary(content_type), expected, "{content_type}");
        }
    }

    #[test]
    fn fields_are_found() {
        let found = |name| field(BODY.as_bytes(), "b", name).unwrap().map(|at| &BODY[at]);
        assert_eq!(found("model"), Some("whisper-1"));
        assert_eq!(found("file"), Some("\0\u{1}--b model\r\n"));
        assert_eq!(found("none"), None);
        let empty = "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\r\n--b--";
        assert_eq!(field(empty.as_bytes(), "b", "model").unwrap().unwrap().len(), 0);
    }

    #[test]
    fn what_is_broken_is_refused() {
        let part = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\r\n";
        let twice = format!("{part}{part}--b--");
        for body in ["", "--b", "--b\r\n", "--b\r\nx: y\r\n\r\nopen", "--bx\r\n\r\n", &twice] {
            assert_eq!(field(body.as_bytes(), "b", "model"), Err(Broken), "{body:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read_or_refused(cut in 0..BODY.len(), insert in "[-b\\r\\n]{0,6}") {
            let body = format!("{}{insert}{}", &BODY[..cut], &BODY[cut..]);
            let _ = field(body.as_bytes(), "b", "model");
        }
    }
}
