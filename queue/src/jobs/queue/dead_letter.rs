//! Jobs that failed for good, for people to look at: they stay until retried or removed.

use serde::de::DeserializeOwned;

use super::{Queue, QueueError};
use crate::jobs::codec::Codec;
use crate::jobs::failure::JobError;
use crate::jobs::job::{Generation, Job, JobState};
use crate::jobs::name::JobId;

/// The dead letter of a queue.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use lockstep_queue::jobs::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let storage = Arc::new(MemoryStorage::new());
/// let queue: Queue<u64, u64> = Queue::builder(storage, "numbers").build()?;
/// let refuse = async |job: JobContext<u64>| Err::<u64, _>(Failure::permanent("not today"));
/// let worker = Worker::builder(queue.clone(), refuse).build()?.start();
/// let failed = queue.enqueue_and_wait("a", &1, EnqueueOptions::default(), Duration::from_secs(5)).await;
/// assert!(matches!(failed, Err(WaitError::Dead { .. })));
/// worker.shutdown().await?;
///
/// let letter = queue.dead_letter();
/// for (job, error) in letter.list(None, 100).await? {
///     assert_eq!((job.id.as_str(), error.message.as_str()), ("a", "not today"));
/// }
/// assert!(letter.retry("a").await?);
/// assert_eq!(queue.counts().await?.waiting, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DeadLetter<'a, P, O, C: Codec>(&'a Queue<P, O, C>);

impl<P, O, C: Codec> Queue<P, O, C> {
    /// Its dead letter.
    #[must_use]
    pub const fn dead_letter(&self) -> DeadLetter<'_, P, O, C> {
        DeadLetter(self)
    }
}

impl<P: DeserializeOwned, O: DeserializeOwned, C: Codec> DeadLetter<'_, P, O, C> {
    /// Dead jobs and why they failed, oldest first, at most `limit`, from the one after `after`.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn list(
        &self,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<(Job, JobError)>, QueueError> {
        let jobs = self.0.list(JobState::Dead, after, limit).await?;
        Ok(jobs.into_iter().map(with_error).collect())
    }

    /// One dead job and why it failed; none if no dead job has this id.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn inspect(&self, id: impl AsRef<str>) -> Result<Option<(Job, JobError)>, QueueError> {
        let core = &self.0.core;
        let job = core.storage.get(&core.name, &JobId::new(id)?).await?;
        Ok(job.filter(|job| job.state == JobState::Dead).map(with_error))
    }

    /// The payload of a dead job.
    ///
    /// # Errors
    /// If it is not of the queue's type, which may be why the job is here.
    pub fn payload(&self, job: &Job) -> Result<P, QueueError> {
        self.0.core.decode(&job.id, "payload", &job.payload)
    }

    /// Makes a dead job ready again, with all its deliveries. `false` if no dead job has this id.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn retry(&self, id: impl AsRef<str>) -> Result<bool, QueueError> {
        let core = &self.0.core;
        Ok(core.storage.retry(&core.name, &JobId::new(id)?).await?)
    }

    /// Removes a dead job and frees its id. `false` if no dead job has this id.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn remove(&self, id: impl AsRef<str>) -> Result<bool, QueueError> {
        let id = id.as_ref();
        Ok(self.inspect(id).await?.is_some() && self.0.remove(id).await?)
    }
}

fn with_error(job: Job) -> (Job, JobError) {
    let error = JobError::from_bytes(job.error.as_deref().unwrap_or_default());
    (job, error)
}
