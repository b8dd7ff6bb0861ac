//! Apps of the cluster as people see them where the cluster keeps no states.

use std::collections::HashMap;
use std::sync::Arc;

use super::found::{FoundApp, FoundVersion};
use super::state::ClusterState;
use crate::record::{AppRecord, Cause, VersionRecord, WorkloadRecord};
use crate::view::{AppView, CanaryView};
use crate::{AppSnapshot, DataPlane, VersionSnapshot, VersionStatus};

impl ClusterState {
    /// The apps whose states are kept nowhere; `routed` is the last snapshot that was published.
    #[must_use]
    pub fn unstored(&self, routed: &VersionSnapshot, data_plane: &dyn DataPlane) -> Vec<AppView> {
        let routed: HashMap<_, _> = routed.apps.iter().map(|app| (&app.id, &**app)).collect();
        let unstored = self.found.apps.values().filter(|app| !self.resources.contains_key(&app.id));
        unstored.map(|app| Self::view_of(app, routed.get(&app.id).copied(), data_plane)).collect()
    }

    fn view_of(app: &FoundApp, routed: Option<&AppSnapshot>, data_plane: &dyn DataPlane) -> AppView {
        let record = routed.map(|routed| by_labels(app, routed)).unwrap_or_default();
        let mut view = AppView::new(&app.id, None, &record, data_plane);
        for version in &mut view.versions {
            let found = app.versions.iter().find(|found| found.id == version.id);
            let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            version.desired = found.map_or(0, |found| count(found.workload.desired));
            version.ready = found.map_or(0, |found| found.endpoints.len());
        }
        let canary = routed.and_then(|routed| routed.canary.as_ref());
        view.canary = canary
            .map(|canary| CanaryView { version: canary.version.clone(), share: canary.share.to_string() });
        view
    }
}

/// What is known of an app whose states are kept nowhere.
fn by_labels(app: &FoundApp, routed: &AppSnapshot) -> AppRecord {
    let version = |status: &VersionStatus| {
        let found = app.versions.iter().find(|found| found.id == status.id)?;
        Some(record(found, status))
    };
    AppRecord {
        active: routed.active.clone(),
        versions: routed.versions.iter().filter_map(version).collect(),
        ..AppRecord::default()
    }
}

fn record(found: &FoundVersion, status: &VersionStatus) -> VersionRecord {
    VersionRecord {
        id: status.id.clone(),
        state: status.state,
        reason: Cause::New,
        actor: crate::machine::CONTROLLER.to_owned(),
        revision: found.revision,
        since: found.workload.created,
        drained_at: None,
        expired_at: None,
        endpoints: Arc::clone(&found.endpoints),
        present: true,
        expiry_asked_by: None,
        stalled: false,
        workload: WorkloadRecord::default(),
    }
}
