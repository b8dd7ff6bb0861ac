//! What is to be done to workloads. It follows from the states as they are written and from the
//! workloads as they are: whoever leads next comes to the same conclusion, and what was done already
//! is not concluded again.

use super::report::Life;
use crate::cluster::found::{FoundApp, FoundVersion};
use crate::record::{AppRecord, VersionRecord};
use crate::{Cleanup, Mode, Policy, VersionId, VersionState};

/// Something to do to the workload of a version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Act {
    /// The version.
    pub(super) version: VersionId,
    /// The life that the version is in: in another one it is another act.
    pub(super) life: Life,
    /// Its Deployment.
    pub(super) deployment: String,
    /// The uid of that: another one of the same name is left alone.
    pub(super) uid: String,
    /// What.
    pub(super) kind: ActKind,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ActKind {
    /// It is scaled to zero.
    ScaleDown,
    /// It is scaled back.
    ScaleUp {
        /// To so many.
        replicas: u32,
    },
    /// It is deleted.
    Delete {
        /// With this Service.
        service: Option<String>,
    },
}

impl Act {
    /// The replicas that it scales a version up to.
    pub(super) fn restores(&self, version: &VersionId) -> Option<u32> {
        match self.kind {
            ActKind::ScaleUp { replicas } if self.version == *version => Some(replicas),
            _ => None,
        }
    }
}

/// What is due, whoever does it.
#[must_use]
pub(super) fn due(record: &AppRecord, found: Option<&FoundApp>, policy: &Policy) -> Vec<Act> {
    let Some(found) = found.filter(|_| policy.mode != Mode::Observe) else { return Vec::new() };
    let acts = record.versions.iter().filter_map(|version| {
        let known = |found: &&FoundVersion| found.id == version.id && !found.workload.deleting;
        let workload = &found.versions.iter().find(known)?.workload;
        Some(Act {
            version: version.id.clone(),
            life: Life::of(version),
            deployment: workload.deployment.clone(),
            uid: workload.uid.clone(),
            kind: kind(version, workload, policy.cleanup)?,
        })
    });
    acts.collect()
}

fn kind(
    version: &VersionRecord,
    workload: &crate::cluster::found::Workload,
    cleanup: Cleanup,
) -> Option<ActKind> {
    let remembered = &version.workload;
    match version.state {
        VersionState::Pending if remembered.restore && workload.desired == 0 => {
            Some(ActKind::ScaleUp { replicas: remembered.replicas.unwrap_or(1).max(1) })
        }
        VersionState::Expiring if remembered.released && cleanup != Cleanup::None => {
            if workload.desired > 0 {
                (!remembered.vanished).then_some(ActKind::ScaleDown)
            } else {
                let over = workload.pods == 0 && cleanup == Cleanup::Delete;
                over.then(|| ActKind::Delete { service: workload.service.clone() })
            }
        }
        _ => None,
    }
}
