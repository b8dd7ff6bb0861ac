//! What is asked about single jobs, and what is done to them.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Core, Queue, QueueError};
use crate::jobs::codec::Codec;
use crate::jobs::failure::JobError;
use crate::jobs::job::{Job, JobState};
use crate::jobs::name::JobId;
use crate::jobs::storage::Cancelled;

/// A job as it stands, with its types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status<O> {
    /// Where it is.
    pub state: JobState,
    /// What its handler returned, once it has completed.
    pub output: Option<O>,
    /// Why its last attempt failed, if one did.
    pub error: Option<JobError>,
    /// All else that is known.
    pub job: Job,
}

impl<P, O: DeserializeOwned, C: Codec> Queue<P, O, C> {
    /// A job as it stands; none if the id is free.
    ///
    /// # Errors
    /// If the storage fails or the output is not of this type.
    pub async fn status(&self, id: impl AsRef<str>) -> Result<Option<Status<O>>, QueueError> {
        let job = self.core.storage.get(&self.core.name, &JobId::new(id)?).await?;
        job.map(|job| self.core.status(job)).transpose()
    }

    /// The output of a job that has completed; none if it has not, or the id is free.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn result(&self, id: impl AsRef<str>) -> Result<Option<O>, QueueError> {
        Ok(self.status(id).await?.and_then(|status| status.output))
    }

    /// Ends a job that waits, and frees its id. A running one is asked to end: see
    /// [`JobContext::cancelled`](crate::jobs::JobContext::cancelled).
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn cancel(&self, id: impl AsRef<str>) -> Result<Cancelled, QueueError> {
        Ok(self.core.storage.cancel(&self.core.name, &JobId::new(id)?).await?)
    }

    /// Removes a job that has ended, and frees its id. `false` if there is none.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn remove(&self, id: impl AsRef<str>) -> Result<bool, QueueError> {
        Ok(self.core.storage.remove(&self.core.name, &JobId::new(id)?).await?)
    }

    /// Keeps a job that has ended for so long from now. `false` if there is none.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn set_retention(&self, id: impl AsRef<str>, retention: Duration) -> Result<bool, QueueError> {
        Ok(self.core.storage.set_retention(&self.core.name, &JobId::new(id)?, retention).await?)
    }
}

impl<C: Codec> Core<C> {
    fn status<O: DeserializeOwned>(&self, job: Job) -> Result<Status<O>, QueueError> {
        let output = job.output.as_deref().map(|output| self.decode(&job.id, "output", output));
        let error = job.error.as_deref().map(JobError::from_bytes);
        Ok(Status { state: job.state, output: output.transpose()?, error, job })
    }
}
