//! The certificates of one listener, chosen by SNI. They are replaced as a whole while connections
//! go on, when the files or the configuration change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::config::model::{CertificateFiles, Tls};

/// Why certificates can't be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file can't be read, or is no PEM of the kind.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// The chain is empty.
    #[error("{}: holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Chain and key don't belong together, or can't be used.
    #[error("{} with {}: {source}", cert.display(), key.display())]
    Invalid {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

/// Resolves the certificate of a handshake; shared with the listener for its whole life.
#[derive(Debug)]
pub struct Certificates {
    set: ArcSwap<Set>,
}

#[derive(Debug, Default)]
struct Set {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Loads the certificates of a listener.
    ///
    /// # Errors
    /// If one of them can't be used: a listener never starts without its certificates.
    pub fn load(tls: &Tls) -> Result<Arc<Self>, CertificateError> {
        Ok(Arc::new(Self { set: ArcSwap::from_pointee(Set::load(tls)?) }))
    }

    /// Replaces all certificates, or none.
    ///
    /// # Errors
    /// If one of the new ones can't be used: the old ones stay.
    pub fn reload(&self, tls: &Tls) -> Result<(), CertificateError> {
        self.set.store(Arc::new(Set::load(tls)?));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default();
        self.set.load().find(&name.to_ascii_lowercase())
    }
}

impl Set {
    fn load(tls: &Tls) -> Result<Self, CertificateError> {
        let mut set = Self::default();
        for files in &tls.certificates {
            let key = Arc::new(certified_key(files)?);
            for name in names(&key) {
                set.by_name.entry(name).or_insert_with(|| Arc::clone(&key));
            }
            set.default.get_or_insert(key);
        }
        Ok(set)
    }

    /// The certificate for a name: its own, a wildcard's, else the first.
    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        };
        self.by_name.get(name).or_else(wildcard).or(self.default.as_ref()).cloned()
    }
}

fn certified_key(files: &CertificateFiles) -> Result<CertifiedKey, CertificateError> {
    let chain =
        read(&files.cert, |path| CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>())?;
    if chain.is_empty() {
        return Err(CertificateError::Empty { path: files.cert.clone() });
    }
    let key = read(&files.key, |path| PrivateKeyDer::from_pem_file(path))?;
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    CertifiedKey::from_der(chain, key, &provider).map_err(|source| CertificateError::Invalid {
        cert: files.cert.clone(),
        key: files.key.clone(),
        source,
    })
}

fn read<T>(path: &Path, parse: impl Fn(&Path) -> Result<T, pem::Error>) -> Result<T, CertificateError> {
    parse(path).map_err(|source| CertificateError::Unreadable { path: path.to_owned(), source })
}

/// The DNS names that a certificate is for.
fn names(key: &CertifiedKey) -> Vec<String> {
    let Some(leaf) = key.cert.first() else { return Vec::new() };
    // rustls could read the leaf, or there would be no key; webpki reads the same form.
    webpki::EndEntityCert::try_from(leaf)
        .map(|leaf| leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
mod tests;
