//! Files, sound, and forms of several parts.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::script::Head;
use crate::http1::Message;

/// One part of a form.
#[derive(Debug)]
struct Part<'b> {
    head: String,
    body: &'b [u8],
}

/// The answer to a request below `/files`.
pub(super) fn answer(answer: &Answer<'_>) -> (Head, Bytes) {
    let request = answer.request;
    let path = request.target().split('?').next().unwrap_or_default();
    if path.ends_with("/content") {
        return (answer.head(200, "application/octet-stream"), binary());
    }
    let value = match request.method() {
        "POST" => uploaded(answer),
        "DELETE" => json!({"id": "file-1", "object": "file", "deleted": true}),
        _ if path.ends_with("/files") => {
            json!({"object": "list", "data": [file("list.jsonl", 3)], "has_more": false})
        }
        _ => file("get.jsonl", 3),
    };
    (answer.head(200, "application/json"), Bytes::from(value.to_string()))
}

fn file(name: &str, bytes: usize) -> Value {
    json!({
        "id": "file-1", "object": "file", "bytes": bytes, "created_at": 1_780_000_000,
        "filename": name, "purpose": "batch", "status": "processed",
    })
}

fn uploaded(answer: &Answer<'_>) -> Value {
    let parts = parts(answer.request);
    let Some(part) = parts.iter().find(|part| part.head.contains("filename=")) else {
        return file("none", 0);
    };
    let mut value = file(quoted(&part.head, "filename").unwrap_or_default(), part.body.len());
    value["sha256"] = hex::encode(Sha256::digest(part.body)).into();
    value
}

pub(super) fn transcription(answer: &Answer<'_>) -> Value {
    let sound =
        parts(answer.request).iter().find(|part| part.head.contains("filename=")).map(|p| p.body.len());
    json!({"text": format!("{} bytes of sound", sound.unwrap_or_default())})
}

/// A value of a form, as text.
pub(super) fn field(request: &Message, name: &str) -> Option<String> {
    let parts = parts(request);
    let part = parts.iter().find(|part| quoted(&part.head, "name") == Some(name))?;
    Some(String::from_utf8_lossy(part.body).into_owned())
}

/// Bytes of every value, none of them text.
pub(super) fn binary() -> Bytes {
    (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn parts(request: &Message) -> Vec<Part<'_>> {
    let kind = request.header("content-type").unwrap_or_default();
    let Some((_, boundary)) = kind.split_once("boundary=") else { return Vec::new() };
    let delimiter = format!("\r\n--{}", boundary.trim_matches('"')).into_bytes();
    let mut rest = request.body.as_slice();
    // The first delimiter has no line before it.
    rest = rest.strip_prefix(&delimiter[2..]).unwrap_or_default();
    let mut parts = Vec::new();
    while let Some(end) = find(rest, &delimiter) {
        let (part, after) = rest.split_at(end);
        if let Some(at) = find(part, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&part[..at]).into_owned();
            parts.push(Part { head, body: &part[at + 4..] });
        }
        rest = &after[delimiter.len()..];
    }
    parts
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    // By the first byte, as forms may be large.
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == what[0]) {
        if bytes[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// The value of a parameter of `Content-Disposition`.
fn quoted<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let (_, rest) = head.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        let body = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--b\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n\r\n--bx\0\r\n--b--\r\n";
        let request = Message {
            headers: vec![("content-type".to_owned(), "multipart/form-data; boundary=b".to_owned())],
            body: body.as_bytes().to_vec(),
            ..Message::default()
        };
        assert_eq!(field(&request, "model").as_deref(), Some("whisper"));
        assert_eq!(field(&request, "file").as_deref(), Some(""));
        assert_eq!(field(&request, "none"), None);
    }
}
