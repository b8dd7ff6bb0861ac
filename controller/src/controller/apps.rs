//! All apps that the controller knows, each with its specification and its record.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::machine::command::{Command, CommandError};
use crate::machine::{CONTROLLER, Step, World};
use crate::record::{AppRecord, Transition};
use crate::store::Records;
use crate::view::{AppView, HistoryView};
use crate::{
    AppId, AppSnapshot, AppSpec, DataPlane, Traffic, VersionId, VersionSnapshot, VersionState, VersionStatus,
};

/// The apps, and the generation of their last change.
pub(super) struct Apps {
    apps: BTreeMap<AppId, App>,
    /// Those of the configuration, in its order.
    order: Vec<AppId>,
    generation: u64,
    changed: bool,
}

/// One app. Without a specification it is gone, and remembered until its versions are forgotten.
#[derive(Default)]
struct App {
    spec: Option<AppSpec>,
    record: AppRecord,
}

type Made = Vec<(AppId, Transition)>;

struct AppWorld<'a> {
    app: &'a AppId,
    spec: Option<&'a AppSpec>,
    data_plane: &'a dyn DataPlane,
    routes_record: bool,
}

impl Apps {
    pub(super) fn new(records: Records) -> Self {
        let app = |(id, record): (String, AppRecord)| Some((id.parse().ok()?, App { spec: None, record }));
        let apps = records.into_iter().filter_map(app).collect();
        Self { apps, order: Vec::new(), generation: 1, changed: false }
    }

    /// Follows a new specification, and does at once what can be done at once.
    pub(super) fn apply(&mut self, specs: Vec<AppSpec>, data_plane: &dyn DataPlane) -> Made {
        let order: Vec<AppId> = specs.iter().map(|spec| spec.id.clone()).collect();
        self.changed |= self.order != order;
        self.order = order;
        let mut specs: BTreeMap<AppId, AppSpec> =
            specs.into_iter().map(|spec| (spec.id.clone(), spec)).collect();
        for id in specs.keys() {
            self.apps.entry(id.clone()).or_default();
        }
        for (id, app) in &mut self.apps {
            let spec = specs.remove(id);
            self.changed |= app.spec != spec;
            app.spec = spec;
        }
        self.step_all(data_plane, |step, spec| match spec {
            Some(spec) => step.reconcile(spec),
            None => step.remove_app(),
        })
    }

    /// Carries a command out, and does at once what follows from it.
    pub(super) fn command(
        &mut self,
        app: &str,
        version: &str,
        command: Command,
        actor: &str,
        data_plane: &dyn DataPlane,
    ) -> Result<Made, CommandError> {
        let id = self.find(app)?.clone();
        let unknown = || CommandError::UnknownApp(app.to_owned());
        let App { spec, record } = self.apps.get_mut(&id).ok_or_else(unknown)?;
        let spec = spec.as_ref().ok_or_else(unknown)?;
        let world = AppWorld::new(&id, Some(spec), data_plane, self.generation, self.changed);
        let mut step = Step::new(record, Timestamp::now(), actor);
        step.command(spec, version, command)?;
        step.advance(spec, &world);
        // Even without a transition something may have been noted.
        self.changed = true;
        Ok(step.finish().into_iter().map(|transition| (id.clone(), transition)).collect())
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, data_plane: &dyn DataPlane) -> Made {
        self.step_all(data_plane, |_, _| {})
    }

