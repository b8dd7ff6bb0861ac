//! What stands in the frames of the audit journal: a head, which is JSON, and bytes as they passed.
//! Bodies are not turned into JSON while a request waits; that is left to whoever ships the record.

use std::borrow::Cow;
use std::iter;

use bytes::{BufMut as _, Bytes, BytesMut};
use jiff::Timestamp;
use lockstep_queue::journal::{Body, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A call that is about to be made: a [`BeginHead`] and the request's body.
pub const BEGIN: Kind = Kind::begin::<0>();
/// A further target that is about to be contacted: a [`TargetHead`].
pub const ATTEMPT: Kind = Kind::part::<1>();
/// What was delivered to the client since the last one: a [`PartHead`] and those bytes.
pub const PART: Kind = Kind::part::<2>();
/// The end of a call: an [`EndHead`] and the body of the answer, where it is one piece.
pub const END: Kind = Kind::end::<0>();
/// A record that is whole from the start: a [`WholeHead`] and a JSON object without what the shipper adds.
pub const WHOLE: Kind = Kind::single::<0>();

/// How long the length of the head is.
const LENGTH: usize = size_of::<u32>();
/// From so many bytes on a piece of a body stands alone.
const LONG: usize = 16 * 1024;

/// The contents of a frame that don't make sense: something else wrote them.
#[derive(Debug, Error)]
pub enum Malformed {
    /// They end too early.
    #[error("the frame is shorter than it says")]
    Short,
    /// The head is not what it should be.
    #[error("the head of the frame can't be read: {0}")]
    Head(#[from] serde_json::Error),
}

/// The head of [`BEGIN`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BeginHead {
    /// The id of the record.
    pub id: String,
    /// When the request's head was complete.
    pub at: Timestamp,
    /// Who asked.
    pub client: ClientHead,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// Headers from the allow-list.
    pub headers: Headers,
    /// How the answer is to be read.
    pub format: Format,
    /// The model that was asked for.
    pub model: Option<String>,
    /// The target that is contacted first.
    pub target: Option<TargetHead>,
    /// The request's body.
    pub body: BodyHead,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientHead {
    /// The address.
    pub addr: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// The id that the client gave the request.
    pub request_id: Option<String>,
    /// The key's id.
    pub key_id: Option<String>,
    /// The key's labels.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Headers of the allow-list, by name; most names are of the list itself.
pub type Headers = Vec<(Cow<'static, str>, String)>;

/// The head of [`ATTEMPT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHead {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model as the provider calls it.
    pub model: Option<String>,
    /// When it was about to be contacted; left out for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The head of [`WHOLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeHead {
    /// When it ended.
    pub at: Timestamp,
}

/// The head of [`PART`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartHead {
    /// How many bytes were delivered, kept or not.
    pub bytes: u64,
    /// In the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<BegunHead>,
}

/// What is known once the first byte of an answer left, for a call whose end is never written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BegunHead {
    /// When it left.
    pub at: Timestamp,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Whether the answer is a stream of events.
    pub streamed: bool,
    /// Every try so far.
    pub attempts: Vec<AttemptHead>,
}

/// What is known of a body beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BodyHead {
    /// How many bytes passed.
    pub bytes: u64,
    /// Their digest, where not all of them are kept as they passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether more passed than was kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Whether the kept bytes are to be written as base 64.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub binary: bool,
}

/// The head of [`END`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndHead {
    /// The id of the record, in case its beginning gets lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// In one word.
    pub outcome: String,
    /// Whether the answer was a stream of events.
    pub streamed: bool,
    /// When the first byte left for the client.
    pub first_byte_at: Option<Timestamp>,
    /// The status of the answer; none if the process ended before it was known.
    pub status: Option<u16>,
    /// Headers of the answer from the allow-list.
    pub headers: Headers,
    /// The body of the answer.
    pub body: BodyHead,
    /// Every try.
    pub attempts: Vec<AttemptHead>,
    /// What the answer used.
    pub usage: Option<UsageHead>,
    /// What all attempts cost, in USD.
    pub cost_usd: Option<f64>,
    /// What was not passed on as it came.
    pub changes: Vec<String>,
    /// Size and digest of a request body that was streamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<BodyHead>,
    /// Of a call that nobody brought to its end, and of which no part was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<BegunHead>,
}

