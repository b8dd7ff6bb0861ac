//! The tables, and how a file becomes one of ours. Migrations are appended, never changed; `user_version` says
//! how many a file has had. Indexes are partial, so that each holds only the jobs in one state, and a step costs
//! the same in front of a long backlog.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::Failure;
use crate::jobs::error::StorageError;

/// "lkjq" in SQLite's header: this file is a job queue.
const APPLICATION: u32 = 0x6c6b_6a71;

/// Each brings the schema one version further.
const MIGRATIONS: [&str; 1] = [V1];

/// `meta` is one row: the largest time seen, the last number given away (of generations and tokens), and the
/// transactions committed. The number of a job is its generation. `jobs` is narrow, since each change writes its row
/// anew; payloads are written once, beside it. `ready_at` and the number make the order within a priority; a claim
/// leaves them, so that a job handed back stands where it stood.
const V1: &str = "
CREATE TABLE meta (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    now INTEGER NOT NULL,
    number INTEGER NOT NULL,
    commits INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (0, 0, 0, 0);

CREATE TABLE queues (
    number INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE,
    paused INTEGER NOT NULL DEFAULT 0,
    concurrency INTEGER,
    max_jobs INTEGER,
    waiting INTEGER NOT NULL DEFAULT 0,
    delayed INTEGER NOT NULL DEFAULT 0,
    active INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE jobs (
    number INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    id BLOB NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    delay INTEGER NOT NULL,
    max_deliveries INTEGER NOT NULL,
    retention INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    expires_at INTEGER,
    token INTEGER,
    worker BLOB,
    lease_until INTEGER,
    cancel INTEGER NOT NULL DEFAULT 0,
    output BLOB,
    error BLOB
) STRICT;
CREATE UNIQUE INDEX job_ids ON jobs (queue, id);
CREATE INDEX job_states ON jobs (queue, state, number);
CREATE INDEX waiting_jobs ON jobs (queue, priority DESC, ready_at, number) WHERE state = 0;
CREATE INDEX delayed_jobs ON jobs (queue, ready_at) WHERE state = 1;
CREATE INDEX leases ON jobs (queue, lease_until) WHERE state = 2;
CREATE INDEX expiries ON jobs (queue, expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE payloads (number INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;

CREATE TABLE roles (
    name BLOB PRIMARY KEY,
    holder BLOB NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Makes the file if there is none, readable for its owner only; SQLite gives its other files the same mode. One that
/// is there is not opened: closing it again would give up the locks that this process has on it, and another program
/// could take itself for the last one and remove the log.
pub(super) fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // A link to nothing: nobody has locks there.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !path.exists() => {
            OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Brings the file to the schema of this release.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    // What is not ours is left as it is.
    let before = connection.transaction()?;
    check_owner(&before)?;
    before.finish()?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StorageError::Corrupt { what: format!("a database in journal mode {mode}") }.into());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = check_owner(&transaction)?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StorageError::NewerSchema { found, known }.into());
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    Ok(transaction.commit()?)
}

/// Refuses a database that somebody else made. How many migrations ours has had.
fn check_owner(connection: &Connection) -> Result<u32, Failure> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: u32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = tables == 0 && version == 0 && application == 0;
    if application == APPLICATION || empty {
        return Ok(version);
    }
    Err(StorageError::Corrupt { what: "a database of another program".to_owned() }.into())
}
