//! Jobs in an SQLite file behave as in every storage.
#![cfg(test)]
#![cfg(feature = "sqlite")]

use std::path::Path;
use std::sync::Arc;

use lockstep_queue::jobs::conformance::Subject;
use lockstep_queue::jobs::{SqliteOptions, SqliteStorage, Storage};

async fn fresh() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.db");
    // Another storage on the file is to it as another process.
    let (first, second) = (open(&file).await, open(&file).await);
    Subject::new(first)
        .with_second(second)
        .with_reopen(move || async move { open(&file).await })
        .keeping(directory)
}

async fn open(file: &Path) -> Arc<dyn Storage> {
    Arc::new(SqliteStorage::open(file, SqliteOptions::default()).await.unwrap())
}

lockstep_queue::conformance!(fresh);
