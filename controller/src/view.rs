//! What the admin API shows of apps: their records joined with what the data plane sees.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::record::{AppRecord, Cause, Transition, VersionRecord};
use crate::{AppId, AppSpec, DataPlane, VersionId, VersionState};

/// One app as people see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppView {
    /// Its name.
    pub app: String,
    /// Its namespace; empty outside Kubernetes.
    pub namespace: String,
    /// The active version.
    pub active: Option<VersionId>,
    /// The canary, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryView>,
    /// Its versions, newest first.
    pub versions: Vec<VersionView>,
    /// Whether it is served, and what is wrong, in a cluster.
    #[cfg(feature = "kube")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>,
    /// What should be done, in a cluster and in `advise` mode.
    #[cfg(feature = "kube")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<crate::cluster::resource::PlanStep>,
}

/// A canary as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct CanaryView {
    /// The version.
    pub version: VersionId,
    /// Its share of new visitors, such as `10%`.
    pub share: String,
}

/// One version as people see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionView {
    /// Its id.
    pub id: VersionId,
    /// Its state.
    pub state: VersionState,
    /// Why it is in that state.
    pub reason: Cause,
    /// Who brought that about.
    pub actor: String,
    /// Its age rank: higher is newer.
    pub revision: u64,
    /// Endpoints that are ready.
    pub ready: usize,
    /// Endpoints that there should be.
    pub desired: usize,
    /// Requests and streams that run on it.
    pub in_flight: u64,
    /// Seconds since its last request ended.
    pub idle_seconds: u64,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// When it was superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drained_at: Option<Timestamp>,
    /// When it expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Timestamp>,
    /// Who asked for it to expire in the ordinary way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry_asked_by: Option<String>,
    /// Replicas that it is about to be scaled up to, in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores_to: Option<u32>,
    /// Whether it is pending for longer than it should be.
    pub stalled: bool,
    /// Where it is reached.
    pub endpoints: Arc<[SocketAddr]>,
}

/// The past of one app.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryView {
    /// Its name.
    pub app: String,
    /// Its namespace.
    pub namespace: String,
    /// Its last transitions, oldest first.
    pub history: Vec<Transition>,
}

impl AppView {
    /// Joins a record with what the data plane sees.
    #[must_use]
    pub fn new(id: &AppId, spec: Option<&AppSpec>, record: &AppRecord, data_plane: &dyn DataPlane) -> Self {
        let mut versions: Vec<_> =
            record.versions.iter().map(|version| VersionView::new(id, version, data_plane)).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.revision));
        let canary = spec
            .and_then(AppSpec::canary)
            .map(|canary| CanaryView { version: canary.version.clone(), share: canary.share.to_string() });
        Self {
            app: id.name().to_owned(),
            namespace: id.namespace().to_owned(),
            active: record.active.clone(),
            canary,
            versions,
            #[cfg(feature = "kube")]
            conditions: Vec::new(),
            #[cfg(feature = "kube")]
            plan: Vec::new(),
        }
    }
}

impl VersionView {
    fn new(app: &AppId, version: &VersionRecord, data_plane: &dyn DataPlane) -> Self {
        let traffic = data_plane.traffic(app, &version.id);
        let alive = version.state != VersionState::Expired;
        Self {
            id: version.id.clone(),
            state: version.state,
            reason: version.reason,
            actor: version.actor.clone(),
            revision: version.revision,
            ready: if alive { data_plane.ready_endpoints(app, &version.id) } else { 0 },
            desired: if version.present { version.endpoints.len() } else { 0 },
            in_flight: traffic.map_or(0, |traffic| traffic.in_flight),
            idle_seconds: traffic.map_or(u64::MAX, |traffic| traffic.idle_for.as_secs()),
            since: version.since,
            drained_at: version.drained_at,
            expired_at: version.expired_at,
            expiry_asked_by: version.expiry_asked_by.clone(),
            restores_to: None,
            stalled: version.stalled,
            endpoints: version.endpoints.clone(),
        }
    }
}
