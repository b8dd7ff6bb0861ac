//! The state machine of an app's versions: what follows from the specification, from commands and
//! from the passing of time. It is the same for versions of the configuration and of a cluster; what
//! differs is the [`World`] that they live in. Pure: it is told the time and what the data plane sees, and only ever
//! changes the record that it is given. `reconcile` follows the source, `command` follows people,
//! `advance` follows time; `recall` begins with what is still known of states that were lost.

mod advance;
pub mod command;
mod recall;
mod reconcile;

use std::time::Duration;

use jiff::Timestamp;

use crate::record::{AppRecord, Cause, Transition, VersionRecord, WorkloadRecord};
use crate::{AppSpec, Traffic, VersionId, VersionState};

/// Who does what happens by itself.
pub const CONTROLLER: &str = "controller";

/// What a step may ask about the world.
pub trait World {
    /// Endpoints of a version that are ready.
    fn ready(&self, version: &VersionId) -> usize;
    /// Endpoints that there should be.
    fn desired(&self, version: &VersionId) -> usize;
    /// Its traffic, on everything that routes; `None` if that is not known, which is never idle.
    fn traffic(&self, version: &VersionId) -> Option<Traffic>;
    /// Whether something is known to run on it, or to have ended less than `time` ago. Not knowing is no traffic
    /// here: a leader that has just taken over has seen little, and that alone brings nothing back.
    fn has_run_within(&self, version: &VersionId, time: Duration) -> bool {
        self.traffic(version).is_some_and(|traffic| traffic.in_flight > 0 || traffic.idle_for < time)
    }
    /// Whether everything that routes can send requests to it.
    fn everyone_can_route(&self, version: &VersionId) -> bool;
    /// Whether nothing routes it any more and nothing is in flight on it.
    fn everyone_stopped(&self, version: &VersionId) -> bool;
    /// Whether what ran it is gone, or is to be left alone.
    fn workload_gone(&self, version: &VersionId) -> bool;
    /// Whether nobody with a say in it wants to keep it although it is idle.
    fn may_expire(&self, version: &VersionId) -> bool;
}

/// One step of one app.
pub struct Step<'s> {
    record: &'s mut AppRecord,
    now: Timestamp,
    actor: &'s str,
    made: Vec<Transition>,
}

impl WorkloadRecord {
    /// A version that is wanted again is scaled back; one that lives is not released.
    fn follow(&mut self, from: VersionState, to: VersionState) {
        use VersionState::{Active, Draining, Expired, Expiring, Pending, Staged};
        match to {
            Pending => self.restore |= matches!(from, Draining | Expiring | Expired),
            Active | Staged | Draining | Expiring => self.restore = false,
            Expired => {}
        }
        if matches!(to, Staged | Pending | Active | Draining) {
            self.released = false;
            self.vanished = false;
        }
    }
}

impl<'s> Step<'s> {
    /// A step that changes `record` in the name of `actor`.
    pub fn new(record: &'s mut AppRecord, now: Timestamp, actor: &'s str) -> Self {
        Self { record, now, actor, made: Vec::new() }
    }

    /// The transitions that the step made, in order.
    #[must_use]
    pub fn finish(self) -> Vec<Transition> {
        self.made
    }

    /// Moves a version into another state.
    fn transit(&mut self, id: &VersionId, to: VersionState, reason: Cause) {
        let (now, actor) = (self.now, self.actor);
        let Some(version) = self.record.version_mut(id) else { return };
        let (from, was_canary, waited) = (version.state, version.is_canary(), version.waits());
        version.state = to;
        version.reason = reason;
        actor.clone_into(&mut version.actor);
        version.since = now;
        version.stalled = false;
        version.workload.follow(from, to);
        match to {
            // Traffic that returns does not begin the grace anew.
            VersionState::Draining if reason != Cause::Traffic => version.drained_at = Some(now),
            VersionState::Expired => version.expired_at = Some(now),
            // One that has visitors is remembered as such until it has become active. Those of one that was over have
            // been sent on, and that is remembered.
            VersionState::Pending => {
                if was_canary || waited {
                    version.drained_at = Some(now);
                } else if !from.is_alive() {
                    version.drained_at = None;
                    version.expired_at.get_or_insert(now);
                }
                version.expiry_asked_by = None;
            }
            VersionState::Staged | VersionState::Active => {
                version.drained_at = None;
                version.expired_at = None;
                version.expiry_asked_by = None;
            }
            // However long it waited, its end begins now.
            VersionState::Expiring if waited => version.drained_at = None,
            VersionState::Draining | VersionState::Expiring => {}
        }
        let version = id.clone();
        self.note(Transition { at: now, version, from: Some(from), to, reason, actor: actor.to_owned() });
    }

