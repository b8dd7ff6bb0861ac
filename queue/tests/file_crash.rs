//! Jobs in files survive the SIGKILLs of their process.
#![cfg(test)]

mod support {
    pub(crate) mod children;
    pub(crate) mod crash;
}

use std::path::PathBuf;
use std::sync::Arc;

use lockstep_queue::jobs::{FileOptions, FileStorage, Storage};
use support::crash;

async fn open(directory: PathBuf) -> Arc<dyn Storage> {
    Arc::new(FileStorage::open(&FileOptions::new(directory)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills() {
    let directory = tempfile::tempdir().unwrap();
    crash::survives(&directory.path().join("jobs"), open).await;
}

/// The process that is killed; nothing if it was not started for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    crash::child(open).await;
}
