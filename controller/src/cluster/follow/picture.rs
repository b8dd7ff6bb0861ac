//! The picture that a replica has of the cluster, kept up to date namespace by namespace.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::cluster::claim::{Settings, Settled};
use crate::cluster::discovery::{Minted, Options, discover};
use crate::cluster::found::{Found, FoundApp, Problem};
use crate::cluster::grants::{Grant, Grants, Settlements};
use crate::cluster::kept::{Memory, MintedId};
use crate::cluster::resource::VersionedApp;
use crate::cluster::standing::{Standing, Standings};
use crate::cluster::state::ClusterState;
use crate::cluster::world::World;
use crate::{AppId, AppSnapshot, Canary, Share, VersionId, VersionSnapshot, VersionState, VersionStatus};

/// The picture of the cluster.
#[derive(Default)]
pub(super) struct Picture {
    /// What was found, by namespace.
    found: BTreeMap<String, Found>,
    minted: BTreeMap<String, Minted>,
    /// Namespaces that changed before everything was seen.
    dirty: BTreeSet<String>,
    resources: HashMap<AppId, Arc<VersionedApp>>,
    settlements: Settlements,
    standings: Standings,
    settled: HashMap<AppId, Arc<Settled>>,
    problems: Vec<Problem>,
    /// What is routed, by identity.
    apps: BTreeMap<AppId, Arc<AppSnapshot>>,
    /// Whether it is of this cluster as it is, not of what was kept.
    seen: bool,
    stored: bool,
    resettle: bool,
    changed: bool,
    unkept: bool,
}

impl Picture {
    /// The picture that was kept.
    pub(super) fn new(memory: Option<Memory>, settings: &dyn Settings) -> Self {
        let mut picture = Self::default();
        let Memory { apps, minted } = memory.unwrap_or_default();
        for app in apps {
            if let Some(grant) = &app.grant {
                picture.settlements.recall(&grant.claim, settings);
            }
            picture.standings.recall(app.id.clone(), standing(&app));
            picture.apps.insert(app.id.clone(), app);
        }
        let ids = |ids: Vec<MintedId>| ids.into_iter().map(|known| ((known.uid, known.template), known.id));
        picture.minted =
            minted.into_iter().map(|(namespace, known)| (namespace, ids(known).collect())).collect();
        picture
    }

    /// Whether the cluster itself was seen.
    pub(super) fn is_seen(&self) -> bool {
        self.seen
    }

    /// The settings are others.
    pub(super) fn resettle(&mut self, settings: &dyn Settings) {
        self.settlements.expire(settings);
        self.resettle = true;
    }

    /// Namespaces that changed, but can't be looked at yet.
    pub(super) fn remember_dirty(&mut self, dirty: BTreeSet<String>) {
        self.dirty.extend(dirty);
    }

    /// Looks at namespaces that changed; returns whether there was anything to look at.
    pub(super) fn look(
        &mut self,
        world: &World,
        dirty: &BTreeSet<String>,
        options: &Options,
        settings: &dyn Settings,
    ) -> bool {
        let mut dirty: BTreeSet<String> = dirty.union(&std::mem::take(&mut self.dirty)).cloned().collect();
        let first = !std::mem::replace(&mut self.seen, true);
        if first {
            dirty.extend(world.namespaces.keys().cloned());
        }
        let stored = world.is_stored();
        let rules =
            std::mem::take(&mut self.resettle) || std::mem::replace(&mut self.stored, stored) != stored;
        if dirty.is_empty() && !first && !rules {
            return false;
        }
        for namespace in dirty {
            self.discover(&namespace, world, options);
        }
        self.decide(settings);
        true
    }

    fn discover(&mut self, namespace: &str, world: &World, options: &Options) {
        let Some(objects) = world.namespaces.get(namespace) else {
            // Nothing is left of it.
            self.found.remove(namespace);
            self.minted.remove(namespace);
            self.resources.retain(|id, _| id.namespace() != namespace);
            return;
        };
        let minted = self.minted.entry(namespace.to_owned()).or_default();
        let mut found = discover(namespace, objects, options, minted);
        // Apps that are as they were are shared with what was published before.
        if let Some(before) = self.found.get(namespace) {
            for (id, app) in &mut found.apps {
                if let Some(same) = before.apps.get(id).filter(|before| *before == app) {
                    *app = Arc::clone(same);
                }
            }
        }
        self.resources.retain(|id, _| id.namespace() != namespace);
        for resource in objects.resources.values() {
            if let Ok(id) = resource.app_id() {
                self.resources.insert(id, Arc::clone(resource));
            }
        }
        self.found.insert(namespace.to_owned(), found);
    }

