//! What follows for an app from what was found of it, what is written of it and what the replicas
//! say: its next states, and the status that says so. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::world::ClusterWorld;
use crate::cluster::claim::Settled;
use crate::cluster::found::{FoundApp, FoundVersion, Problem, ProblemReason};
use crate::cluster::resource::convert::Figures;
use crate::cluster::resource::{VersionedApp, VersionedAppSpec};
use crate::cluster::state::ClusterState;
use crate::machine::{CONTROLLER, Step, World as _};
use crate::record::{AppRecord, Transition, VersionRecord};
use crate::{AppId, AppSnapshot, AppSpec, VersionId, VersionSpec, VersionState};

/// What a step is decided on.
pub(super) struct Case<'a> {
    pub(super) app: &'a AppId,
    pub(super) found: Option<&'a FoundApp>,
    pub(super) settled: &'a Settled,
    /// What is wrong with objects of the app's namespace.
    pub(super) problems: &'a [Problem],
    /// How this replica routes the app.
    pub(super) routed: Option<&'a AppSnapshot>,
    pub(super) now: Timestamp,
}

/// What was decided.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) record: AppRecord,
    pub(super) made: Vec<Transition>,
    /// What was wrong with the states as they were written.
    pub(super) repaired: Vec<String>,
    /// Versions whose pod template changed under their id.
    pub(super) changed: Vec<VersionId>,
    pub(super) figures: BTreeMap<VersionId, Figures>,
    /// Whether on every replica those who are pinned to the canary reach it.
    pub(super) canary_is_known: bool,
}

impl Decision {
    /// Versions that are not seen any more, and were there when `written` was.
    pub(super) fn missed<'d>(&'d self, written: &'d AppRecord) -> impl Iterator<Item = &'d VersionRecord> {
        let was = |id: &VersionId| written.version(id).is_some_and(|version| version.present);
        self.record.versions.iter().filter(move |version| !version.present && was(&version.id))
    }
}

impl<'a> Case<'a> {
    /// What is to be decided of an app now, by what this replica sees.
    pub(super) fn of(
        cluster: &'a ClusterState,
        app: &'a AppId,
        found: Option<&'a Arc<FoundApp>>,
        settled: &'a Settled,
    ) -> Self {
        let found = found.map(|found| &**found);
        let routed = cluster.routed.get(app).map(|routed| &**routed);
        Self { app, found, settled, problems: &cluster.found.problems, routed, now: Timestamp::now() }
    }
}

impl Case<'_> {
    /// The app as the state machine sees it.
    pub(super) fn spec(&self, record: &AppRecord) -> AppSpec {
        let mut versions: Vec<_> = self.versions().map(spec_of).collect();
        versions.extend(record.versions.iter().filter(|version| self.is_troubled(version)).map(|version| {
            VersionSpec { id: version.id.clone(), revision: version.revision, endpoints: [].into() }
        }));
        versions.sort_by(|a, b| (a.revision, &a.id).cmp(&(b.revision, &b.id)));
        // A fixed version that is not there keeps all others from becoming active, but not an app from having any.
        let holds =
            |id: &&VersionId| record.active.is_some() || versions.iter().any(|version| version.id == **id);
        let active = self.settled.active.as_ref().filter(holds).cloned();
        AppSpec {
            id: self.app.clone(),
            versions,
            active,
            canary: self.settled.canary.clone(),
            health_checked: true,
            policy: self.settled.policy.clone(),
        }
    }

    /// Decides. `written` is what the world's reports are about.
    pub(super) fn decide(&self, written: &AppRecord, world: &ClusterWorld<'_>) -> Decision {
        let mut record = written.clone();
        let repaired = record.repair(self.now);
        let spec = self.spec(&record);
        let mut step = Step::new(&mut record, self.now, CONTROLLER);
        if let Some(routed) = self.routed {
            step.recall(&spec, routed, world);
        }
        step.reconcile(&spec);
        step.advance(&spec, world);
        let made = step.finish();
        let changed = self.note_workloads(&mut record);
        let figures = self.figures(&record, world);
        let canary = self.settled.canary.as_ref().map(|canary| &canary.version);
        let canary_is_known = canary.is_some_and(|canary| world.everyone_can_route(canary));
        Decision { record, made, repaired, changed, figures, canary_is_known }
    }

    /// The `spec` that counts while the present one can't be used.
    pub(super) fn accepted(&self, resource: &VersionedApp) -> Option<Box<VersionedAppSpec>> {
        let refused = |problem: &Problem| {
            problem.reason == ProblemReason::InvalidSettings
                && problem.kind == "VersionedApp"
                && (problem.namespace.as_str(), problem.name.as_str())
                    == (self.app.namespace(), self.app.name())
        };
        if !self.problems.iter().any(refused) {
            return None;
        }
        let known = self.routed.and_then(|routed| routed.grant.as_ref()?.claim.spec.clone());
        let written = || resource.status.as_ref()?.accepted.clone();
        known.map(Box::new).or_else(written)
    }

    fn versions(&self) -> impl Iterator<Item = &FoundVersion> {
        self.found.into_iter().flat_map(|found| &found.versions).filter(|version| !version.workload.deleting)
    }

    /// A version that is there, but whose objects can't be used at the moment: it is not gone.
    fn is_troubled(&self, version: &crate::record::VersionRecord) -> bool {
        if !version.present || self.versions().any(|found| found.id == version.id) {
            return false;
        }
        let names = [("Deployment", &version.workload.deployment), ("Service", &version.workload.service)];
        self.problems.iter().any(|problem| {
            let named = |(kind, name): &(&str, &Option<String>)| {
                problem.kind == *kind && name.as_ref().is_some_and(|name| *name == problem.name)
            };
            problem.namespace == self.app.namespace() && names.iter().any(named)
        })
    }

    /// Notes what runs the versions; returns those whose template is not the one that they began with.
    fn note_workloads(&self, record: &mut AppRecord) -> Vec<VersionId> {
        let mut changed = Vec::new();
        for found in self.versions() {
            let Some(version) = record.version_mut(&found.id) else { continue };
            let (state, known) = (version.state, &mut version.workload);
            known.deployment = Some(found.workload.deployment.clone());
            known.service.clone_from(&found.workload.service);
            let template = known.template.replace(found.workload.template.clone());
            if template.is_some_and(|template| template != found.workload.template) && state.is_alive() {
                changed.push(found.id.clone());
            }
            if state != VersionState::Expired && !known.vanished && found.workload.desired > 0 {
                if state == VersionState::Expiring {
                    known.replicas = Some(found.workload.desired);
                } else if !known.restore {
                    // One that is to be restored may be on its way to zero still.
                    known.replicas = None;
                }
            }
        }
        changed
    }

    fn figures(&self, record: &AppRecord, world: &ClusterWorld<'_>) -> BTreeMap<VersionId, Figures> {
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let figures = record.versions.iter().map(|version| {
            let figures = Figures {
                ready: small(world.ready(&version.id)),
                desired: small(world.desired(&version.id)),
                in_flight: world.traffic(&version.id).map_or(0, |traffic| traffic.in_flight),
            };
            (version.id.clone(), figures)
        });
        figures.collect()
    }
}

fn spec_of(version: &FoundVersion) -> VersionSpec {
    VersionSpec {
        id: version.id.clone(),
        revision: version.revision,
        endpoints: std::sync::Arc::clone(&version.endpoints),
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
