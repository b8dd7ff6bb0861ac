//! Enqueue a job and wait for its output, wherever it is done.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::waiters::Waiter;
use super::{Core, EnqueueOptions, Queue, QueueError, WaitError};
use crate::jobs::codec::Codec;
use crate::jobs::error::StorageError;
use crate::jobs::failure::JobError;
use crate::jobs::job::{Generation, Job, JobState};
use crate::jobs::name::JobId;
use crate::jobs::storage::Enqueued;

/// A waiter that was told nothing reads the state this often, in case what it should have been told was lost.
const REREAD: Duration = Duration::from_secs(3);

impl<P: Serialize, O: DeserializeOwned, C: Codec> Queue<P, O, C> {
    /// Enqueues a job and waits for its output. If another job has the id, its output is waited for, or given at
    /// once if it has completed. The worker may be in any process, and may die: the next delivery answers.
    ///
    /// # Errors
    /// If the job failed for good, was cancelled or removed, or did not end within `timeout`; in the last case it
    /// goes on. Or as [`enqueue`](Self::enqueue).
    pub async fn enqueue_and_wait(
        &self,
        id: impl AsRef<str>,
        payload: &P,
        options: EnqueueOptions,
        timeout: Duration,
    ) -> Result<O, WaitError> {
        let deadline = deadline(timeout);
        let id = JobId::new(id).map_err(QueueError::from)?;
        let job = self.core.new_job(id.clone(), payload, options)?;
        let steps = async {
            let waiter = self.core.waiters.join(&id).await?;
            match self.core.enqueue_one(job).await? {
                // It was not there before, so its end is still to come: no need to look now.
                Enqueued::New(generation) => Ok((waiter, Some(generation))),
                Enqueued::Duplicate(_) => Ok::<_, WaitError>((waiter, None)),
            }
        };
        let timed_out = || WaitError::TimedOut { id: id.clone(), waited: timeout };
        let (mut waiter, generation) = timeout_at(deadline, steps).await.map_err(|_| timed_out())??;
        let ended = self.core.ended(&id, &mut waiter, generation, deadline).await?;
        ended.map_or_else(|| Err(timed_out()), |job| self.core.outcome(job))
    }

    /// Waits for the output of a job that was enqueued before.
    ///
    /// # Errors
    /// As [`enqueue_and_wait`](Self::enqueue_and_wait); an unknown id is [`WaitError::Gone`].
    pub async fn wait(&self, id: impl AsRef<str>, timeout: Duration) -> Result<O, WaitError> {
        let deadline = deadline(timeout);
        let id = JobId::new(id).map_err(QueueError::from)?;
        let timed_out = || WaitError::TimedOut { id: id.clone(), waited: timeout };
        let joined = timeout_at(deadline, self.core.waiters.join(&id)).await;
        let mut waiter = joined.map_err(|_| timed_out())??;
        let ended = self.core.ended(&id, &mut waiter, None, deadline).await?;
        ended.map_or_else(|| Err(timed_out()), |job| self.core.outcome(job))
    }
}

impl<C: Codec> Core<C> {
    /// The job once it has ended; none if it did not by the deadline. `mine` is the generation if the job was just
    /// enqueued; else it is the one that is there now.
    async fn ended(
        &self,
        id: &JobId,
        waiter: &mut Waiter,
        mine: Option<Generation>,
        deadline: Instant,
    ) -> Result<Option<Job>, WaitError> {
        let (mut mine, mut look) = (mine, mine.is_none());
        loop {
            let is_over = Instant::now() >= deadline;
            if look || is_over {
                match self.look(id, mine, deadline).await? {
                    Look::Ended(job) => return Ok(Some(*job)),
                    Look::Unknown => {}
                    Look::Unfinished(generation) => mine = Some(generation),
                }
            }
            if is_over {
                return Ok(None);
            }
            // What happened since the waiter joined wakes it, so nothing is missed between. An elapsed time is as
            // good as being woken.
            let _ = timeout_at(deadline.min(Instant::now() + REREAD), waiter.woken()).await;
            look = true;
        }
    }

    async fn look(&self, id: &JobId, mine: Option<Generation>, deadline: Instant) -> Result<Look, WaitError> {
        // At the deadline there is time for one last look.
        let until = deadline.max(Instant::now() + REREAD / 3);
        let job = match timeout_at(until, self.storage.get(&self.name, id)).await {
            Ok(Ok(Some(job))) => job,
            Ok(Ok(None)) => return Err(WaitError::Gone(id.clone())),
            Ok(Err(error)) if error.is_transient() => return Ok(Look::Unknown),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Ok(Look::Unknown),
        };
        if mine.is_some_and(|mine| mine != job.generation) {
            return Err(WaitError::Gone(id.clone()));
        }
        Ok(if job.state.is_ended() { Look::Ended(Box::new(job)) } else { Look::Unfinished(job.generation) })
    }

    fn outcome<O: DeserializeOwned>(&self, job: Job) -> Result<O, WaitError> {
        match (job.state, &job.output) {
            (JobState::Completed, Some(output)) => Ok(self.decode(&job.id, "output", output)?),
            (JobState::Dead, _) => {
                let error = JobError::from_bytes(job.error.as_deref().unwrap_or_default());
                Err(WaitError::Dead { id: job.id, error })
            }
            _ => Err(StorageError::Corrupt { what: format!("job {} without output", job.id) }.into()),
        }
    }
}

/// When a wait is over; in thirty years if it is to last longer.
fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_secs(30 * 365 * 86400))
}

/// What a look at a job showed.
enum Look {
    Ended(Box<Job>),
    Unfinished(Generation),
    Unknown,
}