    fn step_all(
        &mut self,
        data_plane: &dyn DataPlane,
        first: impl Fn(&mut Step<'_>, Option<&AppSpec>),
    ) -> Made {
        let now = Timestamp::now();
        let mut made = Made::new();
        for (id, app) in &mut self.apps {
            let App { spec, record } = app;
            let spec = spec.as_ref();
            let world = AppWorld::new(id, spec, data_plane, self.generation, self.changed);
            let before = record.versions.len();
            let mut step = Step::new(record, now, CONTROLLER);
            first(&mut step, spec);
            match spec {
                Some(spec) => step.advance(spec, &world),
                None => step.advance_removed(&world),
            }
            made.extend(step.finish().into_iter().map(|transition| (id.clone(), transition)));
            self.changed |= before != record.versions.len();
        }
        self.apps.retain(|_, app| app.spec.is_some() || !app.record.versions.is_empty());
        self.changed |= !made.is_empty();
        made
    }

    /// Whether anything changed since the last call; then the next snapshot is a new generation.
    pub(super) fn take_changed(&mut self) -> bool {
        let changed = std::mem::take(&mut self.changed);
        if changed {
            self.generation += 1;
        }
        changed
    }

    pub(super) fn records(&self) -> Records {
        self.apps.iter().map(|(id, app)| (id.to_string(), app.record.clone())).collect()
    }

    pub(super) fn snapshot(&self) -> VersionSnapshot {
        let app = |id: &AppId| {
            let App { spec: Some(spec), record } = self.apps.get(id)? else { return None };
            let versions = record.versions.iter().map(|version| VersionStatus {
                id: version.id.clone(),
                state: version.state,
                endpoints: Arc::clone(&version.endpoints),
                http2: false,
            });
            Some(Arc::new(AppSnapshot {
                id: id.clone(),
                active: record.active.clone(),
                canary: spec.canary().filter(|canary| may_be_canary(record, &canary.version)).cloned(),
                versions: versions.collect(),
                #[cfg(feature = "kube")]
                grant: None,
            }))
        };
        VersionSnapshot {
            generation: self.generation,
            stale: false,
            apps: self.order.iter().filter_map(app).collect(),
        }
    }

    pub(super) fn views(&self, data_plane: &dyn DataPlane) -> Vec<AppView> {
        self.order.iter().filter_map(|id| self.view_of(id, data_plane)).collect()
    }

    pub(super) fn view(&self, app: &str, data_plane: &dyn DataPlane) -> Result<AppView, CommandError> {
        self.view_of(self.find(app)?, data_plane).ok_or_else(|| CommandError::UnknownApp(app.to_owned()))
    }

    pub(super) fn history(&self, app: &str) -> Result<HistoryView, CommandError> {
        let id = self.find(app)?;
        let history = self.apps.get(id).map(|app| app.record.history.iter().cloned().collect());
        Ok(HistoryView {
            app: id.name().to_owned(),
            namespace: id.namespace().to_owned(),
            history: history.unwrap_or_default(),
        })
    }

    fn view_of(&self, id: &AppId, data_plane: &dyn DataPlane) -> Option<AppView> {
        let App { spec, record } = self.apps.get(id)?;
        Some(AppView::new(id, spec.as_ref(), record, data_plane))
    }

    /// The app of that identity, or the only one of that name.
    fn find(&self, app: &str) -> Result<&AppId, CommandError> {
        if let Some(id) = self.order.iter().find(|id| id.to_string() == app) {
            return Ok(id);
        }
        let mut named = self.order.iter().filter(|id| id.name() == app);
        match (named.next(), named.next()) {
            (Some(id), None) => Ok(id),
            (None, _) => Err(CommandError::UnknownApp(app.to_owned())),
            (Some(_), Some(_)) => Err(CommandError::AmbiguousApp(app.to_owned())),
        }
    }
}

/// Whether a version waits to become active: anything else is no canary.
fn may_be_canary(record: &AppRecord, id: &VersionId) -> bool {
    let version = record.version(id);
    version.is_some_and(|version| version.is_canary() || version.state == VersionState::Pending)
}

impl<'a> AppWorld<'a> {
    fn new(
        app: &'a AppId,
        spec: Option<&'a AppSpec>,
        data_plane: &'a dyn DataPlane,
        generation: u64,
        changed: bool,
    ) -> Self {
        Self {
            app,
            spec,
            data_plane,
            routes_record: !changed && data_plane.routed_generation() >= generation,
        }
    }
}

impl World for AppWorld<'_> {
    fn ready(&self, version: &VersionId) -> usize {
        self.data_plane.ready_endpoints(self.app, version)
    }

    fn desired(&self, version: &VersionId) -> usize {
        self.spec.and_then(|spec| spec.version(version)).map_or(0, |version| version.endpoints.len())
    }

    fn traffic(&self, version: &VersionId) -> Option<Traffic> {
        self.data_plane.traffic(self.app, version)
    }

    fn everyone_can_route(&self, _: &VersionId) -> bool {
        true
    }

    fn everyone_stopped(&self, version: &VersionId) -> bool {
        let traffic = self.data_plane.traffic(self.app, version);
        // An app whose new route can't be made keeps the one that it had.
        let is_routed = self.data_plane.routed(self.app, version).is_some();
        self.routes_record && !is_routed && traffic.is_none_or(|traffic| traffic.in_flight == 0)
    }

    /// Nothing runs a version of the file that we could end.
    fn workload_gone(&self, _: &VersionId) -> bool {
        true
    }

    fn may_expire(&self, _: &VersionId) -> bool {
        true
    }
}
