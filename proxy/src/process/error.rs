//! Why the process did not start.

use std::io;
use std::path::PathBuf;

use lockstep_controller::store::StoreError;
use thiserror::Error;

use crate::audit::AuditError;
use crate::audit::ship::ShippingError;
use crate::background::BackgroundError;
use crate::config::ConfigErrors;
use crate::tls::authorities::AuthoritiesError;

/// Why the process did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration can't be used: exit code 64.
    #[error("{0}")]
    Config(ConfigErrors),
    /// The data directory can't be used.
    #[error("data_dir {}: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("data_dir {}: another process uses it; give each instance a directory of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// What was kept of versions can't be read.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The audit can't be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Background jobs can't be kept.
    #[error(transparent)]
    Background(#[from] BackgroundError),
    /// Records can't be shipped.
    #[error(transparent)]
    Shipping(#[from] ShippingError),
    /// The system gives no thread, runtime or signal handler.
    #[error("the system refuses what the process needs: {0}")]
    System(#[from] io::Error),
    /// A provider's authorities can't be used.
    #[error("ai.providers: {0}")]
    Authorities(#[from] AuthoritiesError),
    /// The metrics can't be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}
