//! Ed25519.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use super::{CheckSignature, Sign, Signature, Statement};

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is something else.
    #[error("no {wanted} in PEM: {source}")]
    Pem {
        /// What should be there.
        wanted: &'static str,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// It is a key of another kind.
    #[error("not an Ed25519 key; make one with `openssl genpkey -algorithm ed25519`")]
    Kind,
}

/// Signs with an Ed25519 key.
pub struct Ed25519Signer(Ed25519KeyPair);

/// Checks signatures of an Ed25519 key.
#[derive(Debug, Clone)]
pub struct Ed25519Verifier([u8; 32]);

impl Ed25519Signer {
    /// A signer with the private key in a PEM file (PKCS#8, as `openssl genpkey -algorithm ed25519`
    /// makes it).
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem)
            .map_err(|source| KeyError::Pem { wanted: "private key (PKCS#8)", source })?;
        // OpenSSL leaves the public key out, so there is nothing to check it against.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der())
            .map(Self)
            .map_err(|_| KeyError::Kind)
    }

    /// What checks its signatures.
    #[must_use]
    pub fn verifier(&self) -> Ed25519Verifier {
        let mut key = [0; 32];
        key.iter_mut().zip(self.0.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        Ed25519Verifier(key)
    }
}

impl Sign for Ed25519Signer {
    fn sign(&self, statement: &Statement<'_>) -> Signature {
        Signature(self.0.sign(&statement.to_bytes()).as_ref().to_vec())
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ed25519Signer").field(&hex::encode(self.0.public_key())).finish()
    }
}

impl Ed25519Verifier {
    /// A verifier with the public key in a PEM file, as `openssl pkey -pubout` makes it.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|source| KeyError::Pem { wanted: "public key", source })?;
        let key = key.strip_prefix(&SPKI).and_then(|key| key.try_into().ok());
        key.map(Self).ok_or(KeyError::Kind)
    }
}

impl CheckSignature for Ed25519Verifier {
    fn is_valid(&self, statement: &Statement<'_>, signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&statement.to_bytes(), &signature.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ship::Hash;

    // Made by OpenSSL for this test.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIBJAhqMXOJGUFIo37TBOhxcXkFUeXmUUyD9o8F2wSFGg\n\
        -----END PRIVATE KEY-----";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAvgS91LTxG26qSkACLUd7snL39ytqGK1X4WS7wN+wXVk=\n\
        -----END PUBLIC KEY-----";

    #[test]
    fn what_one_signs_the_other_checks() {
        let signer = Ed25519Signer::from_pem(PRIVATE.as_bytes()).unwrap();
        let verifier = Ed25519Verifier::from_pem(PUBLIC.as_bytes()).unwrap();
        let statement = Statement { key: "a", first: 1, last: 2, head: Hash::of(b"") };
        let signature = signer.sign(&statement);
        assert_eq!(Signature::from_hex(&signature.to_string()), Some(signature.clone()));
        assert!(verifier.is_valid(&statement, &signature));
        assert!(signer.verifier().is_valid(&statement, &signature));
        assert!(!verifier.is_valid(&Statement { key: "b", ..statement }, &signature));
        assert!(!verifier.is_valid(&Statement { last: 3, ..statement }, &signature));
        assert!(!verifier.is_valid(&statement, &Signature(vec![0; 64])));
        assert!(matches!(Ed25519Signer::from_pem(PUBLIC.as_bytes()), Err(KeyError::Pem { .. })));
        assert!(matches!(Ed25519Verifier::from_pem(PRIVATE.as_bytes()), Err(KeyError::Pem { .. })));
    }
}
