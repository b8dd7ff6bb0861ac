//! What is in a bucket, for who verifies it.

use async_trait::async_trait;
use aws_sdk_s3::error::DisplayErrorContext;

use super::{S3Sink, SIGNATURE};
use crate::ship::verify::{Archive, ArchiveError, Found};

#[async_trait]
impl Archive for S3Sink {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, ArchiveError> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let page = list.set_start_after(after.map(str::to_owned)).send().await.map_err(failed)?;
        Ok(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect())
    }

    async fn get(&self, key: &str) -> Result<Found, ArchiveError> {
        let object = self.client.get_object().bucket(&self.bucket).key(key).send().await.map_err(failed)?;
        let signature = object.metadata.and_then(|mut metadata| metadata.remove(SIGNATURE));
        let bytes = object.body.collect().await.map_err(failed)?.into_bytes();
        Ok(Found { bytes, signature })
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> ArchiveError {
    ArchiveError::new(DisplayErrorContext(&error).to_string())
}
