//! Jobs that are delivered at least once: typed queues over a [`Storage`], which decides what they survive.

mod clock;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod event;
mod failure;
mod hub;
pub mod index;
mod job;
mod local;
mod memory;
mod name;
mod observe;
mod queue;
mod reaper;
#[cfg(feature = "redis")]
mod redis;
mod storage;
mod worker;

pub use codec::{Codec, CodecError, Json};
pub use error::StorageError;
pub use event::Event;
pub use failure::{Failure, JobError, JobErrorKind};
pub use job::{
    Claimed, DEFAULT_MAX_DELIVERIES, DEFAULT_RETENTION, Generation, Job, JobOptions, JobState, MAX_PAYLOAD,
    NewJob, StorageTime, Token,
};
pub use memory::MemoryStorage;
pub use name::{JobId, MAX_ID, MAX_NAME, NameError, QueueName, WorkerId};
pub use observe::{Ending, NoObserver, Observe};
pub use queue::{
    Accepted, BuildError, DeadLetter, EnqueueOptions, Queue, QueueBuilder, QueueError, Status, WaitError,
};
pub use reaper::Reaper;
#[cfg(feature = "redis")]
pub use redis::{NotReplicated, RedisOptions, RedisStorage, WaitReplicas};
pub use storage::{
    Cancelled, Claim, Counts, End, Enqueued, Extended, Finish, Finished, Reaped, Settings, Storage,
};
pub use worker::{Backoff, Changes, Ended, JobContext, RunningWorker, Worker, WorkerBuilder};
