//! The trait, call by call: what changes goes to the writer, what asks to a reader.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::time::{Instant, timeout_at};

use super::{SqliteStorage, change, enqueue, finish, read, reap, refused, settings};
use crate::jobs::columns::millis;
use crate::jobs::error::StorageError;
use crate::jobs::event::Event;
use crate::jobs::job::{Generation, Job, JobState, NewJob, Token};
use crate::jobs::local::{check_ends, check_len};
use crate::jobs::name::{JobId, QueueName, WorkerId};
use crate::jobs::storage::{
    Cancelled, Claim, Counts, Enqueued, Extended, Finish, Finished, Reaped, Settings, Storage,
};

#[async_trait]
impl Storage for SqliteStorage {
    async fn enqueue(&self, queue: &QueueName, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StorageError> {
        jobs.iter().try_for_each(|job| check_len(job.payload.len()))?;
        let queue = queue.clone();
        self.write("enqueue", move |step| enqueue::enqueue(step, &queue, &jobs)).await
    }

    async fn finish(
        &self,
        queue: &QueueName,
        ends: Vec<Finish>,
        next: Option<Claim>,
    ) -> Result<Finished, StorageError> {
        check_ends(&ends)?;
        let queue = queue.clone();
        self.write("finish and claim", move |step| finish::finish(step, &queue, &ends, next.as_ref())).await
    }

    async fn wait_for_work(&self, queue: &QueueName, at_most: Duration) -> Result<(), StorageError> {
        let latest = Instant::now() + at_most;
        let mut work = self.hints.work(queue).ok_or(StorageError::Closed)?;
        self.attention.want();
        loop {
            work.mark_unchanged();
            let asked = queue.clone();
            let due = self.read("look for work", move |file, now| read::due_in(file, &asked, now)).await?;
            if due == Some(Duration::ZERO) {
                return Ok(());
            }
            let due = due.map_or(latest, |due| latest.min(Instant::now() + due));
            match timeout_at(due, work.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(StorageError::Closed),
                Err(_) => return Ok(()),
            }
        }
    }

    async fn extend(
        &self,
        queue: &QueueName,
        leases: Vec<(JobId, Token)>,
        lease: Duration,
    ) -> Result<Vec<Extended>, StorageError> {
        let queue = queue.clone();
        self.write("extend leases", move |step| finish::extend(step, &queue, &leases, millis(lease))).await
    }

    async fn get(&self, queue: &QueueName, id: &JobId) -> Result<Option<Job>, StorageError> {
        let (queue, id) = (queue.clone(), id.clone());
        self.read("get a job", move |file, now| read::get(file, &queue, &id, now)).await
    }

    async fn cancel(&self, queue: &QueueName, id: &JobId) -> Result<Cancelled, StorageError> {
        let (queue, id) = (queue.clone(), id.clone());
        self.write("cancel a job", move |step| change::cancel(step, &queue, &id)).await
    }

    async fn retry(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        let (queue, id) = (queue.clone(), id.clone());
        self.write("retry a job", move |step| change::retry(step, &queue, &id)).await
    }

    async fn remove(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        let (queue, id) = (queue.clone(), id.clone());
        self.write("remove a job", move |step| change::remove(step, &queue, &id)).await
    }

    async fn set_retention(
        &self,
        queue: &QueueName,
        id: &JobId,
        retention: Duration,
    ) -> Result<bool, StorageError> {
        let (queue, id, retention) = (queue.clone(), id.clone(), millis(retention));
        self.write("change a retention", move |step| change::set_retention(step, &queue, &id, retention))
            .await
    }

    async fn list(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<Job>, StorageError> {
        let queue = queue.clone();
        let list = move |file: &_, now| read::list(file, &queue, state, after, (limit, now));
        self.read("list jobs", list).await
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts, StorageError> {
        let queue = queue.clone();
        self.read("count jobs", move |file, now| read::counts(file, &queue, now)).await
    }

    async fn queues(&self) -> Result<Vec<QueueName>, StorageError> {
        self.read("list queues", read::queues).await
    }

    async fn configure(&self, queue: &QueueName, settings: Settings) -> Result<(), StorageError> {
        let queue = queue.clone();
        self.write("configure a queue", move |step| settings::configure(step, &queue, settings)).await
    }

    async fn settings(&self, queue: &QueueName) -> Result<Settings, StorageError> {
        let queue = queue.clone();
        self.read("read settings", move |file, _| read::settings(file, &queue)).await
    }

    async fn reap(
        &self,
        queue: &QueueName,
        limit: usize,
        lease_expired: Bytes,
    ) -> Result<Reaped, StorageError> {
        let queue = queue.clone();
        self.write("reap", move |step| reap::reap(step, &queue, limit, &lease_expired)).await
    }

    async fn lead(&self, role: &QueueName, holder: &WorkerId, ttl: Duration) -> Result<bool, StorageError> {
        let (role, holder) = (role.clone(), holder.clone());
        self.write("take a role", move |step| settings::lead(step, &role, &holder, millis(ttl))).await
    }

    async fn resign(&self, role: &QueueName, holder: &WorkerId) -> Result<(), StorageError> {
        let (role, holder) = (role.clone(), holder.clone());
        self.write("give a role up", move |step| settings::resign(step, &role, &holder)).await
    }

    async fn events(&self, queue: &QueueName) -> Result<BoxStream<'static, Event>, StorageError> {
        let events = self.hints.events(queue).ok_or(StorageError::Closed)?;
        self.attention.want();
        Ok(events)
    }

    async fn close(&self) -> Result<(), StorageError> {
        let threads = self.stop();
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(|t| t.join()));
        match joined.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(refused("close", std::io::Error::other("a thread of the storage panicked"))),
            Err(error) => Err(refused("close", error)),
        }
    }
}
