//! What SQLite says, as errors that tell whether to try again.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::jobs::error::StorageError;

/// Why a step failed: SQLite failed, or there is something to tell the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Told(#[from] StorageError),
}

impl Failure {
    /// As the caller is told.
    pub(super) fn into_error(self, action: &'static str) -> StorageError {
        match self {
            Self::Told(error) => error,
            Self::Sql(error) => sql_error(error, action),
        }
    }
}

fn sql_error(error: rusqlite::Error, action: &'static str) -> StorageError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::Full(Arc::new(error)),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StorageError::Unavailable { action, source: Arc::new(error) }
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StorageError::Corrupt { what: error.to_string() }
        }
        _ => StorageError::Refused { action, source: Arc::new(error) },
    }
}
