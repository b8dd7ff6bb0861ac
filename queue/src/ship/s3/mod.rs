//! Objects in S3, or in what speaks its protocol.
//!
//! ```no_run
//! # async fn make() -> Result<(), lockstep_queue::ship::s3::S3Error> {
//! use lockstep_queue::ship::s3::{Credentials, S3Options, S3Sink};
//!
//! let sink = S3Sink::new(S3Options {
//!     // Only for servers other than AWS.
//!     endpoint: Some("http://127.0.0.1:9000".to_owned()),
//!     path_style: true,
//!     credentials: Credentials::Keys { id: "id".to_owned(), secret: "secret".to_owned(), token: None },
//!     ..S3Options::new("bucket", "eu-west-1")
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! Requests are signed (SigV4), uploads carry their SHA-256 as checksum and the condition that nothing
//! has the key yet (`If-None-Match: *`), also when they are in parts. If something has it, its SHA-256 is
//! compared: the server's, or, where the server keeps none of the whole object, that of what it gives.
//! The SHA-256, the range, the hash of the last line and the signature are in the object's metadata.
//!
//! Uploads in parts that a crash leaves unfinished are the server's to remove: set a lifecycle rule for
//! incomplete uploads.

mod error;
mod existing;
mod list;
mod options;
mod parts;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::encoding::Compression;
use super::hash::Hash;
use super::sink::{Object, Put, PutError, Sink};

use error::Failure;
pub use options::{Credentials, S3Error, S3Options};

/// Metadata of the signature.
const SIGNATURE: &str = "signature";

/// A bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3Sink {
    client: Client,
    bucket: String,
    part_bytes: usize,
}

impl S3Sink {
    /// A sink for a bucket. Does not connect yet.
    ///
    /// # Errors
    /// If the options can't be used.
    pub async fn new(options: S3Options) -> Result<Self, S3Error> {
        let config = options.load().await?;
        Ok(Self {
            client: Client::from_conf(config),
            bucket: options.bucket,
            part_bytes: options.part_bytes.max(options::SMALLEST_PART),
        })
    }

    async fn put_whole(&self, object: &Object) -> Result<(), Failure> {
        let put = self.client.put_object().bucket(&self.bucket).key(&object.key).if_none_match("*");
        let put = put
            .content_type(content_type(object.compression))
            .set_metadata(Some(metadata(object)))
            .checksum_sha256(base64(object.sha256))
            .body(ByteStream::from(object.bytes.clone()));
        put.send().await.map(drop).map_err(|error| Failure::of(&error))
    }
}

#[async_trait]
impl Sink for S3Sink {
    async fn put(&self, object: &Object) -> Result<Put, PutError> {
        let put = if object.bytes.len() > self.part_bytes {
            Box::pin(self.put_in_parts(object)).await
        } else {
            self.put_whole(object).await
        };
        match put {
            Ok(()) => Ok(Put::Stored),
            Err(Failure::Taken) => match self.existing(&object.key).await.map_err(unread)? {
                existing if existing == object.sha256 => Ok(Put::AlreadyThere),
                existing => Err(PutError::Conflict { existing }),
            },
            Err(Failure::Other(error)) => Err(error),
        }
    }
}

/// Why what has the key can't be compared. The server's own words say nothing of that: a refused `HEAD` has none.
fn unread(error: PutError) -> PutError {
    const WHY: &str = "the key is taken, as it is after an upload whose answer was lost, and reading what has it \
                       is refused (grant s3:GetObject)";
    match error {
        PutError::Refused(cause) => PutError::Refused(format!("{WHY}: {cause}").into()),
        other => other,
    }
}

fn metadata(object: &Object) -> std::collections::HashMap<String, String> {
    let signature = object.signature.as_ref().map(|signature| (SIGNATURE, signature.to_string()));
    let fields = [
        ("sha256", object.sha256.to_string()),
        ("first", object.first.to_string()),
        ("last", object.last.to_string()),
        ("last-line-sha256", object.head.to_string()),
    ];
    fields.into_iter().chain(signature).map(|(name, value)| (name.to_owned(), value)).collect()
}

const fn content_type(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "application/x-ndjson",
        Compression::Gzip => "application/gzip",
        Compression::Zstd => "application/zstd",
    }
}

fn base64(hash: Hash) -> String {
    STANDARD.encode(hash.as_bytes())
}

fn from_base64(text: &str) -> Option<Hash> {
    <[u8; 32]>::try_from(STANDARD.decode(text).ok()?).ok().map(Hash::from)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Has something under every key, and lets nobody read it.
    async fn write_only(listener: TcpListener) {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 * 1024];
            let length = client.read(&mut request).await.unwrap();
            let status = if request[..length].starts_with(b"PUT ") {
                "412 Precondition Failed"
            } else {
                "403 Forbidden"
            };
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            client.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn whoever_may_not_read_what_has_the_key_is_told_what_to_grant() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys = Credentials::Keys { id: "id".to_owned(), secret: "secret".to_owned(), token: None };
        let options = S3Options {
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            path_style: true,
            credentials: keys,
            ..S3Options::new("bucket", "eu-west-1")
        };
        let bytes = Bytes::from_static(b"{}\n");
        let object = Object {
            key: "a".to_owned(),
            sha256: Hash::of(&bytes),
            bytes,
            compression: Compression::None,
            first: 0,
            last: 0,
            head: Hash::NONE,
            signature: None,
        };
        let put = async { S3Sink::new(options).await.unwrap().put(&object).await };
        let error = tokio::select! {
            put = put => put.unwrap_err(),
            () = write_only(listener) => panic!("it goes on"),
        };
        assert!(
            matches!(&error, PutError::Refused(why) if why.to_string().contains("s3:GetObject")),
            "{error}"
        );
    }
}
