//! What the tests are written with.

use std::time::Duration;

use bytes::Bytes;
use lockstep_queue::jobs::{
    Claim, Claimed, End, Enqueued, Finish, JobId, JobOptions, JobState, NewJob, QueueName, RedisOptions,
    RedisStorage, Storage, StorageError, WorkerId,
};

/// A lease that does not expire while a test runs.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) fn queue() -> QueueName {
    QueueName::new("{mail}: é").unwrap()
}

pub(crate) fn id(id: &str) -> JobId {
    JobId::new(id).unwrap()
}

pub(crate) fn job(name: &str) -> NewJob {
    NewJob { id: id(name), payload: Bytes::from(vec![0, 255, 13, 10]), options: JobOptions::default() }
}

pub(crate) fn wish(max: usize) -> Option<Claim> {
    Some(Claim { worker: WorkerId::new("worker:1").unwrap(), max, lease: LONG })
}

pub(crate) fn complete(job: &Claimed) -> Finish {
    let end = End::Complete { output: Bytes::from_static(b"\0done"), retention: LONG };
    Finish { id: job.id.clone(), token: job.token, end }
}

pub(crate) fn retry(job: &Claimed) -> Finish {
    let end = End::Retry { delay: Duration::ZERO, error: Bytes::from_static(b"failed") };
    Finish { id: job.id.clone(), token: job.token, end }
}

pub(crate) async fn open(url: String) -> RedisStorage {
    RedisStorage::connect(RedisOptions::new(url)).await.unwrap()
}

/// An address with little patience.
pub(crate) fn hasty(url: String) -> RedisOptions {
    RedisOptions { patience: Duration::from_millis(300), ..RedisOptions::new(url) }
}

pub(crate) async fn put(storage: &RedisStorage, name: &str) -> Result<Enqueued, StorageError> {
    let mut answers = storage.enqueue(&queue(), vec![job(name)]).await?;
    assert_eq!(answers.len(), 1);
    Ok(answers.remove(0))
}

/// Claims one job, which must be there.
pub(crate) async fn take(storage: &RedisStorage) -> Claimed {
    storage.finish(&queue(), vec![], wish(1)).await.unwrap().claimed.remove(0)
}

pub(crate) async fn state(storage: &RedisStorage, name: &str) -> Option<JobState> {
    storage.get(&queue(), &id(name)).await.unwrap().map(|job| job.state)
}
