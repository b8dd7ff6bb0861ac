//! Puts a record right that could not have come about by itself: somebody edited the status.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::record::AppRecord;
use crate::{VersionId, VersionState};

/// A time further in the future than clocks are apart is a mistake: it would hold a version forever.
const FUTURE: SignedDuration = SignedDuration::from_hours(24);
/// Tombstones that are kept; the oldest go first. Bounds what a busy app writes into its status.
const MAX_TOMBSTONES: usize = 1000;

impl AppRecord {
    /// Restores what every step relies on: ids are unique, at most one version is active and the
    /// record names it, at most one is pending, no time lies in the future. Returns what was wrong.
    pub fn repair(&mut self, now: Timestamp) -> Vec<String> {
        let mut wrong = Vec::new();
        self.drop_duplicates(&mut wrong);
        self.agree_on_active(&mut wrong);
        self.keep_one(VersionState::Pending, VersionState::Staged, &mut wrong);
        self.bound_times(now, &mut wrong);
        self.bound_tombstones();
        wrong
    }

    fn drop_duplicates(&mut self, wrong: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        // The last entry wins: versions come after tombstones.
        let mut kept = Vec::with_capacity(self.versions.len());
        for version in self.versions.drain(..).rev() {
            if seen.insert(version.id.clone()) {
                kept.push(version);
            } else {
                wrong.push(format!("version {} was listed twice", version.id));
            }
        }
        kept.reverse();
        self.versions = kept;
    }

    /// The states have the last word; where they name several, the one that `active` names stays,
    /// else the newest.
    fn agree_on_active(&mut self, wrong: &mut Vec<String>) {
        let states = self.in_state(VersionState::Active);
        let named = self.active.take().filter(|named| states.contains(named));
        let chosen = named.or_else(|| states.first().cloned());
        for other in states.iter().filter(|id| Some(*id) != chosen.as_ref()) {
            wrong.push(format!("version {other} was active besides another; it is draining now"));
            self.demote(other, VersionState::Draining);
        }
        self.active = chosen;
    }

    fn keep_one(&mut self, state: VersionState, others: VersionState, wrong: &mut Vec<String>) {
        for other in self.in_state(state).into_iter().skip(1) {
            wrong.push(format!("version {other} was {state} besides another; it is {others} now"));
            self.demote(&other, others);
        }
    }

    fn demote(&mut self, id: &VersionId, state: VersionState) {
        if let Some(version) = self.version_mut(id) {
            version.state = state;
            if state == VersionState::Draining {
                version.drained_at = Some(version.since);
            }
        }
    }

    fn bound_times(&mut self, now: Timestamp, wrong: &mut Vec<String>) {
        let Ok(latest) = now.checked_add(FUTURE) else { return };
        for version in &mut self.versions {
            let times = [Some(&mut version.since), version.drained_at.as_mut(), version.expired_at.as_mut()];
            for time in times.into_iter().flatten().filter(|time| **time > latest) {
                wrong.push(format!("version {} had a time in the future: {time}", version.id));
                *time = now;
            }
        }
    }

    fn bound_tombstones(&mut self) {
        let over = |version: &crate::record::VersionRecord| {
            version.state == VersionState::Expired && !version.present
        };
        let mut ends: Vec<_> =
            self.versions.iter().filter(|v| over(v)).map(|v| v.expired_at.unwrap_or(v.since)).collect();
        if ends.len() <= MAX_TOMBSTONES {
            return;
        }
        ends.sort_unstable();
        let excess = ends.len() - MAX_TOMBSTONES;
        let Some(oldest) = ends.get(excess).copied() else { return };
        self.versions
            .retain(|version| !over(version) || version.expired_at.unwrap_or(version.since) >= oldest);
    }
}
