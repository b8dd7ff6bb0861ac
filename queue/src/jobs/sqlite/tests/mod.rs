//! What only this storage has: its file, its threads, other processes.

use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::jobs::{
    Claim, Claimed, End, Enqueued, Finish, JobId, JobOptions, NewJob, QueueName, Storage, WorkerId,
};

mod file;
mod processes;

fn queue() -> QueueName {
    QueueName::new("mail").unwrap()
}

fn job(id: &str) -> NewJob {
    NewJob {
        id: JobId::new(id).unwrap(),
        payload: Bytes::from(id.as_bytes().to_vec()),
        options: JobOptions::default(),
    }
}

fn wish(max: usize) -> Option<Claim> {
    Some(Claim { worker: WorkerId::new("w").unwrap(), max, lease: Duration::from_secs(60) })
}

fn complete(claimed: &Claimed) -> Finish {
    let end = End::Complete { output: Bytes::from_static(b"ok"), retention: Duration::from_secs(60) };
    Finish { id: claimed.id.clone(), token: claimed.token, end }
}

async fn open(directory: &TempDir) -> SqliteStorage {
    SqliteStorage::open(directory.path().join("jobs.db"), SqliteOptions::default()).await.unwrap()
}
