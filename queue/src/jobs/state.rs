//! The jobs of a storage that lives in one process, and everybody there who waits for them. What it is asked is
//! the same whether or not something else keeps the jobs; how they change is the storage's own business.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use parking_lot::Mutex;

use super::clock::Clock;
use super::error::StorageError;
use super::event::Event;
use super::hub::{Channel, Hub};
use super::index::{Index, Outlook, QueueIndex};
use super::job::{Generation, Job, JobState, StorageTime};
use super::name::{JobId, QueueName, WorkerId};
use super::storage::{Counts, Settings};

/// Jobs in memory.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) hub: Hub,
    /// None once closed. Held for single steps only.
    pub(super) index: Mutex<Option<Index>>,
}

impl State {
    /// Jobs as they stand at a time, before which the clock does not start.
    pub(super) fn new(index: Index, not_before: StorageTime) -> Self {
        Self { clock: Clock::starting(not_before), hub: Hub::default(), index: Mutex::new(Some(index)) }
    }

    /// Does one step, at one moment.
    pub(super) fn with<T>(&self, step: impl FnOnce(&mut Index, StorageTime) -> T) -> Result<T, StorageError> {
        let mut index = self.index.lock();
        // The time is taken under the lock, so that it never goes back from step to step.
        let now = self.clock.now();
        index.as_mut().map(|index| step(index, now)).ok_or(StorageError::Closed)
    }

    /// Asks about a queue; the default if it never saw it.
    pub(super) fn ask<T: Default>(
        &self,
        queue: &QueueName,
        ask: impl FnOnce(&QueueIndex, StorageTime) -> T,
    ) -> Result<T, StorageError> {
        self.with(|index, now| index.queue(queue).map(|queue| ask(queue, now)).unwrap_or_default())
    }

    pub(super) fn channel(&self, queue: &QueueName) -> Arc<Channel> {
        self.hub.channel(queue)
    }

    pub(super) async fn wait_for_work(
        &self,
        queue: &QueueName,
        at_most: Duration,
    ) -> Result<(), StorageError> {
        let outlook = || self.ask(queue, QueueIndex::outlook).unwrap_or(Outlook::Closed);
        self.channel(queue).wait(at_most, outlook).await;
        self.with(|_, _| ())
    }

    pub(super) fn get(&self, queue: &QueueName, id: &JobId) -> Result<Option<Job>, StorageError> {
        self.ask(queue, |queue, now| queue.get(now, id))
    }

    pub(super) fn list(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<Job>, StorageError> {
        self.ask(queue, |queue, now| queue.list(now, state, after, limit))
    }

    pub(super) fn counts(&self, queue: &QueueName) -> Result<Counts, StorageError> {
        self.ask(queue, |queue, now| queue.counts(now))
    }

    pub(super) fn queues(&self) -> Result<Vec<QueueName>, StorageError> {
        self.with(|index, _| {
            let used = index.queues().filter(|(_, queue)| !queue.is_empty());
            used.map(|(name, _)| name.clone()).collect()
        })
    }

    pub(super) fn settings(&self, queue: &QueueName) -> Result<Settings, StorageError> {
        self.ask(queue, |queue, _| queue.settings())
    }

    /// Roles end with the process, as everybody who could have one does.
    pub(super) fn lead(
        &self,
        role: &QueueName,
        holder: &WorkerId,
        ttl: Duration,
    ) -> Result<bool, StorageError> {
        self.with(|index, now| index.roles.lead(now, role, holder, ttl))
    }

    pub(super) fn resign(&self, role: &QueueName, holder: &WorkerId) -> Result<(), StorageError> {
        self.with(|index, _| index.roles.resign(role, holder))
    }

    pub(super) fn events(&self, queue: &QueueName) -> Result<BoxStream<'static, Event>, StorageError> {
        self.with(|_, _| self.channel(queue).events())
    }

    /// Ends all streams and waits.
    pub(super) fn close(&self) {
        self.index.lock().take();
        self.hub.close();
    }
}