    fn note(&mut self, transition: Transition) {
        self.record.remember(transition.clone());
        self.made.push(transition);
    }

    /// Makes a version the one that becomes active next. Another one that was waiting steps back.
    fn make_pending(&mut self, id: &VersionId, reason: Cause) {
        for other in self.record.in_state(VersionState::Pending) {
            if other != *id {
                self.step_back(&other);
            }
        }
        self.transit(id, VersionState::Pending, reason);
    }

    /// A pending version does not become active after all. One that may have visitors drains on, and one that was over
    /// before is over again.
    fn step_back(&mut self, id: &VersionId) {
        let to = match self.record.version(id) {
            Some(version) if version.may_have_visitors() => VersionState::Draining,
            Some(version) if version.expired_at.is_some() => VersionState::Expiring,
            _ => VersionState::Staged,
        };
        self.transit(id, to, Cause::Superseded);
    }

    /// Makes a version the active one. What was active before drains, or goes if its source has
    /// dropped it already.
    fn activate(&mut self, id: &VersionId, reason: Cause) {
        if let Some(old) = self.record.active.replace(id.clone()).filter(|old| old != id) {
            let present = self.record.version(&old).is_some_and(|old| old.present);
            if present {
                self.transit(&old, VersionState::Draining, Cause::Superseded);
            } else {
                self.transit(&old, VersionState::Expiring, Cause::Removed);
            }
        }
        self.transit(id, VersionState::Active, reason);
        self.supersede_waiting(id);
    }

    /// What waits for a decision, or is the canary, is that no more once a newer version is active.
    fn supersede_waiting(&mut self, active: &VersionId) {
        let revision = self.record.version(active).map_or(0, |version| version.revision);
        let waits = |version: &&VersionRecord| {
            (version.waits() || version.is_canary()) && version.revision < revision
        };
        let waiting: Vec<_> =
            self.record.versions.iter().filter(waits).map(|version| version.id.clone()).collect();
        for id in waiting {
            self.transit(&id, VersionState::Draining, Cause::Superseded);
        }
    }

    /// Decides what a version that was never active should be. One with visitors, who came by its share as a canary,
    /// is still theirs, whatever it waits for.
    fn judge(&mut self, spec: &AppSpec, id: &VersionId, has_visitors: bool) {
        let waits = if has_visitors { VersionState::Draining } else { VersionState::Staged };
        if spec.active.as_ref().is_some_and(|fixed| fixed != id) {
            self.transit(id, waits, Cause::Held);
        } else if spec.is_canary(id) && !self.record.is_older_than_active(id) {
            self.transit(id, VersionState::Staged, Cause::Canary);
        } else if !self.is_newest(id) {
            // As at first sight: where nothing serves all yet, an older one does until a newer one is ready.
            let to = if self.record.active.is_none() { VersionState::Draining } else { waits };
            self.transit(id, to, Cause::Superseded);
        } else if spec.policy.requires_approval && !spec.is_for_all(id) {
            self.transit(id, waits, Cause::AwaitingApproval);
        } else {
            self.make_pending(id, Cause::New);
        }
    }

    /// Whether no newer version is active, on its way there, a canary or waiting for approval.
    fn is_newest(&self, id: &VersionId) -> bool {
        let revision = self.record.version(id).map_or(0, |version| version.revision);
        !self.record.versions.iter().any(|other| {
            other.revision > revision
                && match other.state {
                    VersionState::Active | VersionState::Pending => other.present,
                    VersionState::Staged | VersionState::Draining => {
                        let waits =
                            matches!(other.reason, Cause::AwaitingApproval | Cause::Held | Cause::Canary);
                        other.present && waits
                    }
                    _ => false,
                }
        })
    }
}

/// Time from `from` to `to`; none if the clock was set back.
fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod canary_tests;
#[cfg(test)]
mod cluster_tests;
#[cfg(feature = "kube")]
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
