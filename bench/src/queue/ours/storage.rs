//! The storage that a contender's name says.

use std::path::Path;
use std::sync::Arc;

use lockstep_queue::jobs::{
    FileOptions, FileStorage, MemoryStorage, PostgresOptions, PostgresStorage, RedisOptions, RedisStorage,
    SqliteOptions, SqliteStorage, Storage, StorageError,
};

use crate::error::{Context as _, Failure, Result};
use crate::queue::contender::Contender;
use crate::queue::options::CellOptions;

/// Opens it, with its defaults.
pub(super) async fn open(options: &CellOptions) -> Result<Arc<dyn Storage>> {
    let opened = match options.contender {
        Contender::LockstepMemory => Ok::<Arc<dyn Storage>, StorageError>(Arc::new(MemoryStorage::new())),
        Contender::LockstepFile => FileStorage::open(&FileOptions::new(&options.at)).map(shared),
        Contender::LockstepSqlite => {
            let file = Path::new(&options.at).join("jobs.sqlite");
            SqliteStorage::open(file, SqliteOptions::default()).await.map(shared)
        }
        Contender::LockstepRedis => RedisStorage::connect(RedisOptions::new(&options.at)).await.map(shared),
        Contender::LockstepPostgres => {
            PostgresStorage::connect(&options.at, PostgresOptions::default()).await.map(shared)
        }
        other => return Err(Failure::new(format!("{} is not ours", other.name()))),
    };
    opened.context(|| "cannot open the storage".to_owned())
}

fn shared(storage: impl Storage) -> Arc<dyn Storage> {
    Arc::new(storage)
}
