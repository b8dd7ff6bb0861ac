//! What is kept of a body: the whole of it, its beginning, or only size and digest.

use bytes::Bytes;
use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

use super::contents::BodyHead;
use super::redact::{Masked, Redactor};
use crate::media_type;

/// Whether bodies are kept at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Capture {
    /// Headers, bodies, everything.
    #[default]
    Full,
    /// Sizes and digests in place of bodies.
    Metadata,
}

/// The rules for bodies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BodyRules {
    /// Whether bodies are kept.
    pub capture: Capture,
    /// The most that is kept of one body, in bytes.
    pub max: usize,
    /// Whether binary bodies are kept, as base 64.
    pub binary: bool,
    /// What is masked in them.
    pub redact: Redactor,
}

/// What is kept of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// What is known of it.
    pub head: BodyHead,
    /// The bytes that are kept.
    pub bytes: Bytes,
}

impl BodyRules {
    /// Keeps what the rules allow of a whole body.
    #[must_use]
    pub fn keep(&self, body: &Bytes, headers: &HeaderMap) -> Kept {
        let kind = kind(headers);
        let wanted = self.want(kind);
        // What is compressed, or no text, can't be looked into.
        let opaque = kind == Kind::Binary && !self.redact.is_empty();
        let masked =
            if wanted && !opaque { self.redact.body(body, is_json(headers)) } else { Masked::Hidden };
        let unmasked = masked == Masked::Same;
        let shown = match masked {
            Masked::Same => body.clone(),
            Masked::Changed(masked) => masked,
            Masked::Hidden => Bytes::new(),
        };
        let kept = shown.slice(..shown.len().min(self.max));
        let truncated = kept.len() < shown.len() || kept.is_empty();
        let whole = unmasked && !truncated;
        Kept {
            head: BodyHead {
                bytes: body.len() as u64,
                sha256: (!whole && !body.is_empty()).then(|| hex::encode(Sha256::digest(body))),
                truncated: truncated && wanted && !body.is_empty(),
                binary: !kept.is_empty() && self.are_binary(headers),
            },
            bytes: kept,
        }
    }

    /// Whether bodies with these headers are kept, and as base 64.
    #[must_use]
    pub fn are_binary(&self, headers: &HeaderMap) -> bool {
        let kind = kind(headers);
        kind == Kind::Binary && self.want(kind)
    }

    /// Whether bodies of a kind are kept.
    pub(crate) fn want(&self, kind: Kind) -> bool {
        self.capture == Capture::Full && (kind == Kind::Text || self.binary)
    }
}

/// What a body is, as its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

impl Kind {
    /// Text is what says so and is not compressed. What says nothing is judged by its bytes later.
    pub(crate) fn of(content_type: Option<&str>, coding: Option<&str>) -> Self {
        let is_coded = coding.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        if is_coded || !content_type.is_none_or(media_type::is_text) { Self::Binary } else { Self::Text }
    }
}

fn kind(headers: &HeaderMap) -> Kind {
    let of = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    Kind::of(of(header::CONTENT_TYPE), of(header::CONTENT_ENCODING))
}

/// Whether a body claims to be JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(media_type::is_json)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(content_type: &'static str) -> HeaderMap {
        [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect()
    }

    fn pointing() -> Redactor {
        Redactor::new(vec![super::super::redact::Pointer::parse("/user").unwrap()], Vec::new())
    }

    #[test]
    fn text_is_told_from_binary() {
        for (media, expected) in [
            ("application/json", Kind::Text),
            ("application/problem+json; charset=utf-8", Kind::Text),
            ("text/event-stream", Kind::Text),
            ("application/x-www-form-urlencoded", Kind::Text),
            ("application/x-ndjson", Kind::Text),
            ("multipart/form-data; boundary=x", Kind::Binary),
            ("audio/mpeg", Kind::Binary),
            ("application/octet-stream", Kind::Binary),
        ] {
            assert_eq!(kind(&headers(media)), expected, "{media}");
        }
        let mut gzip = headers("application/json");
        gzip.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(kind(&gzip), Kind::Binary);
    }

    #[test]
    fn what_is_not_kept_whole_has_a_digest() {
        let body = Bytes::from_static(b"abc");
        let full = BodyRules { max: 3, ..BodyRules::default() };
        let whole = full.keep(&body, &headers("text/plain"));
        assert_eq!((&*whole.bytes, whole.head.sha256), (&b"abc"[..], None));
        let short = BodyRules { max: 2, ..full.clone() }.keep(&body, &headers("text/plain"));
        assert_eq!((&*short.bytes, short.head.truncated, short.head.bytes), (&b"ab"[..], true, 3));
        let digest = Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned());
        assert_eq!(short.head.sha256, digest);
        let metadata = BodyRules { capture: Capture::Metadata, ..full.clone() };
        let none = metadata.keep(&body, &headers("text/plain"));
        assert_eq!((none.bytes.len(), none.head.truncated, &none.head.sha256), (0, false, &digest));
        let binary = full.keep(&body, &headers("audio/mpeg"));
        assert_eq!((binary.bytes.len(), &binary.head.sha256), (0, &digest));
        let hidden = BodyRules { max: 100, redact: pointing(), ..BodyRules::default() };
        for (text, truncated) in [("{\"user\":\"an", true), ("", false)] {
            let kept = hidden.keep(&Bytes::from_static(text.as_bytes()), &headers("application/json"));
            assert_eq!((kept.bytes.len(), kept.head.truncated), (0, truncated), "{text}");
            assert_eq!(kept.head.sha256.is_some(), truncated, "{text}");
        }
        let wanted = BodyRules { binary: true, ..full }.keep(&body, &headers("audio/mpeg"));
        assert_eq!((wanted.bytes.len(), wanted.head.binary), (3, true));
    }
}
