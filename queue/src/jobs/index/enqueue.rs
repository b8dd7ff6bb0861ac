//! Jobs come in.

use std::collections::HashSet;

use super::queue::QueueIndex;
use super::record::{Place, Record};
use crate::jobs::error::StorageError;
use crate::jobs::job::{Generation, JobState, NewJob, StorageTime};
use crate::jobs::storage::Enqueued;

impl QueueIndex {
    /// Enqueues jobs; see [`Storage::enqueue`](crate::jobs::Storage::enqueue).
    ///
    /// # Errors
    /// [`StorageError::QueueFull`], and then nothing was enqueued.
    pub fn enqueue(&mut self, now: StorageTime, jobs: &[NewJob]) -> Result<Vec<Enqueued>, StorageError> {
        if let Some(limit) = self.settings.max_jobs {
            self.check_room(now, jobs, limit)?;
        }
        Ok(jobs.iter().map(|job| self.enqueue_one(now, job)).collect())
    }

    fn enqueue_one(&mut self, now: StorageTime, job: &NewJob) -> Enqueued {
        if let Some(holder) = self.record(&job.id) {
            if !holder.is_expired(now) {
                return Enqueued::Duplicate(holder.state(now));
            }
            self.forget(&job.id);
        }
        let generation = Generation(self.next_number());
        let ready_at = now.after(job.options.delay);
        let record = Record {
            id: job.id.clone(),
            generation,
            payload: job.payload.clone(),
            options: job.options.clone(),
            deliveries: 0,
            created_at: now,
            ready_at,
            cancel_requested: false,
            error: None,
            place: Place::Line,
        };
        self.enter(record, now);
        Enqueued::New(generation)
    }

    fn check_room(&self, now: StorageTime, jobs: &[NewJob], limit: u64) -> Result<(), StorageError> {
        let new: HashSet<_> =
            jobs.iter().map(|job| &job.id).filter(|id| self.living(id, now).is_none()).collect();
        let unfinished = [JobState::Waiting, JobState::Delayed, JobState::Active]
            .map(|state| self.orders.list(state).len())
            .iter()
            .sum::<usize>();
        let wanted = unfinished.saturating_add(new.len());
        if new.is_empty() || u64::try_from(wanted).is_ok_and(|wanted| wanted <= limit) {
            return Ok(());
        }
        Err(StorageError::QueueFull { limit })
    }
}
