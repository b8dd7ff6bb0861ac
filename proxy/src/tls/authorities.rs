//! Loads the bundle of private authorities that an app's endpoints are verified against.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora::protocols::tls::CaType;
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use thiserror::Error;

/// Why a bundle can't be used.
#[derive(Debug, Error)]
pub enum AuthoritiesError {
    /// It can't be read, or is no PEM.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// It holds no certificate.
    #[error("{}: holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// One of its certificates can't be an authority.
    #[error("{}: {source}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

/// Reads a PEM bundle for Pingora.
///
/// # Errors
/// As [`read`].
pub fn load(path: &Path) -> Result<Arc<CaType>, AuthoritiesError> {
    let wrapped = |certificate: CertificateDer<'_>| WrappedX509::new(certificate.to_vec(), parse_x509);
    Ok(read(path)?.into_iter().map(wrapped).collect::<Vec<_>>().into())
}

/// Reads the certificates of a PEM bundle.
///
/// # Errors
/// If the file can't be read, is empty, or holds something else than certificates of authorities.
pub fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, AuthoritiesError> {
    let unreadable = |source| AuthoritiesError::Unreadable { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(AuthoritiesError::Empty { path: path.to_owned() });
    }
    // Checked before Pingora parses them, which panics on what is no certificate.
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|source| AuthoritiesError::Invalid { path: path.to_owned(), source })?;
    }
    Ok(certificates)
}
