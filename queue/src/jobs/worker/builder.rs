//! How a worker is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::hook::{Changes, Ended, Hook};
use super::{Backoff, JobContext, Settings, Worker};
use crate::jobs::codec::{Codec, Json};
use crate::jobs::failure::Failure;
use crate::jobs::name::WorkerId;
use crate::jobs::queue::{BuildError, Queue};
use crate::jobs::reaper::Reaper;

/// The shortest lease: time for a few renewals on a busy machine.
const LEAST_LEASE: Duration = Duration::from_millis(100);
/// The longest time that makes sense anywhere here.
const MOST: Duration = Duration::from_secs(365 * 86400);

/// Sets up a [`Worker`].
#[must_use = "nothing is built before `build`"]
pub struct WorkerBuilder<P, O, H, C = Json> {
    queue: Queue<P, O, C>,
    handler: H,
    name: Option<String>,
    concurrency: usize,
    lease: Duration,
    heartbeat: Option<Duration>,
    backoff: Backoff,
    grace: Duration,
    idle: Duration,
    hook: Option<Hook<O>>,
    reap: bool,
}

impl<P, O, H, F, C> Worker<P, O, H, C>
where
    H: Fn(JobContext<P>) -> F,
    F: Future<Output = Result<O, Failure>>,
{
    /// A worker for a queue. The handler is an async closure or function that gets a [`JobContext`]; every error
    /// that it returns with `?` becomes a [`Failure`]. A closure that captures something has the form
    /// `move |job| { let it = it.clone(); async move { … } }`: its futures must own what they use.
    pub fn builder(queue: Queue<P, O, C>, handler: H) -> WorkerBuilder<P, O, H, C> {
        WorkerBuilder {
            queue,
            handler,
            name: None,
            concurrency: 1,
            lease: Duration::from_secs(30),
            heartbeat: None,
            backoff: Backoff::default(),
            grace: Duration::from_secs(30),
            idle: Duration::from_secs(10),
            hook: None,
            reap: true,
        }
    }
}

impl<P, O, H, C: Codec> WorkerBuilder<P, O, H, C> {
    /// Its name, for people. A new one if not set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// At most so many jobs at once. 1 if not set.
    pub const fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs;
        self
    }

    /// How long a job is this worker's without news of it: how long after a crash the job waits. Running jobs are
    /// renewed for as long as they take. 30 s if not set, at least 100 ms.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How often leases are renewed, and wanted ends noticed. A third of the lease if not set, and at most half.
    pub const fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = Some(every);
        self
    }

    /// The delays between attempts.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long jobs at work may take to end when the worker is told to stop; the rest is handed back. 30 s if not
    /// set.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long to wait for news of jobs before asking anyway. 10 s if not set.
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// What to do after a job, before its end is reported: it may change output, error and retention. Not called
    /// when another attempt follows. If it panics, nothing changes.
    pub fn after<A, B>(mut self, hook: A) -> Self
    where
        A: Fn(Arc<Ended<O>>) -> B + Send + Sync + 'static,
        B: Future<Output = Changes<O>> + Send + 'static,
    {
        self.hook = Some(Box::new(move |ended| hook(ended).boxed()));
        self
    }

    /// Whether it brings a [`Reaper`]. It does if not set; all workers of a queue elect one of theirs.
    pub const fn reap(mut self, reap: bool) -> Self {
        self.reap = reap;
        self
    }

    /// The worker, which begins when it is started.
    ///
    /// # Errors
    /// If options make no sense, with all of them.
    pub fn build(self) -> Result<Worker<P, O, H, C>, BuildError> {
        let mut problems = Vec::new();
        let heartbeat = self.heartbeat.unwrap_or(self.lease / 3);
        let mut must = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        must(self.concurrency > 0, "concurrency must be at least 1".to_owned());
        must(self.lease >= LEAST_LEASE, format!("lease must be at least {LEAST_LEASE:?}"));
        must(
            self.lease.max(self.grace).max(self.idle) <= MOST,
            "lease, grace and idle must be at most a year".to_owned(),
        );
        must(!heartbeat.is_zero(), "heartbeat must not be zero".to_owned());
        must(heartbeat <= self.lease / 2, "heartbeat must be at most half the lease".to_owned());
        must(!self.idle.is_zero(), "idle must not be zero".to_owned());
        must((0.0..=1.0).contains(&self.backoff.jitter), "jitter must be from 0 to 1".to_owned());
        let id = self.name.map_or_else(|| Ok(WorkerId::unique("worker")), WorkerId::new);
        let id = id.map_err(|error| problems.push(error.to_string()));
        let (Ok(id), true) = (id, problems.is_empty()) else { return Err(BuildError { problems }) };
        let reaper = self.reap.then(|| Reaper::of_worker(&self.queue, self.lease));
        let Self { queue, handler, concurrency, lease, backoff, grace, idle, hook, .. } = self;
        let settings = Settings { id, concurrency, lease, heartbeat, backoff, grace, idle };
        Ok(Worker { queue, handler, settings, hook, reaper })
    }
}

impl<P, O, H, C: Codec> fmt::Debug for WorkerBuilder<P, O, H, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("WorkerBuilder");
        shown.field("queue", &self.queue).field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}
