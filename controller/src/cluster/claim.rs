//! What an app of the cluster asks for, and what comes of it once the configuration has spoken.
//! The controller does not know the configuration's language: it hands a [`Claim`] to the
//! [`Settings`] that the data plane gives it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cluster::resource::VersionedAppSpec;
use crate::{AppId, Canary, Policy, VersionId};

/// What an app asks for: the `spec` of its resource, which wins, and what its newest version
/// carries in labels and annotations, which loses against the configuration's entry for the app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The app.
    pub id: AppId,
    /// The `spec` of its `VersionedApp`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<VersionedAppSpec>,
    /// Hosts from `lockstep.dev/hosts` or `plt.dev/hostname`.
    pub hosts: Vec<String>,
    /// The path from `lockstep.dev/path` or `plt.dev/path`.
    pub path: Option<String>,
    /// What has a say in the end of its versions, from `plt.dev/expire-policy`: a word that `expirePolicy` knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_policy: Option<String>,
}

/// What an app gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Its hosts, normalised; empty stands for every host that no other app names.
    pub hosts: Vec<String>,
    /// Its path prefix.
    pub path: String,
    /// What it wants of its versions' lives.
    pub policy: Policy,
    /// The version that is fixed as the active one.
    pub active: Option<VersionId>,
    /// The version that a share of new visitors get.
    pub canary: Option<Canary>,
    /// Whether endpoints are checked actively besides the cluster's own readiness.
    pub health_checked: bool,
}

/// What the configuration says of apps.
pub trait Settings: Send + Sync {
    /// What an app gets.
    ///
    /// # Errors
    /// All that is wrong with its claim, each with the place (`spec.cookie.name: …`). The app then
    /// keeps what it had, or is not routed if it had nothing.
    fn settle(&self, claim: &Arc<Claim>) -> Result<Settled, Vec<String>>;

    /// Whether apps of a namespace may have a host, or, with `None`, every host that no app names.
    fn may_claim(&self, namespace: &str, host: Option<&str>) -> bool;

    /// The app of the configuration that has a host (`None`: every other one) and path, if one has:
    /// it wins.
    fn holder(&self, host: Option<&str>, path: &str) -> Option<AppId>;

    /// Whether the configuration itself names the versions of an app: then the cluster's are not
    /// asked.
    fn is_fixed(&self, app: &AppId) -> bool;
}
