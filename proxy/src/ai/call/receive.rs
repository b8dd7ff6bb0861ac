//! Takes the body of a call whole, so that it can be sent more than once.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::asked::Head;
use super::client::Client;
use crate::ai::buffers::Reserved;
use crate::ai::errors::ApiError;
use crate::ai::route::{Endpoint, ModelField};
use crate::config::ai::model::Limits;
use crate::edge::errors as edge;
use crate::reason::Reason;

/// The least that is reserved for a body of unknown length.
const STEP: u64 = 64 << 10;
/// So much of what is announced is reserved with its first bytes.
const WHOLE: u64 = 512 << 10;

/// Why there is no body.
pub(crate) enum NotReceived {
    /// The client is told.
    Refused(ApiError),
    /// The client is gone.
    Gone,
}

/// What is known of a body before it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// There is none.
    Nothing,
    /// It is kept.
    Kept,
    /// It passes through: it is too large, or of unknown size, and nothing in it is needed.
    Streamed,
}

/// What is done with the body of a call.
pub(crate) fn expected(head: &Head, limits: &Limits) -> Expected {
    let length = length(&head.headers);
    let chunked = head.headers.contains_key(TRANSFER_ENCODING);
    let raw = head.endpoint() == Endpoint::Raw;
    match length {
        Some(0) => Expected::Nothing,
        Some(length) if raw && length > limits.body_bytes => Expected::Streamed,
        Some(_) => Expected::Kept,
        None if raw && chunked => Expected::Streamed,
        None if chunked || head.endpoint().model_field() != ModelField::None => Expected::Kept,
        // On HTTP/2 a body needs no announcement; on HTTP/1.1 there is none without (RFC 9112, 6.3).
        None if raw
            && head.version > Version::HTTP_11
            && !matches!(head.method, Method::GET | Method::HEAD | Method::DELETE) =>
        {
            Expected::Streamed
        }
        None => Expected::Nothing,
    }
}

/// The length that a head announces.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the client waits to be told that the body may come.
pub(crate) fn waits(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads the body. Room is taken for what has come: an announcement alone costs others nothing.
///
/// # Errors
/// If it is too large, or does not come within the time.
pub(crate) async fn receive(
    client: &mut Client<'_>,
    head: &Head,
    limits: &Limits,
    within: Duration,
    reserved: &mut Reserved,
    ending: &CancellationToken,
) -> Result<Bytes, NotReceived> {
    let announced = length(&head.headers);
    if announced.is_some_and(|length| length > limits.body_bytes) {
        return Err(NotReceived::Refused(ApiError::too_large(limits.body_bytes)));
    }
    if !reserved.would_fit(announced.unwrap_or(STEP), limits.buffered) {
        return Err(NotReceived::Refused(ApiError::buffers_full()));
    }
    if waits(&head.headers) {
        client.send_continue().await.map_err(|_| NotReceived::Gone)?;
    }
    let until = Instant::now() + within;
    let late = |_| Err(NotReceived::Refused(ApiError::of_edge(Reason::BodyTimeout)));
    let mut pieces = Joined::default();
    let mut room = 0;
    while let Some(piece) = timeout_at(until, read(client, ending)).await.unwrap_or_else(late)? {
        let length = pieces.length().saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if length > limits.body_bytes {
            return Err(NotReceived::Refused(ApiError::too_large(limits.body_bytes)));
        }
        if length > room {
            let least = announced.map_or(STEP, |announced| announced.min(WHOLE));
            let wanted = length.max(room.saturating_mul(2)).max(least);
            let wanted = announced.map_or(wanted, |announced| wanted.min(announced).max(length));
            if !reserved.grow(wanted - room, limits.buffered) {
                return Err(NotReceived::Refused(ApiError::buffers_full()));
            }
            room = wanted;
        }
        pieces.add(piece, room);
    }
    Ok(pieces.finish())
}

/// Reads the next piece, unless the process ends.
async fn read(client: &mut Client<'_>, ending: &CancellationToken) -> Result<Option<Bytes>, NotReceived> {
    tokio::select! {
        biased;
        read = client.read() => read.map_err(|error| unreadable(&error)),
        () = ending.cancelled() => Err(NotReceived::Refused(ApiError::shutting_down())),
    }
}

/// Pieces in one: copied only if there are several.
#[derive(Default)]
struct Joined {
    first: Bytes,
    all: BytesMut,
}

impl Joined {
    /// Adds a piece of a body that is expected to have `expected` bytes.
    fn add(&mut self, piece: Bytes, expected: u64) {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            let known = self.first.len() + piece.len();
            self.all.reserve(usize::try_from(expected).unwrap_or(known).max(known));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&piece);
    }

    fn length(&self) -> u64 {
        u64::try_from(self.first.len() + self.all.len()).unwrap_or(u64::MAX)
    }

    fn finish(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

pub(crate) fn unreadable(error: &pingora::Error) -> NotReceived {
    match edge::classify(error) {
        Reason::ClientClosed => NotReceived::Gone,
        reason => NotReceived::Refused(ApiError::of_edge(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_counted_from_the_first_on() {
        for pieces in [vec![], vec!["abc"], vec!["abc", "", "de"], vec!["", "abc"], vec!["a", "b", "c"]] {
            let mut joined = Joined::default();
            for piece in &pieces {
                joined.add(Bytes::from_static(piece.as_bytes()), 4);
            }
            let whole = pieces.concat();
            assert_eq!(joined.length(), u64::try_from(whole.len()).unwrap());
            assert_eq!(joined.finish(), whole.as_bytes());
        }
    }
}
