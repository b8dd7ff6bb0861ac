//! How the versions of each app stand: as their resource says, or said last. Where states can't be
//! kept in the cluster, labels alone decide: the newest that is ready is the active one, and nothing
//! ever expires.

use std::collections::HashMap;
use std::sync::Arc;

use super::found::{FoundApp, FoundVersion};
use super::resource::VersionedApp;
use crate::{AppId, VersionId, VersionState};

/// How the versions of an app stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) active: Option<VersionId>,
    /// The version that is staged as the canary.
    pub(crate) canary: Option<VersionId>,
    /// The canary of which every replica knows, so that visitors may be given it.
    pub(crate) known_canary: Option<VersionId>,
    pub(crate) states: Vec<(VersionId, VersionState)>,
}

/// What was known last of each app.
#[derive(Default)]
pub(crate) struct Standings(HashMap<AppId, Known>);

/// How an app stands, and the resource that said so: what is still the same is not read again.
#[derive(Default)]
struct Known {
    standing: Standing,
    read: Option<Arc<VersionedApp>>,
}

impl Standings {
    /// Remembers how an app stood before a restart.
    pub(crate) fn recall(&mut self, app: AppId, standing: Standing) {
        self.0.insert(app, Known { standing, read: None });
    }

    /// How an app stands. `stored` says whether the cluster keeps states; a resource that has none
    /// yet changes nothing.
    pub(crate) fn of(
        &mut self,
        app: &FoundApp,
        resource: Option<&Arc<VersionedApp>>,
        stored: bool,
    ) -> &Standing {
        let known = self.0.entry(app.id.clone()).or_default();
        let resource = resource.filter(|_| stored);
        let same = |read: &Arc<VersionedApp>| resource.is_some_and(|resource| Arc::ptr_eq(resource, read));
        if known.read.as_ref().is_some_and(same) {
            return &known.standing;
        }
        known.read = resource.cloned();
        match resource.and_then(|resource| Standing::read(resource)) {
            Some(standing) => known.standing.go_on_as(standing),
            None if !stored => known.standing.follow_labels(&app.versions),
            None => {}
        }
        &known.standing
    }

    /// Forgets apps that are no more.
    pub(crate) fn retain(&mut self, keep: impl Fn(&AppId) -> bool) {
        self.0.retain(|app, _| keep(app));
    }
}

impl Standing {
    fn read(resource: &VersionedApp) -> Option<Self> {
        let mut record = resource.record();
        // As the leader will put it right, if somebody edited it.
        record.repair(jiff::Timestamp::now());
        if record.versions.is_empty() {
            return None;
        }
        let alive = |id: &&VersionId| record.version(id).is_some_and(|version| version.state.is_alive());
        let in_state = || record.versions.iter().find(|version| version.state == VersionState::Active);
        Some(Self {
            active: record
                .active
                .as_ref()
                .filter(alive)
                .or_else(|| in_state().map(|active| &active.id))
                .cloned(),
            canary: record.versions.iter().find(|v| v.is_canary()).map(|version| version.id.clone()),
            known_canary: resource.status.as_ref()?.canary.as_ref().map(|canary| canary.version.clone()),
            states: record.versions.iter().map(|version| (version.id.clone(), version.state)).collect(),
        })
    }

    /// Follows what is written. Where that was lost and is begun anew, whatever was active serves on for as long as
    /// it is routed and none is active: only losing states takes the active version away without another.
    fn go_on_as(&mut self, written: Self) {
        let before = std::mem::replace(self, written).active;
        if self.active.is_none() {
            let routed = |id: &VersionId| {
                matches!(self.state(id), Some(VersionState::Pending | VersionState::Draining))
            };
            self.active = before.filter(routed);
        }
    }

    pub(crate) fn state(&self, id: &VersionId) -> Option<VersionState> {
        self.states.iter().find(|(known, _)| known == id).map(|(_, state)| *state)
    }

    fn set(&mut self, id: &VersionId, state: VersionState) {
        match self.states.iter_mut().find(|(known, _)| known == id) {
            Some((_, known)) => *known = state,
            None => self.states.push((id.clone(), state)),
        }
    }

