//! Takes the body of a call whole, so that it can be sent more than once.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, Method};

use super::asked::Head;
use super::client::Client;
use crate::ai::buffers::Reserved;
use crate::ai::errors::ApiError;
use crate::ai::route::{Endpoint, ModelField};
use crate::config::ai::model::Limits;
use crate::edge::errors as edge;
use crate::reason::Reason;

/// The least that is reserved for a body at once.
const STEP: u64 = 64 << 10;

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
        // On HTTP/2 a body needs no announcement.
        None if raw && !matches!(head.method, Method::GET | Method::HEAD | Method::DELETE) => {
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

/// Reads the body.
///
/// # Errors
/// If it is too large, or does not come.
pub(crate) async fn receive(
    client: &mut Client<'_>,
    head: &Head,
    limits: &Limits,
    reserved: &mut Reserved,
) -> Result<Bytes, NotReceived> {
    let announced = length(&head.headers);
    if announced.is_some_and(|length| length > limits.body_bytes) {
        return Err(NotReceived::Refused(ApiError::too_large(limits.body_bytes)));
    }
    let mut room = announced.unwrap_or(STEP);
    if !reserved.grow(room, limits.buffered) {
        return Err(NotReceived::Refused(ApiError::buffers_full()));
    }
    if waits(&head.headers) {
        client.expect().await.map_err(|_| NotReceived::Gone)?;
    }
    let mut all = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(piece) = client.read().await.map_err(|error| unreadable(&error))? {
        if all.is_empty() && joined.is_empty() {
            all = piece;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(usize::try_from(room).unwrap_or(all.len()).max(all.len() + piece.len()));
            joined.extend_from_slice(&std::mem::take(&mut all));
        }
        joined.extend_from_slice(&piece);
        let length = u64::try_from(joined.len()).unwrap_or(u64::MAX);
        if length > limits.body_bytes {
            return Err(NotReceived::Refused(ApiError::too_large(limits.body_bytes)));
        }
        if length > room {
            let more = room.max(STEP);
            room = room.saturating_add(more);
            if !reserved.grow(more, limits.buffered) {
                return Err(NotReceived::Refused(ApiError::buffers_full()));
            }
        }
    }
    Ok(if joined.is_empty() { all } else { joined.freeze() })
}

pub(crate) fn unreadable(error: &pingora::Error) -> NotReceived {
    match edge::classify(error) {
        Reason::ClientClosed => NotReceived::Gone,
        reason => NotReceived::Refused(ApiError::of_edge(reason)),
    }
}
