//! What is remembered of an app between steps, restarts and reloads: the state of each version and
//! how it came about. Serialised as it is into the state file, and read by the admin API.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{VersionId, VersionState};

/// Transitions that an app remembers.
const MAX_HISTORY: usize = 200;

/// What is remembered of one app.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppRecord {
    /// The version that everyone unpinned gets.
    pub active: Option<VersionId>,
    /// Its versions, tombstones included.
    pub versions: Vec<VersionRecord>,
    /// The last transitions, oldest first.
    pub history: VecDeque<Transition>,
}

/// What is remembered of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VersionRecord {
    /// Its id.
    pub id: VersionId,
    /// Its state.
    pub state: VersionState,
    /// Why it is in that state.
    pub reason: Cause,
    /// Who brought that about.
    pub actor: String,
    /// Its age rank: higher is newer.
    pub revision: u64,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// When it was superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_at: Option<Timestamp>,
    /// When it expired. Kept while it is pending again: its visitors were sent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Timestamp>,
    /// Where it is reached, or was when it was last seen.
    pub endpoints: Arc<[SocketAddr]>,
    /// Whether its source still has it.
    pub present: bool,
    /// Who asked for it to expire in the ordinary way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_asked_by: Option<String>,
    /// Whether it is pending for longer than it should be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stalled: bool,
    /// What runs it, in a cluster.
    #[serde(default, skip_serializing_if = "WorkloadRecord::is_empty")]
    pub workload: WorkloadRecord,
}

/// What is remembered of the objects that run a version in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WorkloadRecord {
    /// Name of its Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Name of its Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Digest of its pod template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Replicas to restore if it is wanted again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Whether it is to be scaled back, because somebody or something wants it to serve again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restore: bool,
    /// Whether nothing routes it or runs on it any more, so that it may go. Set before anything is
    /// done to it, so that whoever leads next goes on from there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Whether it was seen gone since: what runs on it from then on came back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub vanished: bool,
}

/// One change of state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// The version.
    pub version: VersionId,
    /// Its state before; absent when it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<VersionState>,
    /// Its state from then on.
    pub to: VersionState,
    /// Why.
    pub reason: Cause,
    /// Who brought it about.
    pub actor: String,
}

/// Why a version changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Never seen before.
    New,
    /// A newer version took its place.
    Superseded,
    /// New, and the policy asks for approval.
    AwaitingApproval,
    /// New, and named as the canary.
    Canary,
    /// New, while the configuration fixes another version as the active one.
    Held,
    /// Came back after it had expired.
    Returned,
    /// Its endpoints are ready.
    Ready,
    /// Named as the active one in the configuration.
    Fixed,
    /// Somebody promoted it.
    Promoted,
    /// Somebody approved it.
    Approved,
    /// Somebody rejected it.
    Rejected,
    /// The active version went and this was the newest that could take over.
    Successor,
    /// No traffic for the idle window.
    Idle,
    /// Traffic showed before it was gone.
    Traffic,
    /// Kept for the longest time that the policy allows.
    MaxAlive,
    /// More superseded versions than the policy keeps.
    MaxVersions,
    /// Somebody asked for it to expire.
    Asked,
    /// Somebody asked for it to expire at once.
    Now,
    /// Its source has it no more.
    Removed,
    /// Nothing routes it or runs on it any more.
    Confirmed,
    /// Something still ran on it when the wait was over.
    Overdue,
    /// Its state was lost; a replica still knew it.
    Recalled,
}

impl WorkloadRecord {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl VersionRecord {
    /// Whether a share of new visitors get it as the canary.
    pub(crate) fn is_canary(&self) -> bool {
        self.state == VersionState::Staged && self.reason == Cause::Canary
    }

    /// Whether visitors may be pinned to it although it is not the active one.
    pub(crate) fn may_have_visitors(&self) -> bool {
        match self.state {
            VersionState::Draining => true,
            VersionState::Staged => self.is_canary(),
            VersionState::Pending => self.drained_at.is_some(),
            _ => false,
        }
    }

    /// Whether it drains only until somebody decides on it: it was a canary, and nothing took its place. Who asked for
    /// its end has decided.
    pub(crate) fn waits(&self) -> bool {
        let undecided = matches!(self.reason, Cause::Held | Cause::AwaitingApproval);
        self.state == VersionState::Draining && undecided && self.expiry_asked_by.is_none()
    }
}

impl AppRecord {
    /// The version of that id.
    #[must_use]
    pub fn version(&self, id: &VersionId) -> Option<&VersionRecord> {
        self.versions.iter().find(|version| version.id == *id)
    }

    pub(crate) fn version_mut(&mut self, id: &VersionId) -> Option<&mut VersionRecord> {
        self.versions.iter_mut().find(|version| version.id == *id)
    }

    /// Whether a version was a canary and never the active one, as far back as the history goes.
    pub(crate) fn was_only_canary(&self, id: &VersionId) -> bool {
        let past = || self.history.iter().filter(|past| past.version == *id);
        let was_active = past().any(|past| past.to == VersionState::Active);
        !was_active && past().any(|past| past.reason == Cause::Canary)
    }

    /// Whether a version is older than the active one; where there is none, than the one that is about to be.
    pub(crate) fn is_older_than_active(&self, id: &VersionId) -> bool {
        let pending = || self.in_state(VersionState::Pending).into_iter().find(|other| other != id);
        let active = self.active.clone().or_else(pending);
        let revision = |id: &VersionId| self.version(id).map(|version| version.revision);
        active.is_some_and(|active| revision(id) < revision(&active))
    }

    /// Ids of the versions in `state`, newest first.
    #[must_use]
    pub fn in_state(&self, state: VersionState) -> Vec<VersionId> {
        // Of two of the same revision the one that was noted last counts as newer.
        let mut found: Vec<_> = self.versions.iter().rev().filter(|version| version.state == state).collect();
        found.sort_by_key(|version| std::cmp::Reverse(version.revision));
        found.into_iter().map(|version| version.id.clone()).collect()
    }

    pub(crate) fn remember(&mut self, transition: Transition) {
        if self.history.len() >= MAX_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(transition);
    }
}

impl Cause {
    /// The name used in logs, metrics and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Superseded => "superseded",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Canary => "canary",
            Self::Held => "held",
            Self::Returned => "returned",
            Self::Ready => "ready",
            Self::Fixed => "fixed",
            Self::Promoted => "promoted",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Successor => "successor",
            Self::Idle => "idle",
            Self::Traffic => "traffic",
            Self::MaxAlive => "max_alive",
            Self::MaxVersions => "max_versions",
            Self::Asked => "asked",
            Self::Now => "now",
            Self::Removed => "removed",
            Self::Confirmed => "confirmed",
            Self::Overdue => "overdue",
            Self::Recalled => "recalled",
        }
    }
}
