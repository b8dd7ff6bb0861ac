//! Jobs in an SQLite file survive the SIGKILLs of their process, and the file stays whole.
#![cfg(test)]
#![cfg(feature = "sqlite")]

mod support {
    pub(crate) mod children;
    pub(crate) mod crash;
}

use std::path::PathBuf;
use std::sync::Arc;

use lockstep_queue::jobs::{SqliteOptions, SqliteStorage, Storage};
use support::crash;

async fn open(file: PathBuf) -> Arc<dyn Storage> {
    Arc::new(SqliteStorage::open(file, SqliteOptions::default()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.db");
    let counts = crash::survives(&file, open).await;
    let file = rusqlite::Connection::open(&file).unwrap();
    let check: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    for (state, counted) in [
        (0, counts.waiting),
        (1, counts.delayed),
        (2, counts.active),
        (3, counts.completed),
        (4, counts.dead),
    ] {
        let sql = "SELECT count(*) FROM jobs WHERE state = ?1";
        let found: i64 = file.query_row(sql, [state], |row| row.get(0)).unwrap();
        assert_eq!(u64::try_from(found).unwrap(), counted, "state {state}");
    }
}

/// The process that is killed; nothing if it was not started for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    crash::child(open).await;
}
