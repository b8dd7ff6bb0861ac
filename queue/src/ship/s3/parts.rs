//! Uploads of large objects, in parts.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};

use super::error::Failure;
use super::{S3Sink, base64, content_type, metadata};
use crate::ship::hash::Hash;
use crate::ship::sink::{Object, PutError};

impl S3Sink {
    /// Uploads parts one after the other and then makes an object of them, unless its key is taken.
    pub(super) async fn put_in_parts(&self, object: &Object) -> Result<(), Failure> {
        let create = self.client.create_multipart_upload().bucket(&self.bucket).key(&object.key);
        let create = create
            .content_type(content_type(object.compression))
            .set_metadata(Some(metadata(object)))
            .checksum_algorithm(ChecksumAlgorithm::Sha256);
        let created = create.send().await.map_err(Failure::of)?;
        let Some(upload) = created.upload_id() else {
            return Err(Failure::Other(PutError::Retry("the server gave the upload no id".into())));
        };
        let done = self.upload_parts(object, upload).await;
        if done.is_err() {
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(&object.key);
            if let Err(error) = abort.upload_id(upload).send().await {
                tracing::warn!(%error, key = %object.key, "parts of a failed upload stay until the server removes them");
            }
        }
        done
    }

    async fn upload_parts(&self, object: &Object, upload: &str) -> Result<(), Failure> {
        let mut parts = Vec::new();
        for (number, start) in (1..).zip((0..object.bytes.len()).step_by(self.part_bytes)) {
            let end = object.bytes.len().min(start + self.part_bytes);
            let bytes = object.bytes.slice(start..end);
            let checksum = base64(Hash::of(&bytes));
            let part = self.client.upload_part().bucket(&self.bucket).key(&object.key).upload_id(upload);
            let part = part.part_number(number).checksum_sha256(&checksum).body(ByteStream::from(bytes));
            let stored = part.send().await.map_err(Failure::of)?;
            let part = CompletedPart::builder().part_number(number).checksum_sha256(checksum);
            parts.push(part.set_e_tag(stored.e_tag).build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket).key(&object.key);
        let complete = complete.upload_id(upload).multipart_upload(parts).if_none_match("*");
        complete.send().await.map(drop).map_err(Failure::of)
    }
}
