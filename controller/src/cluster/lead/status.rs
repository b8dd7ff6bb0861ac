//! The status that says what was decided, and whether it has to be written: what people merely look
//! at, such as requests in flight, is not worth a write of its own.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::acts::Act;
use super::conditions::{Held, conditions};
use super::decide::Decision;
use super::plan::plan;
use crate::cluster::claim::Settled;
use crate::cluster::found::FoundApp;
use crate::cluster::grants::since;
use crate::cluster::resource::{CanaryStatus, VersionedApp, VersionedAppSpec, VersionedAppStatus};
use crate::{AppId, Mode, VersionState};

/// Figures that changed alone are written at most this often.
const FIGURES_EVERY: Duration = Duration::from_secs(10);

/// What a status is made of.
pub(super) struct Parts<'a> {
    pub(super) app: &'a AppId,
    pub(super) found: Option<&'a FoundApp>,
    pub(super) resource: &'a VersionedApp,
    pub(super) settled: &'a Settled,
    pub(super) decision: &'a Decision,
    pub(super) acts: &'a [Act],
    /// The canary, if it has its share.
    pub(super) canary: Option<CanaryStatus>,
    pub(super) held: Vec<Held>,
    /// The `spec` that counts while the present one can't be used.
    pub(super) accepted: Option<Box<VersionedAppSpec>>,
    pub(super) now: Timestamp,
}

impl Parts<'_> {
    /// The status that should be.
    pub(super) fn status(self) -> VersionedAppStatus {
        let before: &[Condition] = self.resource.status.as_ref().map_or(&[], |status| &status.conditions);
        let mut status = VersionedAppStatus {
            canary: self.canary,
            since: since(self.found, Some(self.resource)),
            conditions: conditions(before, self.held, self.now),
            plan: match self.settled.policy.mode {
                Mode::Advise => plan(self.app, self.acts),
                Mode::Manage | Mode::Observe => Vec::new(),
            },
            accepted: self.accepted,
            observed_generation: self.resource.metadata.generation,
            ..VersionedAppStatus::default()
        };
        status.set_record(&self.decision.record, &self.decision.figures);
        status
    }
}

/// The canary, from when every replica has learned of it: only then its share is given to anybody, since no replica may
/// pin a visitor to what another does not serve.
pub(super) fn canary(
    settled: &Settled,
    resource: &VersionedApp,
    decision: &Decision,
) -> Option<CanaryStatus> {
    let canary = settled.canary.as_ref()?;
    let version = decision.record.version(&canary.version)?;
    let waits = version.is_canary() || version.state == VersionState::Pending;
    let told = resource.status.as_ref().and_then(|status| status.canary.as_ref());
    let is_known = decision.canary_is_known || told.is_some_and(|told| told.version == canary.version);
    (waits && is_known)
        .then(|| CanaryStatus { version: canary.version.clone(), share: canary.share.to_string() })
}

/// Whether `wanted` has to be written over `present`, which was written so long ago.
pub(super) fn is_due(
    present: Option<&VersionedAppStatus>,
    wanted: &VersionedAppStatus,
    written: Option<Duration>,
) -> bool {
    let Some(present) = present else { return true };
    let figures_count = written.is_none_or(|written| written >= FIGURES_EVERY);
    let comparable = |status: &VersionedAppStatus| {
        let mut status = status.clone();
        for version in &mut status.versions {
            version.in_flight = 0;
            if !figures_count {
                version.ready = 0;
                version.desired = 0;
            }
        }
        status
    };
    // What could not be read of it has to go, too.
    comparable(present) != comparable(wanted)
}
