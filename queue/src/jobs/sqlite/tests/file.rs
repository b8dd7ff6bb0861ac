//! What a file may be and become.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::jobs::{EndOutcome, JobState};

#[tokio::test]
async fn jobs_are_there_after_reopening() {
    let directory = TempDir::new().unwrap();
    let storage = open(&directory).await;
    let enqueued = storage.enqueue(&queue(), vec![job("a"), job("b"), job("a")]).await.unwrap();
    assert!(matches!(
        enqueued[..],
        [Enqueued::New(first), Enqueued::New(second), Enqueued::Duplicate(JobState::Waiting)]
            if second > first
    ));
    let claimed = storage.finish(&queue(), vec![], wish(1)).await.unwrap().claimed;
    storage.close().await.unwrap();

    let storage = open(&directory).await;
    let finished = storage.finish(&queue(), vec![complete(&claimed[0])], wish(5)).await.unwrap();
    assert_eq!(finished.outcomes, [EndOutcome::Done]);
    assert_eq!(finished.claimed.len(), 1);
    assert!(finished.claimed[0].token > claimed[0].token);
    let counts = storage.counts(&queue()).await.unwrap();
    assert_eq!((counts.waiting, counts.active, counts.completed), (0, 1, 1));
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let directory = TempDir::new().unwrap();
    let storage = open(&directory).await;
    storage.enqueue(&queue(), vec![job("a")]).await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        files += 1;
    }
    assert_eq!(files, 3, "the file, its log and its index");
}

#[tokio::test]
async fn files_that_are_not_ours_are_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("jobs.db");
    let newer = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
    };
    drop(open(&directory).await);
    newer(&path);
    let error = SqliteStorage::open(&path, SqliteOptions::default()).await.unwrap_err();
    assert!(matches!(error, StorageError::NewerSchema { found: 99, known: 1 }), "{error}");

    let path = directory.path().join("foreign.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStorage::open(&path, SqliteOptions::default()).await.unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "it is as it was");

    let path = directory.path().join("text.db");
    std::fs::write(&path, "not a database, but some text".repeat(100)).unwrap();
    let error = SqliteStorage::open(&path, SqliteOptions::default()).await.unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");

    let path = directory.path().join("missing/jobs.db");
    let error = SqliteStorage::open(&path, SqliteOptions::default()).await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_told_and_over_when_there_is_room() {
    let directory = TempDir::new().unwrap();
    let options = SqliteOptions::default();
    let path = directory.path().join("jobs.db");
    schema::create(&path).unwrap();
    let connections = Connections::open(&path, &options).unwrap();
    let most: u32 = connections.writer.query_row("PRAGMA max_page_count = 40", [], |row| row.get(0)).unwrap();
    assert_eq!(most, 40);
    let storage = SqliteStorage::start(connections, &options).unwrap();

    let large = NewJob { payload: Bytes::from(vec![7; 1 << 20]), ..job("large") };
    let (refused, taken) = tokio::join!(async { storage.enqueue(&queue(), vec![large]).await }, async {
        storage.enqueue(&queue(), vec![job("small")]).await
    });
    let error = refused.unwrap_err();
    assert!(matches!(error, StorageError::Full(_)), "{error}");
    assert!(error.is_transient());
    assert!(matches!(taken.unwrap()[..], [Enqueued::New(_)]), "though they may have shared a transaction");
    assert_eq!(storage.counts(&queue()).await.unwrap().waiting, 1);
}

#[tokio::test]
async fn a_lock_held_for_too_long_is_told() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("jobs.db");
    let options = SqliteOptions { lock_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
    let storage = SqliteStorage::open(&path, options).await.unwrap();
    let stranger = Connection::open(&path).unwrap();
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = storage.enqueue(&queue(), vec![job("a")]).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");
    stranger.execute_batch("ROLLBACK").unwrap();
    storage.enqueue(&queue(), vec![job("a")]).await.unwrap();
}

#[tokio::test]
async fn commits_are_synced() {
    let directory = TempDir::new().unwrap();
    let connection = connect(&directory.path().join("x.db"), &SqliteOptions::default());
    assert!(connection.is_err(), "nothing makes a file but the schema");
    drop(open(&directory).await);
    let connection = connect(&directory.path().join("jobs.db"), &SqliteOptions::default()).unwrap();
    let level: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!((level, mode.as_str()), (2, "wal"));
}

/// Each step must find its rows by an index, however long the backlog.
#[tokio::test]
async fn a_backlog_costs_nothing() {
    let directory = TempDir::new().unwrap();
    drop(open(&directory).await);
    let connection = connect(&directory.path().join("jobs.db"), &SqliteOptions::default()).unwrap();
    for sql in claim::STATEMENTS.iter().chain(&reap::STATEMENTS).chain(&read::STATEMENTS) {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let plan: String = row.get(3).unwrap();
            assert!(!plan.contains("SCAN jobs") && !plan.contains("TEMP B-TREE"), "{plan}\n{sql}");
        }
    }
}
