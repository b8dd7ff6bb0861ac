//! What is under a key that is taken.

use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use sha2::{Digest as _, Sha256};

use super::error::Failure;
use super::{S3Sink, from_base64};
use crate::ship::hash::Hash;
use crate::ship::sink::PutError;

impl S3Sink {
    /// The SHA-256 of an object: the one that the server checked when it was uploaded, or else that of
    /// its bytes. Metadata say what whoever wrote it wanted.
    pub(super) async fn existing(&self, key: &str) -> Result<Hash, PutError> {
        let head = self.client.head_object().bucket(&self.bucket).key(key);
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await.map_err(Failure::of)?;
        let whole = head.checksum_type() != Some(&ChecksumType::Composite);
        if let Some(hash) = head.checksum_sha256().filter(|_| whole).and_then(from_base64) {
            return Ok(hash);
        }
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let mut body = get.send().await.map_err(Failure::of)?.body;
        let mut hasher = Sha256::new();
        while let Some(piece) = body.try_next().await.map_err(|error| PutError::Retry(error.into()))? {
            hasher.update(&piece);
        }
        Ok(Hash::from(<[u8; 32]>::from(hasher.finalize())))
    }
}
