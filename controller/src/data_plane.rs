//! What the controller asks of the data plane, without knowing what it is.

use std::time::Duration;

use crate::{AppId, VersionId};

/// The data plane as the controller sees it.
pub trait DataPlane: Send + Sync {
    /// The generation of the snapshot that requests are routed by.
    fn routed_generation(&self) -> u64;

    /// Endpoints of a version that are known to work: those that passed a health check, or all
    /// where there is none.
    fn ready_endpoints(&self, app: &AppId, version: &VersionId) -> usize;

    /// Endpoints that requests for a version are sent to at this moment, those that fail included;
    /// `None` if it is not routed at all.
    fn routed(&self, app: &AppId, version: &VersionId) -> Option<usize>;

    /// Endpoints that the pins of a version's visitors lead to at this moment; `None` if they lead elsewhere, as those to
    /// a staged version do, unless it is the canary.
    fn reached(&self, app: &AppId, version: &VersionId) -> Option<usize>;

    /// The traffic of a version; `None` as long as it was never routed, of which nothing follows.
    fn traffic(&self, app: &AppId, version: &VersionId) -> Option<Traffic>;
}

/// The traffic of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Requests and streams that run.
    pub in_flight: u64,
    /// Time since the last one ended, or since the version was first seen.
    pub idle_for: Duration,
}
