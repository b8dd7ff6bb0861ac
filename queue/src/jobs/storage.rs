//! What a storage does for queues. Every method that changes a job is one atomic, conditional transition: it
//! happens wholly or not at all, and only if the job is where the method expects it. What a storage says about
//! new work or changes is a hint; the truth is what it answers when asked.
//!
//! Rules for implementations:
//! - The storage's clock decides: of one server, or one clock that never goes back inside one process.
//! - A claim sets state, owner, lease, delivery count and token together. Deliveries are counted at the claim.
//! - [`finish`](Storage::finish) and [`extend`](Storage::extend) check the token; with another one, or after
//!   [`reap`](Storage::reap) took the job back, they change nothing. A lease that expired but was not taken back
//!   still counts: nobody else has the job.
//! - Dropping a future at any await loses no job: either nothing happened, or what was claimed comes back by
//!   its lease.
//! - Costs do not grow with the number of jobs, but for logarithms.
//! - A payload, output or error over [`MAX_PAYLOAD`](super::MAX_PAYLOAD) fails the call before it changes
//!   anything.
//! - An expired, not yet removed job is as good as gone: its id can be enqueued again.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::error::StorageError;
use super::event::Event;
use super::job::{Claimed, Generation, Job, JobState, NewJob, Token};
use super::name::{JobId, QueueName, WorkerId};

/// Keeps jobs. Object-safe: queues hold an `Arc<dyn Storage>`.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// Enqueues jobs, each for itself: the answer has one entry for each, in order. When it returns, they are
    /// as durable as the storage makes them. If not all that are new fit into
    /// [`Settings::max_jobs`], none is taken and it fails with [`StorageError::QueueFull`].
    async fn enqueue(&self, queue: &QueueName, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StorageError>;

    /// Reports how deliveries ended, and claims more in the same step where `next` asks for it. One entry of
    /// [`Finished::outcomes`] for each entry of `ends`, in order.
    async fn finish(
        &self,
        queue: &QueueName,
        ends: Vec<Finish>,
        next: Option<Claim>,
    ) -> Result<Finished, StorageError>;

    /// Returns when there may be something to claim: because of an enqueue, a job that became ready, a resume,
    /// or a lease that was given back, and at the latest after `at_most`. It may return for nothing. Does not
    /// poll where the storage can notify.
    async fn wait_for_work(&self, queue: &QueueName, at_most: Duration) -> Result<(), StorageError>;

    /// Makes leases last from now for `lease` more. One entry for each, in order.
    async fn extend(
        &self,
        queue: &QueueName,
        leases: Vec<(JobId, Token)>,
        lease: Duration,
    ) -> Result<Vec<Extended>, StorageError>;

    /// The job as it stands; none if the id is free.
    async fn get(&self, queue: &QueueName, id: &JobId) -> Result<Option<Job>, StorageError>;

    /// Ends a waiting, delayed or dead job, and frees its id at once. Of an active one it notes that its end is
    /// wanted, which [`extend`](Self::extend) tells its worker.
    async fn cancel(&self, queue: &QueueName, id: &JobId) -> Result<Cancelled, StorageError>;

    /// Makes a dead job ready again, with its deliveries counted from 0. `false` if it is not dead.
    async fn retry(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError>;

    /// Removes an ended job and frees its id. `false` if there is none that has ended.
    async fn remove(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError>;

    /// Changes how long an ended job is kept, counted from now. `false` if there is none that has ended.
    async fn set_retention(
        &self,
        queue: &QueueName,
        id: &JobId,
        retention: Duration,
    ) -> Result<bool, StorageError>;

    /// Jobs in a state, in the order of their generation, at most `limit`, from the one after `after`: the last
    /// of the page before, which may be gone meanwhile.
    async fn list(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<Job>, StorageError>;

    /// How many jobs are in each state, and whether the queue is paused. Zeros for a queue it never saw.
    async fn counts(&self, queue: &QueueName) -> Result<Counts, StorageError>;

    /// The queues that hold a job or a setting.
    async fn queues(&self) -> Result<Vec<QueueName>, StorageError>;

    /// Sets what holds for the whole queue, on all machines. Durable.
    async fn configure(&self, queue: &QueueName, settings: Settings) -> Result<(), StorageError>;

    /// What [`configure`](Self::configure) set last.
    async fn settings(&self, queue: &QueueName) -> Result<Settings, StorageError>;

    /// Upkeep, in steps of at most `limit` jobs: takes back what has an expired lease (to waiting, or to the
    /// dead letter with `lease_expired` as its error after its last delivery; where the end of the job was
    /// wanted, it is gone), makes delayed jobs ready whose time came, and forgets ended jobs whose retention is
    /// over. Safe with any number of callers at once.
    async fn reap(
        &self,
        queue: &QueueName,
        limit: usize,
        lease_expired: Bytes,
    ) -> Result<Reaped, StorageError>;

    /// Takes or keeps a role, such as that of the reaper, for `ttl` by the storage's clock. `true` if `holder`
    /// has it now.
    async fn lead(&self, role: &QueueName, holder: &WorkerId, ttl: Duration) -> Result<bool, StorageError>;

    /// Gives a role up, if `holder` has it.
    async fn resign(&self, role: &QueueName, holder: &WorkerId) -> Result<(), StorageError>;

    /// What happens in a queue from now on, on all machines: hints, which can be missing or late. The stream
    /// ends when the storage is closed.
    async fn events(&self, queue: &QueueName) -> Result<BoxStream<'static, Event>, StorageError>;

    /// Ends background work and connections. Others who share the storage get [`StorageError::Closed`] then.
    async fn close(&self) -> Result<(), StorageError>;
}

/// What became of a job that was to be enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is in the queue.
    New(Generation),
    /// The id is taken: the job that holds it stays as it is.
    Duplicate(JobState),
}

/// A wish for jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// For whom.
    pub worker: WorkerId,
    /// At most so many. At least 1.
    pub max: usize,
    /// For how long, unless extended.
    pub lease: Duration,
}

/// How one delivery ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// Which job.
    pub id: JobId,
    /// Proof of its lease.
    pub token: Token,
    /// What is to become of it.
    pub end: End,
}

