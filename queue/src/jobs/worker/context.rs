//! What a handler gets.

use std::sync::Arc;

use super::lease::Lease;
use crate::jobs::job::{JobOptions, StorageTime};
use crate::jobs::name::JobId;

/// A job, for its handler.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobContext<P> {
    /// Its id.
    pub id: JobId,
    /// What it was enqueued with.
    pub payload: P,
    /// Which delivery this is, from 1. At the second, the job may have been done already, in part or whole.
    pub delivery: u32,
    /// How it is treated.
    pub options: JobOptions,
    /// When it was enqueued.
    pub created_at: StorageTime,
    pub(super) lease: Arc<Lease>,
}

impl<P> JobContext<P> {
    /// Returns when somebody asked for the end of this job, which is noticed at the next heartbeat. The handler may
    /// then return any error, and the job is gone; if it returns an output, the job has completed in spite of it.
    pub async fn cancelled(&self) {
        self.lease.end_wanted().await;
    }

    /// Whether somebody asked for the end of this job.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.lease.is_end_wanted() || self.lease.is_lost()
    }

    /// Whether this is the last delivery: a failure now sends the job to the dead letter.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.delivery >= self.options.max_deliveries
    }
}
