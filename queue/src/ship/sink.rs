//! Where objects go.

use async_trait::async_trait;
use bytes::Bytes;

use super::encoding::Compression;
use super::hash::Hash;
use super::key;
use super::sign::{Sign, Signature, Statement};

/// A batch as it is shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Object {
    /// Where it goes; parts are divided by `/`.
    pub key: String,
    /// Its contents.
    pub bytes: Bytes,
    /// Their hash.
    pub sha256: Hash,
    /// How they are compressed.
    pub compression: Compression,
    /// Number of its first record.
    pub first: u64,
    /// Number of its last record.
    pub last: u64,
    /// Hash of its last line.
    pub head: Hash,
    /// Says that the shipper made it.
    pub signature: Option<Signature>,
}

/// How an object got where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was written.
    Stored,
    /// It was there, with the same contents.
    AlreadyThere,
}

/// The cause of a failure.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An object did not get where it should.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It may soon.
    #[error("not now: {0}")]
    Retry(#[source] Cause),
    /// It will not until somebody changes something.
    #[error("refused: {0}")]
    Refused(#[source] Cause),
    /// Another object has its key.
    #[error("another object is there, with SHA-256 {existing}")]
    Conflict {
        /// Hash of what is there.
        existing: Hash,
    },
}

/// A place for objects, which never lets one overwrite another.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Stores an object for good, unless its key is taken. May be dropped and called again.
    ///
    /// # Errors
    /// If it is not, or not surely, there.
    async fn put(&self, object: &Object) -> Result<Put, PutError>;
}

impl Object {
    /// The object under the key of one that conflicts with another.
    pub(crate) fn beside(self, signer: Option<&dyn Sign>) -> Self {
        let mut object = Self { key: key::beside(&self.key, self.sha256), ..self };
        object.signature = signer.map(|signer| signer.sign(&object.statement()));
        object
    }

    pub(crate) fn statement(&self) -> Statement<'_> {
        Statement { key: &self.key, first: self.first, last: self.last, head: self.head }
    }
}
