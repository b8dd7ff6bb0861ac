//! What is in a bucket, for who verifies it.

use async_trait::async_trait;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::error::{cause, chain};
use super::{S3Sink, SIGNATURE};
use crate::ship::verify::{Archive, ArchiveError, Found};

#[async_trait]
impl Archive for S3Sink {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, ArchiveError> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let page = list.set_start_after(after.map(str::to_owned)).send().await.map_err(refused)?;
        Ok(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect())
    }

    async fn get(&self, key: &str) -> Result<Found, ArchiveError> {
        let object = self.client.get_object().bucket(&self.bucket).key(key).send().await.map_err(refused)?;
        let signature = object.metadata.and_then(|mut metadata| metadata.remove(SIGNATURE));
        let bytes = object.body.collect().await.map_err(|error| ArchiveError::new(chain(&error)))?;
        let bytes = bytes.into_bytes();
        Ok(Found { bytes, signature })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused<E: ProvideErrorMetadata + std::error::Error + 'static>(error: SdkError<E>) -> ArchiveError {
    ArchiveError::new(cause(&error))
}
