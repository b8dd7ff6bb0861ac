//! What the server and its client say, as errors that tell whether to try again.

use std::sync::Arc;

use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::jobs::error::StorageError;

/// What our function raises when a queue is full; its message is the limit.
const QUEUE_FULL: &str = "LQ001";

/// Classes of errors that go away by themselves: connection, rolled back, too few resources, operator
/// intervention. From the manual, appendix A.
const TRANSIENT: [&str; 4] = ["08", "40", "53", "57"];

/// As callers are told.
pub(super) fn from_client(error: Error, action: &'static str) -> StorageError {
    let Some(told) = error.as_db_error() else {
        return from_driver(error, action);
    };
    let (code, message) = (told.code().clone(), told.message().to_owned());
    if code.code() == QUEUE_FULL {
        return StorageError::QueueFull { limit: message.parse().unwrap_or_default() };
    }
    if code == SqlState::DISK_FULL {
        return StorageError::Full(Arc::new(error));
    }
    let transient = TRANSIENT.iter().any(|class| code.code().starts_with(class));
    // A standby, after a failover.
    if transient || code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return StorageError::Unavailable { action, source: Arc::new(error) };
    }
    StorageError::Refused { action, source: Arc::new(error) }
}

/// As callers are told when they could not even get a connection.
pub(super) fn from_pool(error: PoolError, action: &'static str) -> StorageError {
    match error {
        PoolError::Backend(error) => from_client(error, action),
        PoolError::Closed => StorageError::Closed,
        error => StorageError::Unavailable { action, source: Arc::new(error) },
    }
}

/// What the client says by itself: it lost the connection, or does not understand the answer.
fn from_driver(error: Error, action: &'static str) -> StorageError {
    let io = std::iter::successors(std::error::Error::source(&error), |error| error.source())
        .any(|error| error.is::<std::io::Error>());
    if io || error.is_closed() {
        return StorageError::Unavailable { action, source: Arc::new(error) };
    }
    StorageError::Refused { action, source: Arc::new(error) }
}
