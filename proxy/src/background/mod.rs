//! What the process does beside serving, as jobs: they are kept in the data directory, so that a crash takes
//! none along, tried again when they fail, and looked at through the admin API.

mod expiry;
pub mod metrics;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::jobs::{BuildError, Counts, FileOptions, FileStorage, Storage as _, StorageError};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use expiry::Expiry;
use metrics::JobMetrics;

/// The directory of jobs in the data directory.
const DIRECTORY: &str = "jobs";
/// Background jobs take little; more than this is a mistake.
const MAX_BYTES: u64 = 1 << 30;

/// The jobs of a process, and what does them.
#[derive(Clone)]
pub struct Background {
    storage: FileStorage,
    expiry: Expiry,
}

/// What is done in the background.
#[derive(Debug, Clone)]
pub struct Work {
    /// Shipped records are removed from this directory when they are so old.
    pub expiry: (PathBuf, Duration),
}

/// Jobs can't be kept.
#[derive(Debug, Error)]
pub enum BackgroundError {
    /// Their files can't be used.
    #[error("background jobs in {}: {source}", dir.display())]
    Storage {
        /// Where they are.
        dir: PathBuf,
        /// What is wrong.
        source: StorageError,
    },
    /// The options of a queue make no sense.
    #[error("background jobs: {0}")]
    Build(#[from] BuildError),
}

impl Background {
    /// Opens the jobs of a data directory.
    ///
    /// # Errors
    /// If their files can't be used. A damaged log is opened with what is whole in it: each of these jobs may
    /// run again, and comes again by itself.
    pub fn open(work: Work, data_dir: &Path, metrics: &Arc<Metrics>) -> Result<Self, BackgroundError> {
        let dir = data_dir.join(DIRECTORY);
        let options = FileOptions::new(&dir).max_bytes(MAX_BYTES).salvage(true);
        let storage =
            FileStorage::open(&options).map_err(|source| BackgroundError::Storage { dir, source })?;
        let (records, keep) = work.expiry;
        let expiry = Expiry::new(Arc::new(storage.clone()), records, keep, metrics.jobs.clone())?;
        Ok(Self { storage, expiry })
    }

    /// Works until told to stop, then closes the files.
    pub async fn run(self, stop: CancellationToken) {
        self.expiry.run(stop).await;
        if let Err(error) = self.storage.close().await {
            tracing::error!(%error, "the background jobs did not close well");
        }
    }

    /// What goes wrong at the moment.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.expiry.problem()
    }

    /// Brings the gauges up to date.
    pub async fn refresh(&self, metrics: &JobMetrics) {
        for (queue, counts) in self.counts().await.unwrap_or_default() {
            metrics.count(&queue, counts);
        }
    }

    /// The queues by name, and how many jobs are where.
    ///
    /// # Errors
    /// If the storage was closed.
    pub async fn counts(&self) -> Result<Vec<(String, Counts)>, StorageError> {
        let name = self.expiry.queue_name();
        Ok(vec![(name.to_string(), self.storage.counts(name).await?)])
    }
}
