//! Jobs that are delivered at least once: typed queues over a [`Storage`], which decides what they survive.

mod clock;
mod codec;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod columns;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod event;
mod failure;
pub mod file;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod hints;
mod hub;
pub mod index;
mod job;
mod local;
pub mod memory;
mod name;
mod observe;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod queue;
pub mod reaper;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod state;
mod storage;
pub mod worker;

pub use codec::{Codec, CodecError, Json};
pub use error::StorageError;
pub use event::Event;
pub use failure::{Failure, JobError, JobErrorKind};
pub use file::{FileStorage, Options as FileOptions};
pub use job::{
    Claimed, DEFAULT_MAX_DELIVERIES, DEFAULT_RETENTION, Generation, Job, JobOptions, JobState, MAX_PAYLOAD,
    NewJob, StorageTime, Token,
};
pub use memory::MemoryStorage;
pub use name::{JobId, MAX_ID, MAX_NAME, NameError, QueueName, WorkerId};
pub use observe::{Ending, NoObserver, Observe};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStorage};
pub use queue::{
    Accepted, BuildError, DeadLetter, EnqueueOptions, OpenError, Queue, QueueBuilder, QueueError, Status,
    WaitError,
};
pub use reaper::Reaper;
#[cfg(feature = "redis")]
pub use redis::{NotReplicated, RedisOptions, RedisStorage, WaitReplicas};
#[cfg(feature = "redis-tls")]
pub use redis::{RedisIdentity, RedisTls};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStorage};
pub use storage::{
    Cancelled, Claim, Counts, End, EndOutcome, Enqueued, Extended, Finish, Finished, Reaped, Settings,
    Storage,
};
pub use worker::{Backoff, Changes, Ended, JobContext, RunningWorker, Worker, WorkerBuilder};
