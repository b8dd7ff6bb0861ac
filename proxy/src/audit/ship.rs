//! Where records go: the sink of the configuration, and the shipper that takes them there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockstep_queue::journal::{Journal, Recovery};
use lockstep_queue::ship::s3::{S3Error, S3Options, S3Sink};
use lockstep_queue::ship::{
    Compression, DirSink, Ed25519Signer, KeyError, NameError, Options, ShipError, Shipper, Sign, Sink,
};
use thiserror::Error;

use super::lines::Lines;
use crate::config::audit::model::{self, Audit, S3};

/// The directory of shipped records in the data directory, if the configuration names no other.
const DEFAULT_DIR: &str = "audit";
/// The region where the configuration names none, and the environment neither.
const DEFAULT_REGION: &str = "us-east-1";

/// Why records can't be shipped.
#[derive(Debug, Error)]
pub enum ShippingError {
    /// The name of the node, or the prefix, can't be part of a key.
    #[error("audit: {0}")]
    Name(#[from] NameError),
    /// The bucket's options can't be used.
    #[error("audit.sink: {0}")]
    S3(#[from] S3Error),
    /// The signing key can't be read.
    #[error("audit.sign.key {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no such key.
    #[error("audit.sign.key {}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The journal belongs to something else.
    #[error("audit: {0}")]
    Ship(#[from] ShipError),
}

/// The directory that a directory sink writes to.
#[must_use]
pub fn directory(path: Option<&Path>, data_dir: &Path) -> PathBuf {
    path.map_or_else(|| data_dir.join(DEFAULT_DIR), Path::to_owned)
}

/// A shipper for a journal that was just opened.
///
/// # Errors
/// If the sink, the key or the names can't be used.
pub async fn shipper(
    config: &Audit,
    data_dir: &Path,
    node: &Arc<str>,
    journal: Journal,
    recovery: &Recovery,
) -> Result<Shipper, ShippingError> {
    let (sink, prefix) = sink(config, data_dir).await?;
    let options = Options::new(node.to_string())?
        .prefix(prefix)?
        .records(config.batch.records)
        .age(config.batch.interval)
        .bytes(config.batch.bytes)
        .compression(match config.compression {
            model::Compression::None => Compression::None,
            model::Compression::Gzip => Compression::Gzip,
            model::Compression::Zstd => Compression::Zstd,
        });
    let signer = config.sign.as_deref().map(signer).transpose()?;
    let lines = Arc::new(Lines::new(Arc::clone(node)));
    Ok(Shipper::new(journal, recovery, lines, sink, signer, &options)?)
}

/// The sink, and what its keys begin with.
async fn sink(config: &Audit, data_dir: &Path) -> Result<(Arc<dyn Sink>, String), ShippingError> {
    match &config.sink {
        model::Sink::Dir { path, .. } => {
            Ok((Arc::new(DirSink::new(directory(path.as_deref(), data_dir))), String::new()))
        }
        model::Sink::S3(s3) => {
            let sink = Box::pin(bucket(s3)).await?;
            Ok((Arc::new(sink), s3.prefix.clone()))
        }
    }
}

/// The bucket of a configuration.
///
/// # Errors
/// If its options can't be used.
pub async fn bucket(s3: &S3) -> Result<S3Sink, S3Error> {
    let from_environment =
        || std::env::var("AWS_REGION").or_else(|_| std::env::var("AWS_DEFAULT_REGION")).ok();
    let region = s3.region.clone().or_else(from_environment).unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let options = S3Options {
        endpoint: s3.endpoint.clone(),
        path_style: s3.path_style,
        ..S3Options::new(s3.bucket.clone(), region)
    };
    S3Sink::new(options).await
}

fn signer(path: &Path) -> Result<Arc<dyn Sign>, ShippingError> {
    let pem =
        std::fs::read(path).map_err(|source| ShippingError::KeyFile { path: path.to_owned(), source })?;
    let signer = Ed25519Signer::from_pem(&pem)
        .map_err(|source| ShippingError::Key { path: path.to_owned(), source })?;
    Ok(Arc::new(signer))
}
