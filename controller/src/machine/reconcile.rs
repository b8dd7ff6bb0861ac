//! Follows the source: versions that are new, gone or back, and what the configuration says of the
//! active version and the canary.

use super::Step;
use crate::record::{Cause, Transition, VersionRecord, WorkloadRecord};
use crate::{AppSpec, VersionId, VersionSpec, VersionState};

impl Step<'_> {
    /// Brings the record in line with the specification.
    pub fn reconcile(&mut self, spec: &AppSpec) {
        let first_sight = !self.record.versions.iter().any(|version| version.state.is_alive());
        let new = self.take_over(spec);
        if first_sight {
            self.first_sight(spec);
        } else {
            for id in &new {
                self.judge(spec, id, false);
            }
        }
        self.follow_canary(spec);
        self.follow_fixed(spec);
        self.remove_absent(spec);
    }

    /// An app that is gone takes all its versions with it.
    pub fn remove_app(&mut self) {
        self.record.active = None;
        let alive: Vec<_> = self.record.versions.iter().filter(|version| version.state.is_alive()).collect();
        let alive: Vec<VersionId> = alive.into_iter().map(|version| version.id.clone()).collect();
        for id in alive {
            self.transit(&id, VersionState::Expiring, Cause::Removed);
        }
        for version in &mut self.record.versions {
            version.present = false;
        }
    }

    /// Notes endpoints and order of all versions; returns those that were never seen before.
    fn take_over(&mut self, spec: &AppSpec) -> Vec<VersionId> {
        let mut new = Vec::new();
        for version in &spec.versions {
            let Some(known) = self.record.version_mut(&version.id) else {
                self.add(version);
                new.push(version.id.clone());
                continue;
            };
            known.revision = version.revision;
            known.endpoints = version.endpoints.clone();
            let was_away = !std::mem::replace(&mut known.present, true);
            if was_away && !known.state.is_alive() {
                self.transit(&version.id, VersionState::Staged, Cause::Returned);
            }
        }
        new
    }

    pub(super) fn add(&mut self, version: &VersionSpec) {
        self.record.versions.push(VersionRecord {
            id: version.id.clone(),
            state: VersionState::Staged,
            reason: Cause::New,
            actor: self.actor.to_owned(),
            revision: version.revision,
            since: self.now,
            drained_at: None,
            expired_at: None,
            endpoints: version.endpoints.clone(),
            present: true,
            expiry_asked_by: None,
            stalled: false,
            workload: WorkloadRecord::default(),
        });
        self.note(Transition {
            at: self.now,
            version: version.id.clone(),
            from: None,
            to: VersionState::Staged,
            reason: Cause::New,
            actor: self.actor.to_owned(),
        });
    }

    /// An app that was never seen, or was gone: the newest goes on to become active, approval or not, since
    /// nothing else could serve; older ones may have visitors from before. What is over stays so.
    fn first_sight(&mut self, spec: &AppSpec) {
        let alive = |version: &&VersionSpec| {
            self.record.version(&version.id).is_some_and(|known| known.state.is_alive())
        };
        let candidates: Vec<_> = spec.versions.iter().filter(alive).collect();
        let chosen = spec
            .active
            .clone()
            .or_else(|| candidates.iter().rev().map(|v| &v.id).find(|id| !spec.is_canary(id)).cloned());
        let Some(chosen) = chosen else { return };
        let mut older = true;
        for version in candidates {
            if version.id == chosen {
                older = false;
                self.make_pending(&chosen, if spec.active.is_some() { Cause::Fixed } else { Cause::New });
            } else if older {
                self.transit(&version.id, VersionState::Draining, Cause::Superseded);
            } else if spec.is_canary(&version.id) {
                self.transit(&version.id, VersionState::Staged, Cause::Canary);
            } else {
                self.transit(&version.id, VersionState::Staged, Cause::Held);
            }
        }
    }

    /// A version that became the canary is staged, unless somebody wants it to be the active one; one that was
    /// it is judged afresh, and so is one that was held back by a fixed version. Where another is named instead, it
    /// was found wanting, and is not what all get next. A share that is the whole approves.
    fn follow_canary(&mut self, spec: &AppSpec) {
        self.recall_canary(spec);
        let waits = |version: &&VersionRecord| {
            matches!(version.state, VersionState::Staged | VersionState::Pending) || version.waits()
        };
        let waiting: Vec<_> = self.record.versions.iter().filter(waits).cloned().collect();
        for version in waiting {
            let (id, is_pending) = (&version.id, version.state == VersionState::Pending);
            let is_older = self.record.is_older_than_active(id);
            let is_canary = spec.is_canary(id) && !is_older;
            let waits_for_people = match version.reason {
                Cause::Promoted | Cause::Approved => is_pending,
                Cause::Returned => true,
                _ => false,
            };
            let is_held_back = spec.active.as_ref().is_some_and(|fixed| fixed != id);
            if version.is_canary() && !is_canary {
                if self.is_replaced_as_canary(spec, id) {
                    self.transit(id, VersionState::Draining, Cause::Superseded);
                } else {
                    self.judge(spec, id, true);
                }
            } else if is_canary && !version.is_canary() && !waits_for_people {
                self.transit(id, VersionState::Staged, Cause::Canary);
            } else if is_pending && is_held_back && is_older {
                self.step_back(id);
            } else if version.reason == Cause::Held && spec.active.is_none() {
                self.judge(spec, id, version.may_have_visitors());
            } else if version.reason == Cause::AwaitingApproval && spec.approves(id) && !is_older {
                self.make_pending(id, Cause::Approved);
            }
        }
    }

    /// Whether a version other than `id` is the canary now, or will be once it is there, or is what all get next.
    fn is_replaced_as_canary(&self, spec: &AppSpec, id: &VersionId) -> bool {
        let Some(named) = spec.canary.as_ref().map(|canary| &canary.version).filter(|named| *named != id)
        else {
            return false;
        };
        let is_active = self.record.active.as_ref() == Some(named);
        let is_unknown = self.record.version(named).is_none();
        is_unknown || !(is_active || self.record.is_older_than_active(named))
    }

    /// A version that was rolled back may be the canary once more, unless its end was asked for. One that is active,
    /// or older than the active one, can't: a canary is what may become active next. One that came back after it had
    /// expired waits to be promoted.
    fn recall_canary(&mut self, spec: &AppSpec) {
        let Some(canary) = spec.canary().and_then(|canary| self.record.version(&canary.version)) else {
            return;
        };
        let (id, state, reason) = (canary.id.clone(), canary.state, canary.reason);
        let is_asked = canary.expiry_asked_by.is_some();
        let is_older = self.record.is_older_than_active(&id);
        match state {
            VersionState::Draining if !is_older && !is_asked => {
                self.transit(&id, VersionState::Staged, Cause::Canary);
            }
            VersionState::Staged if !is_older && reason != Cause::Returned => {}
            VersionState::Pending => {}
            _ => {
                let why = match reason {
                    _ if is_asked => "its end was asked for",
                    Cause::Returned if !is_older => "it came back, and waits to be promoted",
                    _ if !state.is_alive() => "it is over, and waits to be promoted",
                    _ => "not a newer version than the active one",
                };
                tracing::warn!(app = %spec.id, version = %id, %state, why, "the canary has no effect");
            }
        }
    }

    /// The version that the configuration fixes is made active, whatever it was.
    fn follow_fixed(&mut self, spec: &AppSpec) {
        let Some(fixed) = &spec.active else { return };
        let Some(version) = self.record.version(fixed).filter(|version| version.present) else { return };
        if self.record.active.as_ref() != Some(fixed) && version.state != VersionState::Pending {
            self.make_pending(fixed, Cause::Fixed);
        }
    }

    /// Versions that are gone expire. The active one serves on while a successor gets ready.
    fn remove_absent(&mut self, spec: &AppSpec) {
        let absent: Vec<_> = self
            .record
            .versions
            .iter_mut()
            .filter(|version| version.present && spec.version(&version.id).is_none())
            .map(|version| {
                version.present = false;
                (version.id.clone(), version.state)
            })
            .collect();
        for (id, state) in absent {
            if state.is_alive() && state != VersionState::Active {
                self.transit(&id, VersionState::Expiring, Cause::Removed);
            }
        }
    }
}
