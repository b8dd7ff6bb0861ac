//! Signatures of objects: who can write the sink still can't make up what was shipped.

use std::fmt;

use super::hash::Hash;

#[cfg(feature = "sign")]
mod ed25519;
#[cfg(feature = "sign")]
pub use ed25519::{Ed25519Signer, Ed25519Verifier, KeyError};

/// What is signed: an object's place, its range and, through the chain, all lines up to its last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The key of the object.
    pub key: &'a str,
    /// Number of its first record.
    pub first: u64,
    /// Number of its last record.
    pub last: u64,
    /// Hash of its last line.
    pub head: Hash,
}

/// A signature; shown as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(pub Vec<u8>);

/// Signs objects. The same statement must give the same signature.
pub trait Sign: Send + Sync {
    /// The signature of a statement.
    fn sign(&self, statement: &Statement<'_>) -> Signature;
}

/// Tells signatures from others.
pub trait CheckSignature: Send + Sync {
    /// Whether the signature is one of the statement.
    fn is_valid(&self, statement: &Statement<'_>, signature: &Signature) -> bool;
}

impl Statement<'_> {
    /// The bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { key, first, last, head } = self;
        format!("lockstep object 1\n{key}\n{first}\n{last}\n{head}\n").into_bytes()
    }
}

impl Signature {
    /// The signature that hexadecimal digits say.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        hex::decode(digits.trim_ascii()).ok().map(Self)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}
