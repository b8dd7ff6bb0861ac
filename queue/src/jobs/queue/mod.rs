//! A typed queue: where jobs are enqueued and looked after. It holds a storage that it may share with others, and
//! runs nothing by itself; a [`Worker`](super::Worker) does the jobs.

mod builder;
mod control;
mod dead_letter;
mod enqueue;
mod error;
mod status;
mod wait;
mod waiters;

pub use builder::{BuildError, OpenError, QueueBuilder};
pub use dead_letter::DeadLetter;
pub use enqueue::{Accepted, EnqueueOptions};
pub use error::{QueueError, WaitError};
pub use status::Status;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::codec::{Codec, Json};
use super::job::JobOptions;
use super::name::QueueName;
use super::observe::Observe;
use super::storage::Storage;
use waiters::Waiters;

/// Jobs of one kind: each has a payload `P`, and an output `O` when it has completed.
///
/// Cheap to clone; clones are the same queue. Queues of one name on one storage are the same queue too, on
/// whatever machine.
///
/// ```
/// use std::sync::Arc;
///
/// use lockstep_queue::jobs::{Accepted, EnqueueOptions, JobState, MemoryStorage, Queue};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = Arc::new(MemoryStorage::new());
/// let queue: Queue<String, usize> = Queue::builder(storage, "greetings").build()?;
/// let options = EnqueueOptions::default();
/// assert!(matches!(queue.enqueue("to-ann", &"Hello".to_owned(), options).await?, Accepted::New(_)));
/// // The same id again is the same job.
/// let again = queue.enqueue("to-ann", &"Hello".to_owned(), options).await?;
/// assert_eq!(again, Accepted::Duplicate(JobState::Waiting));
/// # Ok(())
/// # }
/// ```
pub struct Queue<P, O, C = Json> {
    pub(super) core: Arc<Core<C>>,
    types: PhantomData<fn(P) -> O>,
}

/// What clones of a queue share.
pub(super) struct Core<C> {
    pub(super) name: QueueName,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) codec: C,
    pub(super) observe: Arc<dyn Observe>,
    defaults: JobOptions,
    max_payload: usize,
    waiters: Waiters,
}

impl<P, O, C> Queue<P, O, C> {
    /// Its name, with the namespace.
    #[must_use]
    pub fn name(&self) -> &QueueName {
        &self.core.name
    }

    /// Where its jobs are.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.core.storage
    }
}

impl<P, O, C> Clone for Queue<P, O, C> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), types: PhantomData }
    }
}

impl<P, O, C: Codec> fmt::Debug for Queue<P, O, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Core { name, storage, codec, .. } = &*self.core;
        let mut shown = formatter.debug_struct("Queue");
        shown.field("name", name).field("storage", storage).field("codec", codec).finish_non_exhaustive()
    }
}
