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
        self.notice_returned(world);
        self.activate_ready(spec, world);
        self.replace_removed(spec, world);
        self.fill_vacancy(spec, world);
        self.expire_drained(&spec.policy, world);
        self.confirm_expiring(spec.policy.max_alive, world);
        self.bury();
    }

    /// What is left of an app that is gone: its versions end, then are forgotten.
    pub fn advance_removed(&mut self, world: &dyn World) {
        // Nobody says how long is too long any more.
        self.confirm_expiring(Duration::MAX, world);
        self.bury();
    }

    /// A version that was taken down and runs again was brought back by somebody else: it is not
    /// taken down once more, and does not become active by itself.
    fn notice_returned(&mut self, world: &dyn World) {
        for version in &mut self.record.versions {
            let over = version.state == VersionState::Expired || version.workload.released;
            if over && (!version.present || world.desired(&version.id) == 0) {
                version.workload.vanished = true;
            }
        }
        let over = |version: &&VersionRecord| !version.state.is_alive() && version.workload.vanished;
        let over: Vec<_> =
            self.record.versions.iter().filter(over).map(|version| version.id.clone()).collect();
        for id in over {
            let present = self.record.version(&id).is_some_and(|version| version.present);
            if present && world.desired(&id) > 0 {
                self.transit(&id, VersionState::Staged, Cause::Returned);
            }
        }
    }

    fn activate_ready(&mut self, spec: &AppSpec, world: &dyn World) {
        // What another is fixed against waits as it is.
        let is_free = |id: &VersionId| spec.active.as_ref().is_none_or(|fixed| fixed == id);
        for id in self.record.in_state(VersionState::Pending).into_iter().filter(is_free) {
            let needed = spec.policy.ready.share.of(world.desired(&id));
            if is_ready(spec, world, self.record.version(&id), needed) && world.everyone_can_route(&id) {
                self.activate(&id, Cause::Ready);
                continue;
            }
            let (now, deadline) = (self.now, spec.policy.ready.deadline);
            let serves = is_ready(spec, world, self.record.version(&id), 1);
            let Some(version) = self.record.version_mut(&id) else { continue };
            if serves && version.expired_at.is_some() {
                // Who still has a pin from before reaches it.
                version.drained_at.get_or_insert(now);
            }
            if !version.stalled && elapsed(version.since, now) >= deadline {
                version.stalled = true;
                tracing::warn!(app = %spec.id, version = %id, "stalled: pending past its ready deadline");
            }
        }
    }

    /// An active version that its source dropped goes at once if nothing runs on it, else when no
    /// successor is on its way; the newest superseded one that works takes over.
    fn replace_removed(&mut self, spec: &AppSpec, world: &dyn World) {
        let Some(active) = self.record.active.clone() else { return };
        let version = self.record.version(&active);
        let present = version.is_some_and(|version| version.present);
        let serves = is_ready(spec, world, version, 1);
        if present || (serves && !self.record.in_state(VersionState::Pending).is_empty()) {
            return;
        }
        match self.successor(spec, world) {
            Some(successor) => self.activate(&successor, Cause::Successor),
            None => {
                self.record.active = None;
                self.transit(&active, VersionState::Expiring, Cause::Removed);
            }
        }
    }

    /// Without an active version the newest superseded one that works takes over, unless the app is
    /// new and its first active version is about to get ready: some of its endpoints are.
    fn fill_vacancy(&mut self, spec: &AppSpec, world: &dyn World) {
        if self.record.active.is_some() {
            return;
        }
        let had_active = self.record.history.iter().any(|past| past.to == VersionState::Active);
        let awaits = |version: &VersionRecord| {
            version.state == VersionState::Pending
                && !version.stalled
                && is_ready(spec, world, Some(version), 1)
        };
        let awaited = self.record.versions.iter().any(awaits);
        if !had_active && awaited {
            return;
        }
        if let Some(successor) = self.successor(spec, world) {
            self.activate(&successor, Cause::Successor);
        }
    }

    fn successor(&self, spec: &AppSpec, world: &dyn World) -> Option<VersionId> {
        let works = |id: &VersionId| {
            let version = self.record.version(id);
            is_ready(spec, world, version, 1) && !version.is_some_and(VersionRecord::waits)
        };
        let mut working = self.record.in_state(VersionState::Draining).into_iter().filter(works).peekable();
        let newest = working.peek().cloned();
        // A canary that ended was never good enough for all.
        working.find(|id| !self.record.was_only_canary(id)).or(newest)
    }

    fn expire_drained(&mut self, policy: &Policy, world: &dyn World) {
        let mut rank = 0;
        let kept = policy.max_versions.unwrap_or(usize::MAX);
        for id in &self.record.in_state(VersionState::Draining) {
            let Some(version) = self.record.version(id) else { continue };
            let drained = elapsed(version.drained_at.unwrap_or(version.since), self.now);
            let idle = world
                .traffic(id)
                .is_some_and(|traffic| traffic.in_flight == 0 && traffic.idle_for >= policy.idle_window);
            if version.waits() {
                let reason = version.reason;
                if drained >= policy.grace && idle && world.may_expire(id) {
                    // Its visitors are gone; what it waits for is still to come.
                    self.transit(id, VersionState::Staged, reason);
                }
                continue;
            }
            rank += 1;
            let asked = version.expiry_asked_by.clone();
            if drained >= policy.max_alive {
                self.transit(id, VersionState::Expiring, Cause::MaxAlive);
            } else if rank > kept {
                self.transit(id, VersionState::Expiring, Cause::MaxVersions);
            } else if drained >= policy.grace && idle && world.may_expire(id) {
                self.transit(id, VersionState::Expiring, Cause::Idle);
                if let (Some(actor), Some(version)) = (asked, self.record.version_mut(id)) {
                    version.actor = actor;
                }
            }
        }
    }

    /// Expiring versions are over once nothing routes them or runs on them and their workload is gone. Those that
    /// must go are not waited for, nor is any for longer than it may be kept.
    fn confirm_expiring(&mut self, max_alive: Duration, world: &dyn World) {
        for id in self.record.in_state(VersionState::Expiring) {
            // Moved there in this very step: nobody has heard of it yet.
            let Some(version) = self.record.version(&id).filter(|_| !self.made_now(&id)) else { continue };
            let waited = elapsed(version.since, self.now);
            let must_go = matches!(version.reason, Cause::MaxAlive | Cause::Now)
                || elapsed(version.drained_at.unwrap_or(version.since), self.now) >= max_alive;
            let overdue = must_go && waited >= FORCED_WAIT;
            let stopped = world.everyone_stopped(&id);
            if !version.workload.released {
                if version.reason == Cause::Idle && world.has_run_within(&id, waited) {
                    self.transit(&id, VersionState::Draining, Cause::Traffic);
                    continue;
                }
                if !stopped && !overdue {
                    continue;
                }
                if let Some(version) = self.record.version_mut(&id) {
                    version.workload.released = true;
                }
            }
            if world.workload_gone(&id) {
                let cause = if overdue && !stopped { Cause::Overdue } else { Cause::Confirmed };
                self.transit(&id, VersionState::Expired, cause);
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