    /// Follows what is found, oldest first.
    fn follow_labels(&mut self, versions: &[FoundVersion]) {
        let found = |id: &VersionId| versions.iter().any(|version| version.id == *id);
        self.states.retain(|(id, state)| found(id) || !state.is_alive());
        self.active = self.active.take().filter(found);
        let active = versions.iter().position(|version| Some(&version.id) == self.active.as_ref());
        for version in versions {
            if self.state(&version.id).is_none() {
                self.set(&version.id, VersionState::Pending);
            }
        }
        let waits = |version: &&FoundVersion| {
            let state = self.state(&version.id);
            matches!(state, Some(VersionState::Pending))
                || (active.is_none() && state == Some(VersionState::Draining))
        };
        let newer = || versions.iter().skip(active.map_or(0, |active| active + 1)).rev().filter(waits);
        let next =
            newer().find(|version| is_ready(version)).or_else(|| newer().next().filter(|_| active.is_none()));
        if let Some(next) = next.map(|next| next.id.clone()) {
            if let Some(old) = self.active.replace(next.clone()) {
                self.set(&old, VersionState::Draining);
            }
            self.set(&next, VersionState::Active);
        }
        // What is older than the active one may have visitors from before.
        let older = versions.iter().take_while(|version| Some(&version.id) != self.active.as_ref());
        let older: Vec<_> = older.map(|version| version.id.clone()).collect();
        for id in older {
            if self.state(&id) == Some(VersionState::Pending) {
                self.set(&id, VersionState::Draining);
            }
        }
    }
}

fn is_ready(version: &FoundVersion) -> bool {
    let endpoints = u32::try_from(version.endpoints.len()).unwrap_or(u32::MAX);
    endpoints >= version.workload.desired.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::claim::Claim;
    use crate::cluster::found::Workload;

    /// An app with these versions, oldest first, and their numbers of endpoints; each wants one.
    fn app(versions: &[(&str, u16)]) -> FoundApp {
        let id: AppId = "web/shop".parse().unwrap();
        let version = |(name, endpoints): &(&str, u16)| FoundVersion {
            id: name.parse().unwrap(),
            revision: 1,
            workload: Workload {
                deployment: (*name).to_owned(),
                uid: String::new(),
                service: None,
                desired: 1,
                pods: 1,
                deleting: false,
                template: String::new(),
                created: jiff::Timestamp::UNIX_EPOCH,
            },
            endpoints: (0..*endpoints).map(|port| ([127, 0, 0, 1], port).into()).collect(),
            http2: false,
        };
        let claim = Claim { id: id.clone(), spec: None, hosts: Vec::new(), path: None, expire_policy: None };
        FoundApp { id, claim: Arc::new(claim), versions: versions.iter().map(version).collect() }
    }

    fn show(standing: &Standing) -> String {
        let states = standing.states.iter().map(|(id, state)| format!("{id}:{state}"));
        states.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn without_kept_states_the_newest_ready_one_is_active() {
        let mut standings = Standings::default();
        let steps: [(&[(&str, u16)], &str); 6] = [
            (&[("v1", 0), ("v2", 0)], "v1:draining v2:active"),
            // Not ready yet.
            (&[("v1", 0), ("v2", 1), ("v3", 0)], "v1:draining v2:active v3:pending"),
            (&[("v1", 0), ("v2", 1), ("v3", 1)], "v1:draining v2:draining v3:active"),
            // It stays so when endpoints go.
            (&[("v1", 1), ("v2", 1), ("v3", 0)], "v1:draining v2:draining v3:active"),
            (&[("v1", 1), ("v2", 1)], "v1:draining v2:active"),
            (&[], ""),
        ];
        for (found, expected) in steps {
            assert_eq!(show(standings.of(&app(found), None, false)), expected, "{found:?}");
        }
    }

    #[test]
    fn where_states_are_kept_labels_decide_nothing() {
        let mut standings = Standings::default();
        assert_eq!(*standings.of(&app(&[("v1", 1)]), None, true), Standing::default());
        let known = Standing {
            active: Some("v1".parse().unwrap()),
            canary: None,
            known_canary: None,
            states: vec![("v1".parse().unwrap(), VersionState::Active)],
        };
        standings.recall("web/shop".parse().unwrap(), known.clone());
        assert_eq!(*standings.of(&app(&[("v1", 1), ("v2", 1)]), None, true), known);
    }

    #[test]
    fn what_was_active_serves_on_while_a_lost_status_is_made_again() {
        let written = |states: &[(&str, VersionState)]| Standing {
            active: None,
            canary: None,
            known_canary: None,
            states: states.iter().map(|(id, state)| (id.parse().unwrap(), *state)).collect(),
        };
        let cases = [
            (VersionState::Pending, Some("v2")),
            (VersionState::Draining, Some("v2")),
            (VersionState::Staged, None),
            (VersionState::Expiring, None),
        ];
        for (state, serves) in cases {
            let mut known = Standing { active: Some("v2".parse().unwrap()), ..Standing::default() };
            known.go_on_as(written(&[("v1", VersionState::Draining), ("v2", state)]));
            assert_eq!(known.active.as_ref().map(VersionId::as_str), serves, "{state}");
        }
    }
}
