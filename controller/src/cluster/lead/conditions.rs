//! What a status says of the app as a whole: whether it is served, and what is wrong. A condition
//! other than `Available` is there while it holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::unready;
use crate::cluster::claim::Settled;
use crate::cluster::found::{Problem, ProblemReason};
use crate::cluster::resource::convert::Figures;
use crate::record::{AppRecord, Cause, VersionRecord};
use crate::{AppId, VersionId, VersionState};

/// A condition that is to be in a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    kind: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

/// What conditions follow from.
pub(super) struct Causes<'a> {
    pub(super) app: &'a AppId,
    pub(super) record: &'a AppRecord,
    pub(super) settled: &'a Settled,
    /// Whether the canary has its share.
    pub(super) has_canary: bool,
    pub(super) problems: &'a [Problem],
    pub(super) figures: &'a BTreeMap<VersionId, Figures>,
    /// What was wrong with the status as it was read.
    pub(super) repaired: &'a [String],
    /// What could not be done to workloads.
    pub(super) failed: &'a [String],
    /// Replicas that pending and expiring versions, and a new canary, wait for.
    pub(super) awaited: &'a [String],
    /// Idle versions of which the webhook could not be asked.
    pub(super) unanswered: &'a [String],
}

impl Causes<'_> {
    /// All that hold.
    pub(super) fn held(&self) -> Vec<Held> {
        let all = [
            Some(self.available()),
            self.stalled(),
            self.active_not_found(),
            self.canary_not_found(),
            self.invalid(),
            some("Repaired", "StatusEdited", self.repaired, "the status was put right"),
            some("ActionFailed", "WillRetry", self.failed, "it is tried again"),
            some("WebhookFailed", "NoAnswer", self.unanswered, "they are kept, up to maxAlive"),
            some("Waiting", "ReplicaSilent", self.awaited, "they are waited for while their pods exist"),
        ];
        all.into_iter().flatten().collect()
    }

    fn available(&self) -> Held {
        let (status, reason, message) = match &self.record.active {
            Some(active) => (true, "Active", format!("version {active} is active")),
            None => (false, "NoActiveVersion", "no version is ready to become active".to_owned()),
        };
        Held { kind: "Available", status, reason, message }
    }

    fn stalled(&self) -> Option<Held> {
        let stalled = self.record.versions.iter().find(|version| version.stalled)?;
        let deadline = self.settled.policy.ready.deadline.as_secs();
        let why = unready::why(self.app, stalled, self.problems, self.figures);
        let message = format!("version {} is not ready after {deadline} s: {why}", stalled.id);
        Some(Held { kind: "Stalled", status: true, reason: "NotReady", message })
    }

    fn active_not_found(&self) -> Option<Held> {
        let fixed = self.settled.active.as_ref()?;
        let found = self.record.version(fixed).is_some_and(|version| version.present);
        let message = format!("active names version {fixed}, which no Deployment carries");
        (!found).then_some(Held { kind: "ActiveNotFound", status: true, reason: "UnknownVersion", message })
    }

    fn canary_not_found(&self) -> Option<Held> {
        let canary = &self.settled.canary.as_ref()?.version;
        let (reason, message) = match self.record.version(canary).filter(|version| version.present) {
            None => ("UnknownVersion", format!("canary names version {canary}, which no Deployment carries")),
            Some(version) => {
                let (reason, why) = self.no_canary(version)?;
                (reason, format!("version {canary} is {}: {why}", version.state))
            }
        };
        Some(Held { kind: "CanaryWithoutEffect", status: true, reason, message })
    }

    /// Why it has no effect that a version is named as the canary, if it has none.
    fn no_canary(&self, version: &VersionRecord) -> Option<(&'static str, &'static str)> {
        let is_asked = version.expiry_asked_by.is_some()
            || matches!(version.reason, Cause::Asked | Cause::Now | Cause::Rejected);
        match (version.state, version.reason) {
            (VersionState::Pending | VersionState::Active, _) => None,
            _ if is_asked => Some(("EndAsked", "somebody asked for its end")),
            _ if self.record.is_older_than_active(&version.id) => {
                Some(("NotNewer", "the canary must be newer than the active one"))
            }
            (_, Cause::Canary) if version.is_canary() && !self.has_canary => Some((
                "NotEverywhere",
                "its share is given once it has endpoints, and every replica of Lockstep says that it can route to them",
            )),
            // It is the canary, or its time comes with the end of what holds it back.
            (_, Cause::Canary | Cause::Held | Cause::AwaitingApproval) => None,
            _ => Some(("NotPromoted", "promote it if all are to have it")),
        }
    }

    fn invalid(&self) -> Option<Held> {
        let own = |problem: &&Problem| {
            problem.namespace == self.app.namespace()
                && problem.kind == "VersionedApp"
                && problem.name == self.app.name()
        };
        let problem = self.problems.iter().find(own)?;
        let reason = match problem.reason {
            ProblemReason::RouteConflict | ProblemReason::HostNotAllowed => problem.reason.as_str(),
            _ => ProblemReason::InvalidSettings.as_str(),
        };
        Some(Held { kind: "Invalid", status: true, reason, message: problem.message.clone() })
    }
}

/// The conditions of a status: those that held before keep their time.
pub(super) fn conditions(before: &[Condition], held: Vec<Held>, now: Timestamp) -> Vec<Condition> {
    let condition = |held: Held| {
        let status = if held.status { "True" } else { "False" };
        let since = before
            .iter()
            .find(|before| before.type_ == held.kind && before.status == status)
            .map_or(time(now), |before| before.last_transition_time.clone());
        Condition {
            type_: held.kind.to_owned(),
            status: status.to_owned(),
            reason: held.reason.to_owned(),
            message: held.message,
            last_transition_time: since,
            observed_generation: None,
        }
    };
    held.into_iter().map(condition).collect()
}

/// The API's own types have a time of an earlier release of the same library.
fn time(at: Timestamp) -> Time {
    let seconds = k8s_openapi::jiff::Timestamp::from_second(at.as_second());
    Time(seconds.unwrap_or(k8s_openapi::jiff::Timestamp::UNIX_EPOCH))
}

fn some(kind: &'static str, reason: &'static str, what: &[String], then: &str) -> Option<Held> {
    let message = || format!("{}; {then}", what.join("; "));
    (!what.is_empty()).then(|| Held { kind, status: true, reason, message: message() })
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
