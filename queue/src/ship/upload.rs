//! Takes one object to the sink, however long that takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::hash::Hash;
use super::options::Retry;
use super::sign::Sign;
use super::sink::{Object, Put, PutError, Sink};
use super::stats::Counters;

/// What uploads share.
pub(crate) struct Uploader {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) signer: Option<Arc<dyn Sign>>,
    pub(crate) retry: Retry,
    pub(crate) counters: Arc<Counters>,
}

/// An object is where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landed {
    /// As it was made now.
    AsMade,
    /// As an earlier process had made it, from frames or by an assembler that are no more.
    AsSealed,
}

impl Uploader {
    /// Puts the object until it is there. `sealed` is the hash under which an earlier process may have
    /// put it.
    #[tracing::instrument(name = "upload", level = "info", skip_all, fields(key = %object.key, bytes = object.bytes.len()))]
    pub(crate) async fn upload(&self, mut object: Object, sealed: Option<Hash>) -> Landed {
        let mut pauses = self.retry.pauses();
        loop {
            let pause = match self.sink.put(&object).await {
                Ok(put) => {
                    self.counters.shipped(&object);
                    tracing::debug!(already_there = put == Put::AlreadyThere, "shipped");
                    return Landed::AsMade;
                }
                Err(PutError::Conflict { existing }) if Some(existing) == sealed => {
                    self.counters.shipped(&object);
                    return Landed::AsSealed;
                }
                Err(PutError::Conflict { existing }) if !self.is_beside(&object) => {
                    self.counters.conflicts.add(1);
                    object = object.beside(self.signer.as_deref());
                    tracing::error!(%existing, beside = %object.key, "another object has the key of a batch, which goes beside it");
                    continue;
                }
                Err(error @ PutError::Retry(_)) => {
                    self.counters.retries.add(1);
                    let pause = pauses.next().unwrap_or(self.retry.longest);
                    tracing::warn!(%error, ?pause, "an upload failed and is tried again");
                    pause
                }
                Err(error) => self.refused(&error),
            };
            sleep(pause).await;
        }
    }

    fn refused(&self, error: &PutError) -> Duration {
        self.counters.refusals.add(1);
        let pause = self.retry.refused;
        tracing::error!(%error, ?pause, "the sink refuses a batch, which stays in the journal and is tried again");
        pause
    }

    fn is_beside(&self, object: &Object) -> bool {
        super::key::ObjectName::parse(&object.key).is_some_and(|name| name.conflict)
    }
}
