//! How to speak TLS with a server.

use std::fmt;

use redis::{ClientTlsConfig, TlsCertificates};

/// Whom to trust, and who we are, where an address says `rediss://`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// Certificates, as PEM, of which one must have signed the server's. None: those that the operating system trusts.
    pub roots: Option<Vec<u8>>,
    /// Our own certificate, for a server that wants one.
    pub identity: Option<RedisIdentity>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisIdentity {
    /// The certificate and those between it and its root, as PEM.
    pub certificate: Vec<u8>,
    /// Its private key, as PEM.
    pub key: Vec<u8>,
}

impl RedisTls {
    pub(super) fn certificates(&self) -> TlsCertificates {
        let client_tls = self.identity.as_ref().map(|identity| ClientTlsConfig {
            client_cert: identity.certificate.clone(),
            client_key: identity.key.clone(),
        });
        TlsCertificates { client_tls, root_cert: self.roots.clone() }
    }
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisTls")
            .field("roots", &self.roots.is_some())
            .field("identity", &self.identity)
            .finish()
    }
}

impl fmt::Debug for RedisIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisIdentity").finish_non_exhaustive()
    }
}
