//! The world that the versions of an app of the cluster live in: what was found of them, and what
//! all replicas say.

use std::time::Duration;

use tokio::time::Instant;

use super::fleet::Fleet;
use super::report::Life;
use crate::cluster::found::{FoundApp, FoundVersion};
use crate::machine::World;
use crate::record::AppRecord;
use crate::{AppId, Cleanup, DataPlane, Mode, Policy, Traffic, VersionId};

/// What a step may ask.
pub(super) struct ClusterWorld<'a> {
    pub(super) app: &'a AppId,
    pub(super) found: Option<&'a FoundApp>,
    /// The states as they are written: what replicas say is about these.
    pub(super) written: &'a AppRecord,
    pub(super) policy: &'a Policy,
    /// Set where endpoints are checked actively, besides the cluster's own readiness.
    pub(super) checks: Option<&'a dyn DataPlane>,
    pub(super) fleet: &'a Fleet,
    pub(super) now: Instant,
    /// Idle versions that the app's webhook lets go.
    pub(super) released: &'a dyn Fn(&VersionId) -> bool,
}

impl ClusterWorld<'_> {
    fn version(&self, id: &VersionId) -> Option<&FoundVersion> {
        self.found?.versions.iter().find(|version| version.id == *id && !version.workload.deleting)
    }

    fn life(&self, id: &VersionId) -> Option<Life> {
        self.written.version(id).map(Life::of)
    }
}

impl World for ClusterWorld<'_> {
    fn ready(&self, version: &VersionId) -> usize {
        let ready = self.version(version).map_or(0, |version| version.endpoints.len());
        self.checks.map_or(ready, |checks| ready.min(checks.ready_endpoints(self.app, version)))
    }

    fn desired(&self, version: &VersionId) -> usize {
        let desired = self.version(version).map_or(0, |version| version.workload.desired);
        usize::try_from(desired).unwrap_or(usize::MAX)
    }

    fn traffic(&self, version: &VersionId) -> Option<Traffic> {
        self.fleet.traffic(self.app, version, self.life(version)?, self.now)
    }

    fn has_run_within(&self, version: &VersionId, time: Duration) -> bool {
        let life = self.life(version);
        life.is_some_and(|life| self.fleet.has_run_within(self.app, version, life, time, self.now))
    }

    fn everyone_can_route(&self, version: &VersionId) -> bool {
        self.life(version)
            .is_some_and(|life| self.fleet.everyone_can_route(self.app, version, life, self.now))
    }

    fn everyone_stopped(&self, version: &VersionId) -> bool {
        self.life(version).is_some_and(|life| self.fleet.everyone_stopped(self.app, version, life, self.now))
    }

    fn workload_gone(&self, version: &VersionId) -> bool {
        let Some(version) = self.version(version) else { return true };
        let stopped = version.workload.desired == 0 && version.workload.pods == 0;
        match (self.policy.mode, self.policy.cleanup) {
            (Mode::Observe, _) | (_, Cleanup::None) => true,
            (_, Cleanup::Scale) => stopped,
            (_, Cleanup::Delete) => false,
        }
    }

    fn may_expire(&self, version: &VersionId) -> bool {
        self.policy.webhook.is_none() || (self.released)(version)
    }
}