/// What becomes of a job whose delivery ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It is done. Kept for `retention`.
    Complete {
        /// What its handler returned.
        output: Bytes,
        /// How long to keep it.
        retention: Duration,
    },
    /// To be delivered again after `delay`, in spite of the delivery count, which the caller has compared.
    Retry {
        /// How long to wait.
        delay: Duration,
        /// Why it failed.
        error: Bytes,
    },
    /// Into the dead letter.
    Dead {
        /// Why it failed.
        error: Bytes,
    },
    /// Handed back unharmed: waiting again, at the front of its priority; the delivery is not counted.
    Release,
    /// Its end was wanted: it is gone, and its id free.
    Cancelled,
}

/// What [`Storage::finish`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// For each end in order.
    pub outcomes: Vec<EndOutcome>,
    /// What was claimed.
    pub claimed: Vec<Claimed>,
    /// When nothing more was to be had: in how long a delayed job or an expiring lease will be due, if known.
    pub next_in: Option<Duration>,
}

/// What [`Storage::finish`] did with one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOutcome {
    /// It took effect.
    Done,
    /// The job's end was wanted: instead of lying dead, or being delivered once more, it is gone.
    Cancelled,
    /// The lease was lost, which is final.
    Lost,
}

impl EndOutcome {
    /// Whether an end that took effect puts the job back in line.
    pub(super) fn is_work(self, end: &End) -> bool {
        self == Self::Done && matches!(end, End::Retry { .. } | End::Release)
    }
}

/// What [`Storage::extend`] did with one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extended {
    /// It lasts longer now.
    Held,
    /// It lasts longer now, but the job's end is wanted.
    CancelWanted,
    /// Somebody else has, or had, the job.
    Lost,
}

/// What [`Storage::cancel`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is gone; its id is free.
    Done,
    /// It is active; its worker will be told.
    Requested,
    /// It has completed.
    Completed,
    /// No job has this id.
    NotFound,
}

/// How many jobs are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// [`JobState::Waiting`].
    pub waiting: u64,
    /// [`JobState::Delayed`].
    pub delayed: u64,
    /// [`JobState::Active`].
    pub active: u64,
    /// [`JobState::Completed`].
    pub completed: u64,
    /// [`JobState::Dead`].
    pub dead: u64,
}

/// What holds for a whole queue.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use lockstep_queue::jobs::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let storage = Arc::new(MemoryStorage::new());
/// let queue: Queue<u64, ()> = Queue::builder(storage, "numbers").build()?;
/// queue.limit_jobs(Some(1)).await?;
/// queue.pause().await?;
/// queue.enqueue("a", &1, EnqueueOptions::default()).await?;
/// let full = queue.enqueue("b", &2, EnqueueOptions::default()).await;
/// assert!(full.is_err_and(|error| error.is_transient()));
/// queue.resume().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Nothing is claimed.
    pub paused: bool,
    /// At most so many jobs are active at once, on all machines. None: no limit. At least 1.
    pub concurrency: Option<u32>,
    /// At most so many jobs are waiting, delayed or active; what goes beyond fails with
    /// [`StorageError::QueueFull`]. None: no limit.
    pub max_jobs: Option<u64>,
}

/// What [`Storage::reap`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reaped {
    /// Jobs whose lease had expired, and that are waiting again.
    pub stalled: Vec<JobId>,
    /// Jobs whose lease had expired at their last delivery: dead now.
    pub dead: Vec<JobId>,
    /// How many ended jobs were forgotten.
    pub forgotten: usize,
    /// Whether `limit` was reached, so that there may be more to do.
    pub more: bool,
}
