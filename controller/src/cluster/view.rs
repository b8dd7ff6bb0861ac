//! Apps of the cluster as people see them.

use std::sync::Arc;

use super::found::{FoundApp, FoundVersion};
use super::state::ClusterState;
use crate::record::{AppRecord, Cause, VersionRecord, WorkloadRecord};
use crate::view::{AppView, CanaryView, HistoryView};
use crate::{AppId, AppSnapshot, CommandError, DataPlane, VersionSnapshot, VersionStatus};

impl ClusterState {
    /// All apps; `routed` is the last snapshot that was published.
    #[must_use]
    pub fn views(&self, routed: &VersionSnapshot, data_plane: &dyn DataPlane) -> Vec<AppView> {
        self.found.apps.iter().map(|app| self.view_of(app, routed, data_plane)).collect()
    }

    /// One app, by `namespace/name`, or by its name if only one namespace has it.
    ///
    /// # Errors
    /// If there is no such app, or more than one.
    pub fn view(
        &self,
        app: &str,
        routed: &VersionSnapshot,
        data_plane: &dyn DataPlane,
    ) -> Result<AppView, CommandError> {
        Ok(self.view_of(self.find(app)?, routed, data_plane))
    }

    /// The last transitions of an app.
    ///
    /// # Errors
    /// If there is no such app, or more than one.
    pub fn history(&self, app: &str) -> Result<HistoryView, CommandError> {
        let id = &self.find(app)?.id;
        let history = self.resources.get(id).map(|resource| resource.record().history.into_iter().collect());
        Ok(HistoryView {
            app: id.name().to_owned(),
            namespace: id.namespace().to_owned(),
            history: history.unwrap_or_default(),
        })
    }

    /// The identity of an app.
    ///
    /// # Errors
    /// If there is no such app, or more than one.
    pub fn id(&self, app: &str) -> Result<&AppId, CommandError> {
        self.find(app).map(|app| &app.id)
    }

    fn find(&self, app: &str) -> Result<&FoundApp, CommandError> {
        if let Some(found) = self.found.apps.iter().find(|found| found.id.to_string() == app) {
            return Ok(found);
        }
        let mut named = self.found.apps.iter().filter(|found| found.id.name() == app);
        match (named.next(), named.next()) {
            (Some(found), None) => Ok(found),
            (None, _) => Err(CommandError::UnknownApp(app.to_owned())),
            (Some(_), Some(_)) => Err(CommandError::AmbiguousApp(app.to_owned())),
        }
    }

    fn view_of(&self, app: &FoundApp, routed: &VersionSnapshot, data_plane: &dyn DataPlane) -> AppView {
        let known = self.resources.get(&app.id).map(|resource| resource.record());
        let routed = routed.apps.iter().find(|routed| routed.id == app.id);
        let mut record = match known.filter(|record| !record.versions.is_empty()) {
            Some(record) => record,
            None => routed.map(|routed| by_labels(app, routed)).unwrap_or_default(),
        };
        for version in &mut record.versions {
            let found = app.versions.iter().find(|found| found.id == version.id);
            version.endpoints = found.map(|found| Arc::clone(&found.endpoints)).unwrap_or_default();
            version.present = found.is_some();
        }
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
