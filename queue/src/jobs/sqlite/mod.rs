//! Jobs in an SQLite file: for one machine, with any number of processes. The file is in WAL mode and synced at
//! each commit (`synchronous = FULL`): what was acknowledged survives the loss of power. Each storage has one
//! thread that writes, which puts calls that come together into one transaction, and a few that read. Processes
//! exclude each other by SQLite's write lock. They hear of each other's changes by asking the file every few
//! milliseconds ([`SqliteOptions::watch_every`]) while somebody waits or watches; since a file tells only that
//! something changed, streams get [`Event::Missed`] for what other processes do.
//!
//! The file must be on a local disk: WAL mode does not work across machines.

mod change;
mod claim;
mod clock;
mod enqueue;
mod error;
mod finish;
mod read;
mod reader;
mod reap;
mod rows;
mod schema;
mod settings;
mod step;
mod storage;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use self::clock::Clock;
use self::error::Failure;
use self::reader::Readers;
use self::step::Step;
use self::watch::Attention;
use self::writer::Writer;
use super::error::StorageError;
#[cfg(doc)]
use super::event::Event;
use super::hints::Hints;

/// More statements than there are here: each is prepared once for each connection.
const STATEMENTS: usize = 64;
/// How many pages may be in the log before they are moved into the file: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4_096;

/// How an SQLite file is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How long to wait for the write lock while other processes have it, before a call fails with
    /// [`StorageError::Unavailable`].
    pub lock_timeout: Duration,
    /// How many threads read. At least 1.
    pub readers: usize,
    /// How often to ask whether other processes changed the file, while somebody waits or watches. One question
    /// takes a few microseconds.
    pub watch_every: Duration,
}

/// A [`Storage`](super::Storage) in an SQLite file. Dropped without [`close`](super::Storage::close), its threads
/// end by themselves after what they have begun.
#[derive(Debug)]
pub struct SqliteStorage {
    /// None once closed.
    handles: Mutex<Option<Handles>>,
    clock: Arc<Clock>,
    hints: Arc<Hints>,
    attention: Arc<Attention>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The ways to the threads.
#[derive(Debug, Clone)]
struct Handles {
    writer: Writer,
    readers: Readers,
}

/// The connections of a storage, each for one thread.
struct Connections {
    writer: Connection,
    watch: Connection,
    readers: Vec<Connection>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_secs(10), readers: 2, watch_every: Duration::from_millis(25) }
    }
}

impl SqliteStorage {
    /// Opens a file, which is made if it is missing; its directory must exist.
    ///
    /// # Errors
    /// [`StorageError::NewerSchema`] if a newer release made it, [`StorageError::Corrupt`] if it is not a
    /// queue, [`StorageError::Unavailable`] if others had the lock for too long, [`StorageError::Refused`] if
    /// it can't be opened.
    pub async fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StorageError> {
        let path = path.as_ref().to_owned();
        let blocking = path.clone();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&blocking, &options)).await;
        opened.map_err(|error| refused("open the file", error))?.map_err(|error| naming(&path, error))
    }

    fn open_blocking(path: &Path, options: &SqliteOptions) -> Result<Self, StorageError> {
        schema::create(path).map_err(|error| refused("open the file", error))?;
        let connections =
            Connections::open(path, options).map_err(|failure| failure.into_error("open the file"))?;
        Self::start(connections, options).map_err(|error| refused("start a thread", error))
    }

    fn start(connections: Connections, options: &SqliteOptions) -> std::io::Result<Self> {
        let (clock, hints) = (Arc::new(Clock::new()), Arc::new(Hints::open()));
        let (attention, own) = (Arc::<Attention>::default(), Arc::default());
        let watch = watch::start(
            connections.watch,
            Arc::clone(&attention),
            Arc::clone(&hints),
            Arc::clone(&own),
            options.watch_every,
        )?;
        let (readers, mut threads) = Readers::start(connections.readers)?;
        let (writer, thread) =
            Writer::start(connections.writer, Arc::clone(&clock), Arc::clone(&hints), own)?;
        threads.extend([watch, thread]);
        let handles = Mutex::new(Some(Handles { writer, readers }));
        Ok(Self { handles, clock, hints, attention, threads: Mutex::new(threads) })
    }

    fn handles(&self) -> Result<Handles, StorageError> {
        self.handles.lock().clone().ok_or(StorageError::Closed)
    }

    /// Has something done by the writer.
    async fn write<T, F>(&self, action: &'static str, run: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Fn(&mut Step<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let writer = self.handles()?.writer;
        writer.call(action, run).await
    }

    /// Has something read, with the time.
    async fn read<T, F>(&self, action: &'static str, read: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, i64) -> Result<T, Failure> + Send + 'static,
    {
        let (readers, clock) = (self.handles()?.readers, Arc::clone(&self.clock));
        readers.call(action, move |connection| read(connection, clock.now())).await
    }

    /// Lets the threads end. What was begun is done.
    fn stop(&self) -> Vec<JoinHandle<()>> {
        self.handles.lock().take();
        self.hints.close();
        self.attention.end();
        std::mem::take(&mut *self.threads.lock())
    }
}

impl Drop for SqliteStorage {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

impl Connections {
    fn open(path: &Path, options: &SqliteOptions) -> Result<Self, Failure> {
        let mut writer = connect(path, options)?;
        schema::migrate(&mut writer)?;
        let readers = (0..options.readers.max(1)).map(|_| connect(path, options));
        Ok(Self { watch: connect(path, options)?, readers: readers.collect::<Result<_, _>>()?, writer })
    }
}

fn connect(path: &Path, options: &SqliteOptions) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(PathBuf::from(path), flags)?;
    connection.busy_timeout(options.lock_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Or SQLite compiles a statement anew whenever the value of its limit could change the plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(connection)
}

/// What SQLite said, of a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
struct OfFile {
    path: PathBuf,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

/// The error with the name of the file that it is about.
fn naming(path: &Path, error: StorageError) -> StorageError {
    let of_file = |source| Arc::new(OfFile { path: path.to_owned(), source });
    match error {
        StorageError::Unavailable { action, source } => {
            StorageError::Unavailable { action, source: of_file(source) }
        }
        StorageError::Refused { action, source } => StorageError::Refused { action, source: of_file(source) },
        StorageError::Corrupt { what } => {
            StorageError::Corrupt { what: format!("{}: {what}", path.display()) }
        }
        error => error,
    }
}

fn refused(action: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::Refused { action, source: Arc::new(error) }
}
