//! Section `audit` after parsing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::journal::WhenFull;

use crate::audit::Durability;
use crate::audit::body::BodyRules;

/// What is recorded, how surely, and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Who wrote a record; a random suffix is added with each new journal.
    pub node: NodeName,
    /// How much a record waits for; nothing: none are made.
    pub durability: Option<Durability>,
    /// When a batch is full.
    pub batch: Batch,
    /// How objects are compressed.
    pub compression: Compression,
    /// Where they go.
    pub sink: Sink,
    /// What the journal may take.
    pub disk: Disk,
    /// What is kept of bodies.
    pub bodies: Arc<BodyRules>,
    /// The PEM file of the Ed25519 key that signs objects.
    pub sign: Option<PathBuf>,
}

/// A name that may stand in keys of objects: 1 to 63 of `[A-Za-z0-9._-]`, the first and last alphanumeric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName(String);

/// A text that can't be a node's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 63 of A-Z a-z 0-9 . _ - with a letter or digit at both ends")]
pub struct NodeNameError;

/// When a batch is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Records.
    pub records: usize,
    /// Age of its oldest record.
    pub interval: Duration,
    /// Bytes before compression.
    pub bytes: u64,
}

/// How objects are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    None,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

/// Where objects go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// A directory.
    Dir {
        /// Its path; none: `audit` in the data directory.
        path: Option<PathBuf>,
        /// Objects whose hour ended so long ago are removed; none: they stay.
        keep: Option<Duration>,
    },
    /// A bucket of S3 or of what speaks like it.
    S3(S3),
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// Its name.
    pub bucket: String,
    /// What keys begin with; empty or with a slash at its end.
    pub prefix: String,
    /// Its region; none: as the environment says.
    pub region: Option<String>,
    /// The server, if it is not that of AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket is in the path rather than in the host name.
    pub path_style: bool,
}

/// What the journal may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes.
    pub max: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
}

impl NodeName {
    /// Reads a name.
    ///
    /// # Errors
    /// If it has other characters or another length.
    pub fn parse(text: &str) -> Result<Self, NodeNameError> {
        let bytes = text.as_bytes();
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let inner = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
        let valid = (1..=63).contains(&bytes.len()) && inner && edge(bytes.first()) && edge(bytes.last());
        valid.then(|| Self(text.to_owned())).ok_or(NodeNameError)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of this host, or as much of it as may stand in a key.
    #[must_use]
    pub fn of_host() -> Self {
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        let kept: String =
            host.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(63).collect();
        Self::parse(kept.trim_matches(['.', '_', '-'])).unwrap_or_else(|_| Self("lockstep".to_owned()))
    }
}
