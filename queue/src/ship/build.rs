//! Makes the object of a batch.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::assemble::Assemble;
use super::chain;
use super::collect::Batch;
use super::encoding::Compression;
use super::hash::Hash;
use super::key::{self, ObjectName};
use super::options::Options;
use super::sign::Sign;
use super::sink::Object;
use crate::journal::{Journal, JournalError};

/// What objects are made with.
pub(crate) struct Builder {
    pub(crate) journal: Journal,
    pub(crate) assemble: Arc<dyn Assemble>,
    pub(crate) signer: Option<Arc<dyn Sign>>,
    pub(crate) node: String,
    pub(crate) prefix: String,
    pub(crate) compression: Compression,
}

/// An object could not be made now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("lines can't be compressed: {0}")]
    Encode(#[from] io::Error),
}

impl Builder {
    pub(crate) fn new(
        journal: Journal,
        assemble: Arc<dyn Assemble>,
        signer: Option<Arc<dyn Sign>>,
        options: &Options,
    ) -> Self {
        let Options { node, prefix, compression, .. } = options.clone();
        Self { journal, assemble, signer, node, prefix, compression }
    }

    /// The object of a batch, whose first line follows the one with this hash. Takes as long as reading
    /// and compressing does.
    pub(crate) fn build(&self, batch: &Batch, mut head: Hash) -> Result<Object, BuildError> {
        let compression = batch.seal.as_ref().map_or(self.compression, |seal| seal.compression);
        let mut encoder = compression.encoder()?;
        for (stamp, source) in &batch.sources {
            let line = chain::link(source.line(*stamp, &self.journal, &*self.assemble)?, head);
            head = Hash::of(&line);
            encoder.line(&line)?;
            // A batch takes milliseconds: whoever has a request to answer need not wait for all of them.
            std::thread::yield_now();
        }
        let bytes = Bytes::from(encoder.finish()?);
        let mut object = Object {
            key: self.key(batch, compression),
            sha256: Hash::of(&bytes),
            bytes,
            compression,
            first: batch.first,
            last: batch.last(),
            head,
            signature: None,
        };
        object.signature = self.signer.as_ref().map(|signer| signer.sign(&object.statement()));
        Ok(object)
    }

    fn key(&self, batch: &Batch, compression: Compression) -> String {
        if let Some(seal) = &batch.seal {
            return seal.key.clone();
        }
        let name = ObjectName {
            node: self.node.clone(),
            first: batch.first,
            last: batch.last(),
            conflict: false,
            compression,
        };
        key::key(&self.prefix, batch.hour.unwrap_or_default(), &name)
    }
}
