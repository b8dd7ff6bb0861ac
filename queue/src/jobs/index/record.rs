//! One job as the index keeps it: everything that there is to know of it, and thus what a log has to hold.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::jobs::job::{Generation, Job, JobOptions, JobState, StorageTime, Token};
use crate::jobs::name::{JobId, WorkerId};

/// A job in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: JobId,
    /// Which of the jobs with this id.
    pub generation: Generation,
    /// What it was enqueued with.
    pub payload: Bytes,
    /// As enqueued; the retention as changed later.
    pub options: JobOptions,
    /// How many times it was claimed, without those that were handed back.
    pub deliveries: u32,
    /// When it was enqueued.
    pub created_at: StorageTime,
    /// When it becomes ready, or became ready last. Its place in line, which it keeps when it is handed back.
    pub ready_at: StorageTime,
    /// Somebody asked for its end while it was active.
    pub cancel_requested: bool,
    /// Why the last attempt failed.
    pub error: Option<Bytes>,
    /// Where it is.
    pub place: Place,
}

/// Where a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In line: waiting, or delayed if `ready_at` is still to come.
    Line,
    /// With a worker.
    Active {
        /// Which one.
        worker: WorkerId,
        /// Its proof.
        token: Token,
        /// When the lease expires.
        until: StorageTime,
    },
    /// Ended well.
    Completed {
        /// What the handler returned.
        output: Bytes,
        /// When it ended.
        at: StorageTime,
        /// When it will be forgotten.
        expires_at: StorageTime,
    },
    /// In the dead letter.
    Dead {
        /// When it ended.
        at: StorageTime,
        /// When it will be forgotten, if it was said that it should be.
        expires_at: Option<StorageTime>,
    },
}

impl Record {
    /// Bytes that it takes in a log, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        let place = match &self.place {
            Place::Completed { output, .. } => output.len(),
            Place::Active { worker, .. } => worker.as_str().len(),
            Place::Line | Place::Dead { .. } => 0,
        };
        96 + self.id.as_str().len() + self.payload.len() + place + self.error.as_ref().map_or(0, Bytes::len)
    }

    /// Whether it is forgotten in the end without being asked to go.
    pub(super) const fn expires(&self) -> bool {
        matches!(self.place, Place::Completed { .. } | Place::Dead { expires_at: Some(_), .. })
    }

    /// Where it is, at a moment.
    #[must_use]
    pub fn state(&self, now: StorageTime) -> JobState {
        match self.place {
            Place::Line if self.ready_at <= now => JobState::Waiting,
            Place::Line => JobState::Delayed,
            Place::Active { .. } => JobState::Active,
            Place::Completed { .. } => JobState::Completed,
            Place::Dead { .. } => JobState::Dead,
        }
    }

    /// When it will be forgotten.
    #[must_use]
    pub fn expires_at(&self) -> Option<StorageTime> {
        match self.place {
            Place::Line | Place::Active { .. } => None,
            Place::Completed { expires_at, .. } => Some(expires_at),
            Place::Dead { expires_at, .. } => expires_at,
        }
    }

    /// Whether it is as good as gone.
    #[must_use]
    pub fn is_expired(&self, now: StorageTime) -> bool {
        self.expires_at().is_some_and(|at| at <= now)
    }

    /// The job as others see it.
    #[must_use]
    pub fn job(&self, now: StorageTime) -> Job {
        let (lease, output, ended_at) = match &self.place {
            Place::Line => (None, None, None),
            Place::Active { worker, until, .. } => (Some((worker.clone(), *until)), None, None),
            Place::Completed { output, at, .. } => (None, Some(output.clone()), Some(*at)),
            Place::Dead { at, .. } => (None, None, Some(*at)),
        };
        Job {
            id: self.id.clone(),
            generation: self.generation,
            state: self.state(now),
            payload: self.payload.clone(),
            options: self.options.clone(),
            deliveries: self.deliveries,
            created_at: self.created_at,
            ready_at: self.ready_at,
            ended_at,
            expires_at: self.expires_at(),
            lease,
            cancel_requested: self.cancel_requested,
            output,
            error: self.error.clone(),
        }
    }
}
