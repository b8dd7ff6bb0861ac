//! What a source says that there should be: the apps of the configuration with their versions.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::{AppId, Canary, Policy, VersionId};

/// One app.
#[derive(Debug, Clone, PartialEq)]
pub struct AppSpec {
    /// Its identity.
    pub id: AppId,
    /// Its versions, oldest first.
    pub versions: Vec<VersionSpec>,
    /// The version that is fixed as the active one.
    pub active: Option<VersionId>,
    /// The version that a share of new visitors get.
    pub canary: Option<Canary>,
    /// Whether endpoints are ready only once a health check said so.
    pub health_checked: bool,
    /// What it wants of its versions' lives.
    pub policy: Policy,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSpec {
    /// Its id.
    pub id: VersionId,
    /// Its age rank: higher is newer.
    pub revision: u64,
    /// Where it is reached.
    pub endpoints: Arc<[SocketAddr]>,
}

impl AppSpec {
    /// The version of that id.
    #[must_use]
    pub fn version(&self, id: &VersionId) -> Option<&VersionSpec> {
        self.versions.iter().find(|version| version.id == *id)
    }

    /// The canary, unless its share is the whole: then it is a version like any other.
    #[must_use]
    pub fn canary(&self) -> Option<&Canary> {
        self.canary.as_ref().filter(|canary| canary.share.as_fraction() < 1.0)
    }

    /// Whether `id` is named as a canary whose share is the whole, which says that all may have it.
    #[must_use]
    pub fn is_for_all(&self, id: &VersionId) -> bool {
        self.canary.as_ref().is_some_and(|canary| canary.version == *id) && self.canary().is_none()
    }

    /// Whether that approves of `id`: nothing does while another version is fixed as the active one.
    pub(crate) fn approves(&self, id: &VersionId) -> bool {
        self.is_for_all(id) && self.active.is_none()
    }

    /// Whether `id` is the canary.
    #[must_use]
    pub fn is_canary(&self, id: &VersionId) -> bool {
        self.canary().is_some_and(|canary| canary.version == *id)
    }
}
