//! A worker at work in a task of its own.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::jobs::error::StorageError;

/// Holds a worker that was started. Dropped, it ends at once; better is [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct RunningWorker {
    stop: CancellationToken,
    /// The worker; all its tasks end with this one.
    task: JoinSet<Result<(), StorageError>>,
}

impl RunningWorker {
    pub(super) fn start<F>(run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), StorageError>> + Send + 'static,
    {
        let (stop, mut task) = (CancellationToken::new(), JoinSet::new());
        task.spawn(run(stop.clone()));
        Self { stop, task }
    }

    /// Claims no more jobs, lets those at work end within the grace, hands the rest back, and returns when all is
    /// reported and all tasks have ended.
    ///
    /// # Errors
    /// If the storage had been closed.
    pub async fn shutdown(self) -> Result<(), StorageError> {
        self.stop.cancel();
        self.ended().await
    }

    /// Returns when the worker has ended by itself, which it does only when the storage is closed.
    ///
    /// # Errors
    /// If the storage was closed.
    pub async fn ended(mut self) -> Result<(), StorageError> {
        // A task that was aborted, or panicked: it is over in any case.
        self.task.join_next().await.and_then(Result::ok).unwrap_or(Ok(()))
    }
}
