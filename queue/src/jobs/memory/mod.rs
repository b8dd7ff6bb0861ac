//! Jobs in memory: nothing survives the process. For tests, and for work that need not outlive it. The other
//! storages behave the same, and keep the jobs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::error::StorageError;
use super::event::Event;
use super::hub::Channel;
use super::index::{Index, QueueIndex};
use super::job::{Generation, Job, JobState, NewJob, StorageTime, Token};
use super::local;
use super::name::{JobId, QueueName, WorkerId};
use super::state::State;
use super::storage::{
    Cancelled, Claim, Counts, Enqueued, Extended, Finish, Finished, Reaped, Settings, Storage,
};

/// Keeps jobs in memory. Clones share them.
#[derive(Debug, Clone)]
pub struct MemoryStorage(Arc<State>);

impl MemoryStorage {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(State::new(Index::default(), StorageTime::default())))
    }

    fn step<T>(
        &self,
        queue: &QueueName,
        step: impl FnOnce(&mut QueueIndex, StorageTime) -> T,
    ) -> Result<T, StorageError> {
        self.0.with(|index, now| step(index.queue_mut(queue), now))
    }

    fn channel(&self, queue: &QueueName) -> Arc<Channel> {
        self.0.channel(queue)
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn enqueue(&self, queue: &QueueName, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StorageError> {
        local::check_jobs(&jobs)?;
        let enqueued = self.step(queue, |queue, now| queue.enqueue(now, &jobs))??;
        local::tell_enqueued(&self.channel(queue), &jobs, &enqueued);
        Ok(enqueued)
    }

    async fn finish(
        &self,
        queue: &QueueName,
        ends: Vec<Finish>,
        next: Option<Claim>,
    ) -> Result<Finished, StorageError> {
        local::check_ends(&ends)?;
        let (finished, settings) =
            self.step(queue, |queue, now| (queue.finish(now, &ends, next.as_ref()), queue.settings()))?;
        local::tell_finished(&self.channel(queue), &ends, &finished, settings.concurrency.is_some());
        Ok(finished)
    }

    async fn wait_for_work(&self, queue: &QueueName, at_most: Duration) -> Result<(), StorageError> {
        self.0.wait_for_work(queue, at_most).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        leases: Vec<(JobId, Token)>,
        lease: Duration,
    ) -> Result<Vec<Extended>, StorageError> {
        self.step(queue, |queue, now| queue.extend(now, &leases, lease))
    }

    async fn get(&self, queue: &QueueName, id: &JobId) -> Result<Option<Job>, StorageError> {
        self.0.get(queue, id)
    }

    async fn cancel(&self, queue: &QueueName, id: &JobId) -> Result<Cancelled, StorageError> {
        let cancelled = self.step(queue, |queue, now| queue.cancel(now, id))?;
        local::tell_cancelled(&self.channel(queue), id, cancelled);
        Ok(cancelled)
    }

    async fn retry(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        let is_retried = self.step(queue, |queue, now| queue.retry(now, id))?;
        local::tell_retried(&self.channel(queue), id, is_retried);
        Ok(is_retried)
    }

    async fn remove(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        self.step(queue, |queue, now| queue.remove(now, id))
    }

    async fn set_retention(
        &self,
        queue: &QueueName,
        id: &JobId,
        retention: Duration,
    ) -> Result<bool, StorageError> {
        self.step(queue, |queue, now| queue.set_retention(now, id, retention))
    }

    async fn list(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<Job>, StorageError> {
        self.0.list(queue, state, after, limit)
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts, StorageError> {
        self.0.counts(queue)
    }

    async fn queues(&self) -> Result<Vec<QueueName>, StorageError> {
        self.0.queues()
    }

    async fn configure(&self, queue: &QueueName, settings: Settings) -> Result<(), StorageError> {
        let before = self.step(queue, |queue, _| queue.configure(settings))?;
        local::tell_configured(&self.channel(queue), before, settings);
        Ok(())
    }

    async fn settings(&self, queue: &QueueName) -> Result<Settings, StorageError> {
        self.0.settings(queue)
    }

    async fn reap(
        &self,
        queue: &QueueName,
        limit: usize,
        lease_expired: Bytes,
    ) -> Result<Reaped, StorageError> {
        local::check_len(lease_expired.len())?;
        let swept = self.step(queue, |queue, now| queue.reap(now, limit, &lease_expired))?;
        local::tell_swept(&self.channel(queue), &swept);
        Ok(swept.reaped)
    }

    async fn lead(&self, role: &QueueName, holder: &WorkerId, ttl: Duration) -> Result<bool, StorageError> {
        self.0.lead(role, holder, ttl)
    }

    async fn resign(&self, role: &QueueName, holder: &WorkerId) -> Result<(), StorageError> {
        self.0.resign(role, holder)
    }

    async fn events(&self, queue: &QueueName) -> Result<BoxStream<'static, Event>, StorageError> {
        self.0.events(queue)
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.0.close();
        Ok(())
    }
}