/// One try, as records show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptHead {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model as the provider calls it.
    pub model: Option<String>,
    /// The status of its answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// Milliseconds to the first byte of the body, or the first event.
    pub first_byte_ms: Option<u64>,
    /// Milliseconds to its end; none if the process ended first.
    pub total_ms: Option<u64>,
    /// Bytes of its answer that were delivered to the client.
    pub delivered: u64,
    /// What it used.
    pub usage: Option<UsageHead>,
}

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageHead {
    /// Of the request, cached ones included.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
    /// Of the request, those from a cache.
    pub cached_input: u64,
    /// Of the answer, those of reasoning.
    pub reasoning: u64,
}

/// How an answer is to be read, to assemble its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `chat/completions`
    Chat,
    /// `completions`
    Completions,
    /// `responses`
    Responses,
    /// Anthropic's `messages`
    Messages,
    /// Anything else: no message is assembled.
    Other,
}

/// The contents of [`WHOLE`]: a record that ends now.
///
/// # Errors
/// As [`encode`].
pub fn whole(fields: impl Into<Bytes>) -> Result<Body, Malformed> {
    encode(&WholeHead { at: Timestamp::now() }, &[fields.into()])
}

/// Puts a head and bytes together. What is long is not copied for that; what is short is, lest many pieces of a few
/// bytes wait for the disk with much around each.
///
/// # Errors
/// If the head can't be written as JSON, which none of the heads here can bring about.
pub fn encode(head: &impl Serialize, body: &[Bytes]) -> Result<Body, Malformed> {
    let short: usize = body.iter().map(Bytes::len).filter(|length| *length < LONG).sum();
    let mut frame = BytesMut::with_capacity(LENGTH + 1024 + short);
    frame.put_u32_le(0);
    let mut writer = frame.writer();
    serde_json::to_writer(&mut writer, head)?;
    let mut frame = writer.into_inner();
    let head = u32::try_from(frame.len() - LENGTH).map_err(|_| Malformed::Short)?;
    if let Some(length) = frame.get_mut(..LENGTH) {
        length.copy_from_slice(&head.to_le_bytes());
    }
    let mut pieces = Vec::new();
    for piece in body {
        if piece.len() < LONG {
            frame.extend_from_slice(piece);
        } else {
            pieces.extend([frame.split().freeze(), piece.clone()]);
        }
    }
    Ok(pieces.into_iter().chain(iter::once(frame.freeze())).collect())
}

/// Takes a head and bytes apart.
///
/// # Errors
/// If they are not what [`encode`] made of such a head.
pub fn decode<H: DeserializeOwned>(frame: &Bytes) -> Result<(H, Bytes), Malformed> {
    let length = frame.first_chunk::<LENGTH>().ok_or(Malformed::Short)?;
    let end = usize::try_from(u32::from_le_bytes(*length)).ok().and_then(|length| length.checked_add(LENGTH));
    let end = end.filter(|end| *end <= frame.len()).ok_or(Malformed::Short)?;
    let head = serde_json::from_slice(frame.get(LENGTH..end).ok_or(Malformed::Short)?)?;
    Ok((head, frame.slice(end..)))
}

/// What a frame holds, as a reader of the journal finds it.
#[cfg(test)]
pub(crate) fn frame<const N: usize>(head: &impl Serialize, body: [&[u8]; N]) -> Bytes {
    let body = encode(head, &body.map(Bytes::copy_from_slice)).unwrap();
    body.pieces().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_together_comes_apart() {
        let head = PartHead { bytes: 7, begun: None };
        let frame = frame(&head, [&b"abc"[..], b"", b"defg"]);
        let (read, body) = decode::<PartHead>(&frame).unwrap();
        assert_eq!((read, &*body), (head, &b"abcdefg"[..]));
    }

    #[test]
    fn long_pieces_are_not_copied_and_short_ones_are_joined() {
        let (short, long) = (Bytes::from_static(b"short"), Bytes::from(vec![b'l'; LONG]));
        let body = [&short, &long, &short, &short].map(Bytes::clone);
        let frame = encode(&PartHead { bytes: 7, begun: None }, &body).unwrap();
        let pieces: Vec<&Bytes> = frame.pieces().collect();
        assert_eq!(
            (pieces.len(), pieces[1].as_ptr(), &pieces[2][..]),
            (3, long.as_ptr(), &b"shortshort"[..])
        );
        let joined = pieces.into_iter().flatten().copied().collect();
        assert_eq!(decode::<PartHead>(&joined).unwrap().1, body.concat());
    }

    #[test]
    fn what_something_else_wrote_is_an_error() {
        for bytes in [&b""[..], b"\x01", b"\xff\xff\xff\xff{}", b"\x02\x00\x00\x00[]", b"\x09\x00\x00\x00{}"]
        {
            assert!(decode::<PartHead>(&Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
    }
}
