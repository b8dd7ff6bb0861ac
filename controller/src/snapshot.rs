//! What the data plane routes by: all versions of all apps at one instant, shared and immutable.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::{AppId, Canary, VersionId, VersionState};

/// All apps and their versions at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VersionSnapshot {
    /// Grows with each snapshot of a process.
    pub generation: u64,
    /// Whether it may be behind: its source has been out of reach for a while.
    pub stale: bool,
    /// The apps.
    pub apps: Vec<Arc<AppSnapshot>>,
}

/// One app of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct AppSnapshot {
    /// Its identity.
    pub id: AppId,
    /// The version that everyone unpinned gets.
    pub active: Option<VersionId>,
    /// The version that a share of new visitors get.
    pub canary: Option<Canary>,
    /// Its versions, expired ones included.
    pub versions: Vec<VersionStatus>,
    /// What it gets in the routing table, if it is an app of the cluster.
    #[cfg(feature = "kube")]
    pub grant: Option<Arc<crate::cluster::grants::Grant>>,
}

/// One version of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionStatus {
    /// Its id.
    pub id: VersionId,
    /// Its state.
    pub state: VersionState,
    /// Where it is reached.
    pub endpoints: Arc<[SocketAddr]>,
    /// Whether they speak HTTP/2, also where the app's settings do not say so.
    pub http2: bool,
}
