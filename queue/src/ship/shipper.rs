//! The shipper as its users see it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::assemble::Assemble;
use super::build::Builder;
use super::engine::Engine;
use super::options::Options;
use super::sign::Sign;
use super::sink::Sink;
use super::stats::{Counters, Stats};
use super::upload::Uploader;
use crate::journal::{Journal, JournalError, Recovery};

/// Ships what is in a journal. Clones share it.
#[derive(Clone)]
pub struct Shipper {
    shared: Arc<Shared>,
}

struct Shared {
    /// Until it runs.
    engine: Mutex<Option<Engine>>,
    counters: Arc<Counters>,
    /// Number of the last flush that was asked for.
    flush: watch::Sender<u64>,
    progress: watch::Receiver<Progress>,
}

/// How far the engine is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Number of the last flush that is done.
    pub(crate) flushed: u64,
    pub(crate) ended: bool,
}

/// A shipper can't be made, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShipError {
    /// What the journal keeps for the shipper was written by something else.
    #[error(
        "the journal's mark is not that of a shipper, or of a newer release; use the release that wrote it"
    )]
    Mark,
    /// It runs, or ran already.
    #[error("the shipper was started before")]
    Started,
    /// The journal takes no acknowledgement or gives no frames any more. What was shipped since is
    /// shipped again under the same keys after it is opened again.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The assembler panicked.
    #[error("a record could not be assembled: {0}")]
    Assemble(tokio::task::JoinError),
    /// An upload panicked.
    #[error("an upload panicked: {0}")]
    Upload(tokio::task::JoinError),
}

/// Not everything was shipped in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// The time is over.
    #[error("not everything could be shipped in time; the rest stays in the journal")]
    Late,
    /// The shipper has ended.
    #[error("the shipper has ended; the rest stays in the journal")]
    Ended,
}

impl Shipper {
    /// A shipper for a journal that was just opened, with what [`Journal::open`] found. It begins to
    /// work when it [`run`](Self::run)s. There must be no other for this journal, and nobody else may
    /// acknowledge.
    ///
    /// # Errors
    /// If the journal's mark is not that of a shipper.
    pub fn new(
        journal: Journal,
        recovery: &Recovery,
        assemble: Arc<dyn Assemble>,
        sink: Arc<dyn Sink>,
        signer: Option<Arc<dyn Sign>>,
        options: &Options,
    ) -> Result<Self, ShipError> {
        let counters = Arc::new(Counters::default());
        let (flush, flushes) = watch::channel(0);
        let (ready, progress) = watch::channel(Progress::default());
        let retry = options.retry;
        let builder = Builder::new(journal, assemble, signer.clone(), options);
        let uploader = Uploader { sink, signer, retry, counters: Arc::clone(&counters) };
        let engine = Engine::new(builder, uploader, recovery, options, flushes, ready)?;
        let engine = Mutex::new(Some(engine));
        Ok(Self { shared: Arc::new(Shared { engine, counters, flush, progress }) })
    }

    /// Ships until `shutdown` resolves, which ends uploads under way: they are made again after the next
    /// start. To ship what is left first, [`flush`](Self::flush). The journal must be open until this
    /// has returned.
    ///
    /// # Errors
    /// If the journal ends first, or a panic is met.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) -> Result<(), ShipError> {
        let mut engine = self.shared.engine.lock().take().ok_or(ShipError::Started)?;
        let result = tokio::select! {
            biased;
            () = shutdown => Ok(()),
            result = engine.run() => result,
        };
        engine.end().await;
        result
    }

    /// Ships all records that ended before this call, without waiting for more to fill a batch.
    ///
    /// # Errors
    /// If that takes longer than `within`, or the shipper ends.
    pub async fn flush(&self, within: Duration) -> Result<(), FlushError> {
        timeout(within, self.flushed()).await.unwrap_or(Err(FlushError::Late))
    }

    /// As [`flush`](Self::flush), however long it takes.
    pub(crate) async fn flushed(&self) -> Result<(), FlushError> {
        let mut number = 0;
        self.shared.flush.send_modify(|last| {
            *last += 1;
            number = *last;
        });
        let mut progress = self.shared.progress.clone();
        let done = |progress: &Progress| progress.flushed >= number || progress.ended;
        // It ends by its sender only if the engine was never run and is gone.
        let progress = progress.wait_for(done).await.map_err(|_| FlushError::Ended)?;
        if progress.flushed >= number { Ok(()) } else { Err(FlushError::Ended) }
    }

    /// What it counted, and what it is at.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }
}

impl std::fmt::Debug for Shipper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shipper").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
