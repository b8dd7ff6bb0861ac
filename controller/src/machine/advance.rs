//! Follows time: pending versions become active, superseded ones expire.

use std::time::Duration;

use super::{Step, World, elapsed};
use crate::record::{Cause, VersionRecord};
use crate::{AppSpec, Policy, VersionId, VersionState};

/// How long an expiring version waits for what still runs on it, where it must go anyway.
const FORCED_WAIT: Duration = Duration::from_secs(60);
/// How long an id that has expired is remembered after its source dropped it.
const TOMBSTONE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Step<'_> {
    /// Does what is due.
    pub fn advance(&mut self, spec: &AppSpec, world: &dyn World) {
        self.activate_ready(spec, world);
        self.replace_removed(spec, world);
        self.expire_drained(&spec.policy, world);
        self.confirm_expiring(world);
        self.bury();
    }

    /// What is left of an app that is gone: its versions end, then are forgotten.
    pub fn advance_removed(&mut self, world: &dyn World) {
        self.confirm_expiring(world);
        self.bury();
    }

    fn activate_ready(&mut self, spec: &AppSpec, world: &dyn World) {
        for id in self.record.in_state(VersionState::Pending) {
            if is_ready(spec, world, self.record.version(&id), spec.policy.ready.share.of(desired(spec, &id)))
            {
                self.activate(&id, Cause::Ready);
                continue;
            }
            let (now, deadline) = (self.now, spec.policy.ready.deadline);
            let Some(version) = self.record.version_mut(&id) else { continue };
            if !version.stalled && elapsed(version.since, now) >= deadline {
                version.stalled = true;
                tracing::warn!(app = %spec.id, version = %id, "stalled: pending past its ready deadline");
            }
        }
    }

    /// An active version that its source dropped goes once no successor is on its way; the newest
    /// superseded one that works takes over.
    fn replace_removed(&mut self, spec: &AppSpec, world: &dyn World) {
        let Some(active) = self.record.active.clone() else { return };
        let present = self.record.version(&active).is_some_and(|version| version.present);
        if present || !self.record.in_state(VersionState::Pending).is_empty() {
            return;
        }
        let mut successors = self.record.in_state(VersionState::Draining).into_iter();
        let successor = successors.find(|id| is_ready(spec, world, self.record.version(id), 1));
        match successor {
            Some(successor) => self.activate(&successor, Cause::Successor),
            None => {
                self.record.active = None;
                self.transit(&active, VersionState::Expiring, Cause::Removed);
            }
        }
    }

    fn expire_drained(&mut self, policy: &Policy, world: &dyn World) {
        let draining = self.record.in_state(VersionState::Draining);
        let kept = policy.max_versions.unwrap_or(usize::MAX);
        for (rank, id) in draining.iter().enumerate() {
            let Some(version) = self.record.version(id) else { continue };
            let drained = elapsed(version.drained_at.unwrap_or(version.since), self.now);
            let traffic = world.traffic(id);
            let idle = traffic.in_flight == 0 && traffic.idle_for >= policy.idle_window;
            let asked = version.expiry_asked_by.clone();
            if drained >= policy.max_alive {
                self.transit(id, VersionState::Expiring, Cause::MaxAlive);
            } else if rank >= kept {
                self.transit(id, VersionState::Expiring, Cause::MaxVersions);
            } else if drained >= policy.grace && idle {
                self.transit(id, VersionState::Expiring, Cause::Idle);
                if let (Some(actor), Some(version)) = (asked, self.record.version_mut(id)) {
                    version.actor = actor;
                }
            }
        }
    }

    /// Expiring versions are over once nothing routes them or runs on them.
    fn confirm_expiring(&mut self, world: &dyn World) {
        for id in self.record.in_state(VersionState::Expiring) {
            // Moved there in this very step: nobody has heard of it yet.
            let Some(version) = self.record.version(&id).filter(|_| !self.made_now(&id)) else { continue };
            let waited = elapsed(version.since, self.now);
            let traffic = world.traffic(&id);
            let busy = traffic.in_flight > 0 || (waited > Duration::ZERO && traffic.idle_for < waited);
            let forced = matches!(version.reason, Cause::MaxAlive | Cause::Now);
            if version.reason == Cause::Idle && busy {
                self.transit(&id, VersionState::Draining, Cause::Traffic);
            } else if world.routes_record() && traffic.in_flight == 0 {
                self.transit(&id, VersionState::Expired, Cause::Confirmed);
            } else if forced && waited >= FORCED_WAIT {
                self.transit(&id, VersionState::Expired, Cause::Overdue);
            }
        }
    }

    fn made_now(&self, id: &VersionId) -> bool {
        self.made.iter().any(|transition| transition.version == *id)
    }

    fn bury(&mut self) {
        let now = self.now;
        self.record.versions.retain(|version| {
            version.present
                || version.state != VersionState::Expired
                || elapsed(version.expired_at.unwrap_or(version.since), now) < TOMBSTONE
        });
    }
}

/// Whether at least `needed` endpoints of a version are ready. Without health checks all of them
/// count as ready as soon as they are known.
fn is_ready(spec: &AppSpec, world: &dyn World, version: Option<&VersionRecord>, needed: usize) -> bool {
    let Some(version) = version else { return false };
    let ready = if spec.health_checked { world.ready(&version.id) } else { version.endpoints.len() };
    ready > 0 && ready >= needed
}

fn desired(spec: &AppSpec, id: &VersionId) -> usize {
    spec.version(id).map_or(0, |version| version.endpoints.len())
}
