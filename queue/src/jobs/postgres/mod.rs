//! Jobs in PostgreSQL, for any number of machines. Each step is one function in the database, so one round trip
//! and one transaction: claims skip rows that others have locked, and the server's clock decides. What was
//! acknowledged is as durable as the server makes its commits (`synchronous_commit`, replicas). Work and events
//! are told by NOTIFY, so nobody polls. After the connection was lost, calls fail with
//! [`StorageError::Unavailable`] until the server is back; nothing has to be opened again.
//!
//! LISTEN needs a session: behind a pooler, the address must be one that pools sessions, not transactions.

mod connector;
mod enqueue;
mod error;
mod finish;
mod listen;
mod payload;
mod reap;
mod rows;
mod schema;
mod statements;
mod storage;

use std::fmt;
use std::sync::Arc;

use deadpool_postgres::{Client, Pool};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use self::connector::Connector;
use self::error::{from_client, from_pool};
use self::listen::{Ear, Listener};
use self::schema::{Schema, migrate};
use self::statements::Statements;
use super::error::StorageError;
use super::hints::{Hint, Hints};

/// How a PostgreSQL server is used.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The schema that holds the tables; it is made if it is missing. Storages with different ones share nothing
    /// but the server. 1 to 48 of `a-z`, `0-9` and `_`, beginning with a letter.
    pub schema: String,
    /// How many connections calls may use at once, besides the one that listens. At least 1.
    pub connections: usize,
    /// How to speak TLS; whether to is said by `sslmode` in the address. None: an address that requires TLS is
    /// refused.
    pub tls: Option<rustls::ClientConfig>,
}

/// A [`Storage`](super::Storage) in PostgreSQL. Dropped without [`close`](super::Storage::close), it ends its
/// connections too.
pub struct PostgresStorage {
    pool: Pool,
    statements: Statements,
    hints: Arc<Hints>,
    /// None once closed.
    ear: Mutex<Option<Arc<Ear>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { schema: "lockstep_jobs".to_owned(), connections: 10, tls: None }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("connections", &self.connections)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

impl fmt::Debug for PostgresStorage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresStorage").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

impl PostgresStorage {
    /// Connects, and brings the schema to the version of this release. `address` is a URL or a list of
    /// `key=value`, as libpq takes them.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] if the server can't be reached, or can't be listened to (as a standby, or with no
    /// connection left for that), [`StorageError::Refused`] if it does not let
    /// us in or an option is wrong, [`StorageError::NewerSchema`] if a newer release was there.
    pub async fn connect(address: &str, options: PostgresOptions) -> Result<Self, StorageError> {
        let schema = Schema::new(&options.schema)?;
        let connector = Connector::new(address, &options)?;
        let pool = connector.pool(options.connections)?;
        migrate(&pool, &schema).await?;
        let (statements, hints) = (Statements::new(&schema), Arc::new(Hints::open()));
        let (ear, listener) = Listener::new(connector, schema, Arc::clone(&hints));
        let mut tasks = JoinSet::new();
        let (ready, is_ready) = oneshot::channel();
        tasks.spawn(listener.run(ready));
        is_ready.await.map_err(|_| StorageError::Closed)??;
        let (ear, tasks) = (Mutex::new(Some(Arc::new(ear))), Mutex::new(tasks));
        Ok(Self { pool, statements, hints, ear, tasks })
    }

    async fn client(&self, action: &'static str) -> Result<Client, StorageError> {
        self.pool.get().await.map_err(|error| from_pool(error, action))
    }

    /// All rows of an answer.
    async fn rows(
        &self,
        action: &'static str,
        statement: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StorageError> {
        let client = self.client(action).await?;
        let rows = async {
            let statement = client.prepare_cached(statement).await?;
            client.query(&statement, params).await
        };
        rows.await.map_err(|error| from_client(error, action))
    }

    /// The only row of an answer, if it has one.
    async fn row(
        &self,
        action: &'static str,
        statement: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, StorageError> {
        Ok(self.rows(action, statement, params).await?.into_iter().next())
    }

    /// Changes rows; how many.
    async fn change(
        &self,
        action: &'static str,
        statement: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, StorageError> {
        let client = self.client(action).await?;
        let changed = async {
            let statement = client.prepare_cached(statement).await?;
            client.execute(&statement, params).await
        };
        changed.await.map_err(|error| from_client(error, action))
    }

    /// Tells here and elsewhere what is committed.
    fn tell(&self, hints: Vec<Hint>) {
        if hints.is_empty() {
            return;
        }
        self.hints.tell(hints.iter().cloned());
        if let Some(ear) = self.ear.lock().as_ref() {
            ear.tell(hints);
        }
    }
}