    /// What everyone gets follows from all namespaces together.
    fn decide(&mut self, settings: &dyn Settings) {
        let apps: Vec<Arc<FoundApp>> =
            self.found.values().flat_map(|found| found.apps.values().cloned()).collect();
        let resources = &self.resources;
        let resource = |id: &AppId| resources.get(id).cloned();
        let Grants { granted, settled, problems } = self.settlements.decide(&apps, &resource, settings);
        let mut routed = BTreeMap::new();
        for app in &apps {
            let standing = self.standings.of(app, resources.get(&app.id), self.stored);
            let Some(grant) = granted.get(&app.id) else { continue };
            let canary = settled.get(&app.id).and_then(|settled| settled.canary.as_ref());
            let canary = routed_canary(standing, canary, self.stored);
            let new = snapshot(app, grant, standing, canary);
            let same = self.apps.get(&app.id).filter(|known| ***known == new);
            routed.insert(app.id.clone(), same.cloned().unwrap_or_else(|| Arc::new(new)));
        }
        let known: BTreeSet<&AppId> = apps.iter().map(|app| &app.id).collect();
        self.standings.retain(|id| known.contains(id));
        self.changed |= self.apps != routed;
        self.unkept |= self.apps != routed;
        self.apps = routed;
        self.settled = settled;
        self.problems = problems;
    }

    /// Whether what is routed changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What is routed.
    pub(super) fn snapshot(&self, stale: bool) -> VersionSnapshot {
        VersionSnapshot { generation: 1, stale, apps: self.apps.values().cloned().collect() }
    }

    /// What the lead decides by.
    pub(super) fn state(&self, stored: bool) -> ClusterState {
        let mut found = Found::default();
        for part in self.found.values() {
            found.apps.extend(part.apps.iter().map(|(id, app)| (id.clone(), Arc::clone(app))));
            found.problems.extend(part.problems.iter().cloned());
        }
        found.problems.extend(self.problems.iter().cloned());
        ClusterState {
            complete: self.seen,
            behind: false,
            stored,
            found,
            resources: self.resources.clone(),
            settled: self.settled.clone(),
            routed: self.apps.clone(),
        }
    }

    /// What has to be kept, if it changed.
    pub(super) fn take_unkept(&mut self) -> Option<Memory> {
        if !std::mem::take(&mut self.unkept) {
            return None;
        }
        let ids = |minted: &Minted| {
            let known = minted.iter().map(|((uid, template), id)| MintedId {
                uid: uid.clone(),
                template: template.clone(),
                id: id.clone(),
            });
            known.collect()
        };
        let minted = self.minted.iter().filter(|(_, minted)| !minted.is_empty());
        Some(Memory {
            apps: self.apps.values().cloned().collect(),
            minted: minted.map(|(namespace, minted)| (namespace.clone(), ids(minted))).collect(),
        })
    }

    /// It could not be kept: it is tried again.
    pub(super) fn not_kept(&mut self) {
        self.unkept = true;
    }
}

/// How the versions of an app stood when they were routed like this.
fn standing(app: &AppSnapshot) -> Standing {
    let states: Vec<_> = app.versions.iter().map(|version| (version.id.clone(), version.state)).collect();
    let known = app.canary.as_ref().filter(|canary| canary.share > Share::NONE);
    let canary = app.canary.as_ref().map(|canary| &canary.version);
    let canary = canary.filter(|id| states.contains(&((*id).clone(), VersionState::Staged))).cloned();
    Standing {
        active: app.active.clone(),
        canary,
        known_canary: known.map(|canary| canary.version.clone()),
        states,
    }
}

/// How an app is routed: states as they were learned, endpoints as they were found. A version whose
/// state is not known yet is not routed (promise P1).
fn snapshot(app: &FoundApp, grant: &Arc<Grant>, standing: &Standing, canary: Option<Canary>) -> AppSnapshot {
    let version = |(id, state): &(VersionId, VersionState)| {
        let found = app.versions.iter().find(|version| version.id == *id);
        VersionStatus {
            id: id.clone(),
            state: *state,
            endpoints: found.map(|found| Arc::clone(&found.endpoints)).unwrap_or_default(),
            http2: found.is_some_and(|found| found.http2),
        }
    };
    AppSnapshot {
        id: app.id.clone(),
        active: standing.active.clone(),
        canary,
        versions: standing.states.iter().map(version).collect(),
        grant: Some(Arc::clone(grant)),
    }
}

/// The canary that is named, if it waits; with its share only once it is written that every replica knows of it. What was
/// the canary before stays it for its visitors, with no share of new ones, until what becomes of it is written: the name
/// changes first. Where states are kept nowhere, nothing is written of any replica.
fn routed_canary(standing: &Standing, named: Option<&Canary>, stored: bool) -> Option<Canary> {
    let is_written = |id: &VersionId| standing.canary.as_ref() == Some(id);
    let waits = |canary: &&Canary| {
        let is_pending = standing.state(&canary.version) == Some(VersionState::Pending);
        canary.share < Share::ALL && (is_pending || is_written(&canary.version))
    };
    let named = named.filter(waits);
    let ends = |id: &&VersionId| named.is_none_or(|named| named.version != **id);
    let ending = standing.canary.as_ref().filter(ends);
    let ending = ending.map(|id| Canary { version: id.clone(), share: Share::NONE });
    let is_known = |canary: &Canary| !stored || standing.known_canary.as_ref() == Some(&canary.version);
    let share = |canary: &Canary| if is_known(canary) { canary.share } else { Share::NONE };
    ending.or_else(|| named.map(|canary| Canary { version: canary.version.clone(), share: share(canary) }))
}

#[cfg(test)]
mod tests;
