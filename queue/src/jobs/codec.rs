//! How payloads and outputs become bytes. What is written is kept as it is, so that any encoding will do.

use std::fmt::Debug;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes payloads and outputs. All who use one queue must use the same one.
pub trait Codec: Debug + Clone + Send + Sync + 'static {
    /// The bytes of a value.
    ///
    /// # Errors
    /// If the value can't be expressed.
    fn encode<T: Serialize>(&self, value: &T) -> Result<Bytes, CodecError>;

    /// The value of bytes.
    ///
    /// # Errors
    /// If the bytes are not such a value.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError>;
}

/// Why a value could not be encoded, or bytes not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);

/// JSON, by serde.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Codec for Json {
    fn encode<T: Serialize>(&self, value: &T) -> Result<Bytes, CodecError> {
        serde_json::to_vec(value).map(Bytes::from).map_err(|error| CodecError(error.to_string()))
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|error| CodecError(error.to_string()))
    }
}
