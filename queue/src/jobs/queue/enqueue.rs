//! Jobs come in.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::{Core, Queue, QueueError};
use crate::jobs::codec::Codec;
use crate::jobs::job::{Generation, JobOptions, JobState, NewJob};
use crate::jobs::name::JobId;
use crate::jobs::storage::Enqueued;

/// Times that a job which is forgotten just while it is looked at is enqueued anew.
const ATTEMPTS: usize = 4;

/// How one job is treated. What is not set is as the queue has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EnqueueOptions {
    /// Higher ones go first.
    pub priority: Option<i32>,
    /// Not before so long from now.
    pub delay: Option<Duration>,
    /// How many deliveries it gets in all; 0 is taken as 1.
    pub max_deliveries: Option<u32>,
    /// How long it is kept once it has completed, and with it its id.
    pub retention: Option<Duration>,
}

/// What became of a job that was to be enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted<O> {
    /// It is in the queue.
    New(Generation),
    /// Another job has the id and has not completed, or is dead; it stays as it is.
    Duplicate(JobState),
    /// Another job has the id and has completed, with this output.
    Completed(O),
}

impl<P: Serialize, O: DeserializeOwned, C: Codec> Queue<P, O, C> {
    /// Enqueues a job, unless another has its id. Once this returns, the job will be delivered: at least once, as
    /// durably as the storage keeps it.
    ///
    /// # Errors
    /// If the id or the payload can't be one, or the storage fails.
    pub async fn enqueue(
        &self,
        id: impl AsRef<str>,
        payload: &P,
        options: EnqueueOptions,
    ) -> Result<Accepted<O>, QueueError> {
        let job = self.core.new_job(JobId::new(id)?, payload, options)?;
        for _ in 0..ATTEMPTS {
            let state = match self.core.enqueue_one(job.clone()).await? {
                Enqueued::New(generation) => return Ok(Accepted::New(generation)),
                Enqueued::Duplicate(state) => state,
            };
            if state != JobState::Completed {
                return Ok(Accepted::Duplicate(state));
            }
            if let Some(held) = self.core.storage.get(&self.core.name, &job.id).await? {
                return self.core.accepted(held);
            }
        }
        Ok(Accepted::Duplicate(JobState::Completed))
    }

    /// Enqueues a job with an id of its own: a ULID, which sorts by time.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_new(&self, payload: &P, options: EnqueueOptions) -> Result<JobId, QueueError> {
        let id = JobId::unique();
        let job = self.core.new_job(id.clone(), payload, options)?;
        self.core.enqueue_one(job).await?;
        Ok(id)
    }

    /// Enqueues many in one step, each for itself: an answer for each, in order.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), and then none was enqueued.
    pub async fn enqueue_many<'a>(
        &self,
        jobs: impl IntoIterator<Item = (JobId, &'a P)>,
        options: EnqueueOptions,
    ) -> Result<Vec<Enqueued>, QueueError>
    where
        P: 'a,
    {
        let jobs = jobs.into_iter().map(|(id, payload)| self.core.new_job(id, payload, options));
        self.core.enqueue_all(jobs.collect::<Result<_, _>>()?).await
    }

    /// An id made of the content: the SHA-256 of the encoded payload, in hexadecimal. The same payload is then
    /// the same job. Encode no maps without order in it, or it differs from time to time.
    ///
    /// # Errors
    /// If the payload can't be encoded.
    pub fn content_id(&self, payload: &P) -> Result<JobId, QueueError> {
        let bytes = self.core.codec.encode(payload).map_err(QueueError::Encode)?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        Ok(JobId::new(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())?)
    }
}

impl<C: Codec> Core<C> {
    pub(super) fn new_job<P: Serialize>(
        &self,
        id: JobId,
        payload: &P,
        options: EnqueueOptions,
    ) -> Result<NewJob, QueueError> {
        let payload: Bytes = self.codec.encode(payload).map_err(QueueError::Encode)?;
        if payload.len() > self.max_payload {
            return Err(QueueError::PayloadTooLarge { len: payload.len(), limit: self.max_payload });
        }
        Ok(NewJob { id, payload, options: options.or(&self.defaults) })
    }

    pub(super) async fn enqueue_one(&self, job: NewJob) -> Result<Enqueued, QueueError> {
        let answers = self.enqueue_all(vec![job]).await?;
        // One answer for one job is what a storage promises.
        Ok(answers.into_iter().next().unwrap_or(Enqueued::Duplicate(JobState::Waiting)))
    }

    async fn enqueue_all(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, QueueError> {
        let answers = self.storage.enqueue(&self.name, jobs).await?;
        let new = answers.iter().filter(|answer| matches!(answer, Enqueued::New(_))).count();
        self.observe.enqueued(&self.name, new);
        if new < answers.len() {
            self.observe.duplicates(&self.name, answers.len() - new);
        }
        Ok(answers)
    }

    fn accepted<O: DeserializeOwned>(&self, held: crate::jobs::Job) -> Result<Accepted<O>, QueueError> {
        match held.output {
            Some(output) => self.decode(&held.id, "output", &output).map(Accepted::Completed),
            None => Ok(Accepted::Duplicate(held.state)),
        }
    }

    pub(super) fn decode<T: DeserializeOwned>(
        &self,
        id: &JobId,
        what: &'static str,
        bytes: &[u8],
    ) -> Result<T, QueueError> {
        let decoded = self.codec.decode(bytes);
        decoded.map_err(|source| QueueError::Decode { id: id.clone(), what, source })
    }
}

impl EnqueueOptions {
    fn or(self, defaults: &JobOptions) -> JobOptions {
        JobOptions {
            priority: self.priority.unwrap_or(defaults.priority),
            delay: self.delay.unwrap_or(defaults.delay),
            max_deliveries: self.max_deliveries.unwrap_or(defaults.max_deliveries).max(1),
            retention: self.retention.unwrap_or(defaults.retention),
        }
    }
}
