//! Jobs that are delivered at least once: typed queues over a [`Storage`], which decides what they survive.

mod clock;
mod error;
mod event;
mod hub;
pub mod index;
mod job;
mod local;
mod memory;
mod name;
#[cfg(feature = "redis")]
mod redis;
mod storage;

pub use error::StorageError;
pub use event::Event;
pub use job::{
    Claimed, DEFAULT_MAX_DELIVERIES, DEFAULT_RETENTION, Generation, Job, JobOptions, JobState, MAX_PAYLOAD,
    NewJob, StorageTime, Token,
};
pub use memory::MemoryStorage;
pub use name::{JobId, MAX_ID, MAX_NAME, NameError, QueueName, WorkerId};
#[cfg(feature = "redis")]
pub use redis::{NotReplicated, RedisOptions, RedisStorage, WaitReplicas};
pub use storage::{
    Cancelled, Claim, Counts, End, Enqueued, Extended, Finish, Finished, Reaped, Settings, Storage,
};
