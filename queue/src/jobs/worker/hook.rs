//! What an application does after a job has ended, before that is reported.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tracing::error;

use crate::jobs::failure::JobError;
use crate::jobs::job::StorageTime;
use crate::jobs::name::{JobId, WorkerId};

/// A job that is about to be completed or to go to the dead letter, for the hook. Attempts that are followed by
/// another do not come here.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended<O> {
    /// Its id.
    pub id: JobId,
    /// What the handler returned, or why the job goes to the dead letter.
    pub result: Result<O, JobError>,
    /// How long it will be kept if it has completed.
    pub retention: Duration,
    /// Which delivery it was.
    pub delivery: u32,
    /// How many it had.
    pub max_deliveries: u32,
    /// When it was enqueued.
    pub created_at: StorageTime,
    /// Who did it.
    pub worker: WorkerId,
    /// How long the handler ran.
    pub ran: Duration,
}

/// What the hook wants otherwise. Nothing by default.
#[derive(Debug)]
pub struct Changes<O> {
    /// Another output. For completed jobs.
    pub output: Option<O>,
    /// Another error. For failed ones.
    pub error: Option<JobError>,
    /// Another retention. For completed jobs.
    pub retention: Option<Duration>,
}

/// The hook of a worker.
pub(super) type Hook<O> = Box<dyn Fn(Arc<Ended<O>>) -> BoxFuture<'static, Changes<O>> + Send + Sync>;

impl<O> Default for Changes<O> {
    fn default() -> Self {
        Self { output: None, error: None, retention: None }
    }
}

/// Runs the hook. If it panics, the job ends as it would have without.
pub(super) async fn run<O>(hook: &Hook<O>, ended: &Arc<Ended<O>>) -> Changes<O> {
    let hooked = AssertUnwindSafe(async { hook(Arc::clone(ended)).await }).catch_unwind();
    hooked.await.unwrap_or_else(|_| {
        error!(id = %ended.id, "the hook after a job panicked; the job ends as if there were none");
        Changes::default()
    })
}
