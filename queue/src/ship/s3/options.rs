//! Where the bucket is and who asks.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{Config, RequestChecksumCalculation};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The smallest part but the last that S3 takes.
pub(super) const SMALLEST_PART: usize = 5 * 1024 * 1024;

/// The options of an [`S3Sink`](super::S3Sink).
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// The server's URL, if it is not AWS.
    pub endpoint: Option<String>,
    /// The bucket goes in the path and not in the host name, as most servers other than AWS want it.
    pub path_style: bool,
    /// Who asks.
    pub credentials: Credentials,
    /// How long one request may take, the upload of an object or a part included (default 60 s).
    pub timeout: Duration,
    /// Certificates in PEM of who may sign the server's, besides those that the system trusts.
    pub ca: Option<Vec<u8>>,
    /// Larger objects are uploaded in parts of this size (default 16 MiB, at least 5 MiB).
    pub part_bytes: usize,
}

/// Who asks.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Whoever AWS's standard chain finds: environment, profile, web identity, container, instance.
    #[default]
    Chain,
    /// A pair of keys.
    Keys {
        /// Access key id.
        id: String,
        /// Secret access key.
        secret: String,
        /// Session token, if they are for a session.
        token: Option<String>,
    },
}

/// Options that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3Error {
    /// The certificates can't be read.
    #[error("`ca` holds no certificates in PEM: {0}")]
    Ca(String),
}

impl S3Options {
    /// The defaults for a bucket of AWS.
    pub fn new(bucket: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            endpoint: None,
            path_style: false,
            credentials: Credentials::default(),
            timeout: Duration::from_secs(60),
            ca: None,
            part_bytes: 16 * 1024 * 1024,
        }
    }

    pub(super) async fn load(&self) -> Result<Config, S3Error> {
        let client = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(self.tls()?)
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(self.timeout)
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(client)
            .region(Region::new(self.region.clone()))
            .timeout_config(timeouts);
        let loader = match self.credentials.clone() {
            Credentials::Chain => loader,
            Credentials::Keys { id, secret, token } => loader.credentials_provider(
                aws_sdk_s3::config::Credentials::new(id, secret, token, None, "options"),
            ),
        };
        let shared = Box::pin(loader.load()).await;
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(self.path_style)
            // The shipper tries again itself.
            .retry_config(RetryConfig::disabled())
            // Uploads have a checksum anyway; not every server knows the one that is added to the rest.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(config.build())
    }

    fn tls(&self) -> Result<TlsContext, S3Error> {
        let bad = |error: &dyn std::fmt::Display| S3Error::Ca(error.to_string());
        let mut trusted = TrustStore::default();
        if let Some(pem) = &self.ca {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            if certificates.map_err(|error| bad(&error))?.is_empty() {
                return Err(bad(&"there is none"));
            }
            trusted.add_pem_certificate(pem.clone());
        }
        TlsContext::builder().with_trust_store(trusted).build().map_err(|error| bad(&error))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Chain => f.write_str("Chain"),
            Self::Keys { id, .. } => f.debug_struct("Keys").field("id", id).finish_non_exhaustive(),
        }
    }
}
