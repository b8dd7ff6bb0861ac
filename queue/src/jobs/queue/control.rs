//! The queue as a whole.

use futures::stream::BoxStream;

use super::{Queue, QueueError};
use crate::jobs::event::Event;
use crate::jobs::job::{Generation, Job, JobState};
use crate::jobs::storage::{Counts, Settings};

impl<P, O, C> Queue<P, O, C> {
    /// Stops claims, on all machines. Running jobs go on; new ones are taken.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn pause(&self) -> Result<(), QueueError> {
        self.change(|settings| settings.paused = true).await
    }

    /// Goes on.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn resume(&self) -> Result<(), QueueError> {
        self.change(|settings| settings.paused = false).await
    }

    /// At most so many jobs run at once, on all machines together; at least 1. None: no limit.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn limit_concurrency(&self, limit: Option<u32>) -> Result<(), QueueError> {
        self.change(|settings| settings.concurrency = limit.map(|limit| limit.max(1))).await
    }

    /// At most so many jobs are unfinished; more are refused, so that producers feel it. None: no limit.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn limit_jobs(&self, limit: Option<u64>) -> Result<(), QueueError> {
        self.change(|settings| settings.max_jobs = limit).await
    }

    /// What holds for the whole queue.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn settings(&self) -> Result<Settings, QueueError> {
        Ok(self.core.storage.settings(&self.core.name).await?)
    }

    /// How many jobs are where.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn counts(&self) -> Result<Counts, QueueError> {
        Ok(self.core.storage.counts(&self.core.name).await?)
    }

    /// Jobs in a state, in the order of enqueuing, at most `limit`, from the one after `after`.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn list(
        &self,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<Job>, QueueError> {
        Ok(self.core.storage.list(&self.core.name, state, after, limit).await?)
    }

    /// What happens from now on, on all machines: for people who watch. Events can be missing or late.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn events(&self) -> Result<BoxStream<'static, Event>, QueueError> {
        Ok(self.core.storage.events(&self.core.name).await?)
    }

    /// Two who change different settings in the same moment can undo one another's; people do that rarely.
    async fn change(&self, change: impl FnOnce(&mut Settings)) -> Result<(), QueueError> {
        let mut settings = self.settings().await?;
        change(&mut settings);
        Ok(self.core.storage.configure(&self.core.name, settings).await?)
    }
}
