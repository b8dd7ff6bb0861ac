//! What can go wrong with a command, and what that tells of whether it was done.

use std::sync::Arc;

use redis::{ErrorKind, RedisError};

use super::options::NotReplicated;
use crate::jobs::error::StorageError;

/// Why a command failed.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// No server could be reached, or none is a primary: it was not done.
    NoServer(RedisError),
    /// The server can't now: it was not done.
    NotNow(RedisError),
    /// The connection was lost, or no answer came in time: nobody knows whether it was done.
    Lost(RedisError),
    /// The server has no room: it was not done.
    Full(RedisError),
    /// The server does not want to.
    Refused(RedisError),
    /// It was done, but too few replicas have it.
    NotReplicated(NotReplicated),
    /// Something else, which will not go away.
    Final(StorageError),
}

impl Failure {
    /// The server has not seen the script, or has forgotten it.
    pub(super) fn is_unknown_script(error: &RedisError) -> bool {
        error.code() == Some("NOSCRIPT")
    }

    /// Whether the connection is of no use any more: gone, or to a server that is not the primary.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::NotNow(error) => matches!(error.code(), Some("READONLY" | "MASTERDOWN")),
            Self::NoServer(_)
            | Self::Full(_)
            | Self::Refused(_)
            | Self::NotReplicated(_)
            | Self::Final(_) => false,
        }
    }

    /// Whether to try again, given whether that is safe after it was done already.
    pub(super) const fn may_repeat(&self, is_repeatable: bool) -> bool {
        match self {
            Self::NoServer(_) | Self::NotNow(_) => true,
            Self::Lost(_) => is_repeatable,
            Self::Full(_) | Self::Refused(_) | Self::NotReplicated(_) | Self::Final(_) => false,
        }
    }

    /// For callers of the storage.
    pub(super) fn of(self, action: &'static str) -> StorageError {
        match self {
            Self::NoServer(source) | Self::NotNow(source) | Self::Lost(source) => {
                StorageError::Unavailable { action, source: Arc::new(source) }
            }
            Self::NotReplicated(source) => StorageError::Unavailable { action, source: Arc::new(source) },
            Self::Full(source) => StorageError::Full(Arc::new(source)),
            Self::Refused(source) => StorageError::Refused { action, source: Arc::new(source) },
            Self::Final(error) => error,
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some(
                "LOADING" | "READONLY" | "MASTERDOWN" | "BUSY" | "NOREPLICAS" | "TRYAGAIN" | "CLUSTERDOWN",
            ) => Self::NotNow(error),
            Some("OOM" | "MISCONF") => Self::Full(error),
            Some(_) => Self::Refused(error),
            None if matches!(
                error.kind(),
                ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig
            ) =>
            {
                Self::Refused(error)
            }
            None if error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error() => {
                Self::Lost(error)
            }
            None => Self::Refused(error),
        }
    }
}
