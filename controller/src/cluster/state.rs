//! What a replica knows of the cluster at one instant.

use std::collections::HashMap;
use std::sync::Arc;

use super::claim::Settled;
use super::found::Found;
use super::resource::VersionedApp;
use crate::AppId;

/// What a replica knows of the cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterState {
    /// Whether every kind was listed at least once since the start: only then may anything be decided.
    pub complete: bool,
    /// Whether the CRD is there and `VersionedApp`s can be read: else nothing is written or decided.
    pub stored: bool,
    /// Apps with their versions, and what is wrong with objects.
    pub found: Found,
    /// The `VersionedApp`s as last read.
    pub resources: HashMap<AppId, Arc<VersionedApp>>,
    /// What the apps get. An app that is not in here was never settled, and is not touched.
    pub settled: HashMap<AppId, Arc<Settled>>,
}
