//! The tables and functions, and how a schema becomes one of ours. Migrations are appended, never changed; a row of
//! `migrations` says how many it has had. A function that older releases call keeps its signature: they go on
//! while newer ones are rolled out.

use deadpool_postgres::Pool;
use tokio_postgres::Transaction;

use super::error::{from_client, from_pool};
use crate::jobs::error::StorageError;

/// Each brings the schema one version further.
const MIGRATIONS: [&str; 1] = [concat!(include_str!("tables.sql"), include_str!("functions.sql"))];
/// Migrations in one database wait for each other: "lkjq".
const LOCK: i64 = 0x6c6b_6a71;
/// The longest name of a schema: with the prefix of a channel it is still a name.
const MAX_SCHEMA: usize = 48;

const ACTION: &str = "prepare the schema";

/// A name that needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schema(String);

#[derive(Debug, thiserror::Error)]
#[error("the schema name {0:?} must have 1 to {MAX_SCHEMA} of a-z, 0-9 and _, and begin with a letter")]
struct SchemaNameError(String);

impl Schema {
    pub(super) fn new(name: &str) -> Result<Self, StorageError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if begins && name.len() <= MAX_SCHEMA && name.bytes().all(plain) {
            return Ok(Self(name.to_owned()));
        }
        let source = std::sync::Arc::new(SchemaNameError(name.to_owned()));
        Err(StorageError::Refused { action: "read the options", source })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// SQL with the name where it belongs; quoted, in case it is a word of SQL.
    pub(super) fn sql(&self, template: &str) -> String {
        template.replace("{schema}", &format!("\"{}\"", self.0))
    }
}

/// Brings the schema to the version of this release. Changes nothing, and needs no right to, if it is there.
pub(super) async fn migrate(pool: &Pool, schema: &Schema) -> Result<(), StorageError> {
    let mut client = pool.get().await.map_err(|error| from_pool(error, ACTION))?;
    let transaction = client.transaction().await.map_err(refused)?;
    if version(&transaction, schema).await? == known() {
        return Ok(());
    }
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(refused)?;
    let found = version(&transaction, schema).await?;
    if found > known() {
        return Err(StorageError::NewerSchema { found, known: known() });
    }
    apply(&transaction, schema, found).await.map_err(refused)?;
    transaction.commit().await.map_err(refused)
}

async fn apply(
    transaction: &Transaction<'_>,
    schema: &Schema,
    found: u32,
) -> Result<(), tokio_postgres::Error> {
    if found == 0 {
        // `IF NOT EXISTS` would want the right to make one though it is there.
        let exists = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)";
        if !transaction.query_one(exists, &[&schema.as_str()]).await?.get::<_, bool>(0) {
            transaction.batch_execute(&schema.sql("CREATE SCHEMA {schema}")).await?;
        }
        let begin = "CREATE TABLE {schema}.migrations (version bigint NOT NULL)";
        transaction.batch_execute(&schema.sql(begin)).await?;
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.batch_execute(&schema.sql(migration)).await?;
    }
    let note = "DELETE FROM {schema}.migrations; INSERT INTO {schema}.migrations VALUES ";
    transaction.batch_execute(&format!("{}({})", schema.sql(note), known())).await
}

/// How many migrations it has had; 0 if it is not there.
async fn version(transaction: &Transaction<'_>, schema: &Schema) -> Result<u32, StorageError> {
    // Asked of the catalogue's tables: a name that was looked up before may be remembered as missing.
    let exists = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables
        WHERE schemaname = $1 AND tablename = 'migrations')";
    let exists = transaction.query_one(exists, &[&schema.as_str()]).await.map_err(refused)?;
    if !exists.get::<_, bool>(0) {
        return Ok(0);
    }
    let version = schema.sql("SELECT coalesce(max(version), 0) FROM {schema}.migrations");
    let version: i64 = transaction.query_one(&version, &[]).await.map_err(refused)?.get(0);
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

fn refused(error: tokio_postgres::Error) -> StorageError {
    from_client(error, ACTION)
}
