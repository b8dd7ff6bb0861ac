//! Records to and from `status`. Endpoints are not kept: they are what the cluster shows.

use std::collections::BTreeMap;

use super::{Tombstone, VersionEntry, VersionedApp, VersionedAppStatus};
use crate::record::{AppRecord, VersionRecord, WorkloadRecord};
use crate::{AppId, InvalidId, VersionId, VersionState};

/// What was seen of a version when a status was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Endpoints that are ready.
    pub ready: u32,
    /// Endpoints that there should be.
    pub desired: u32,
    /// Requests and streams that run on it.
    pub in_flight: u64,
}

impl VersionedApp {
    /// The app that it stands for.
    ///
    /// # Errors
    /// If its name is none that a label could hold.
    pub fn app_id(&self) -> Result<AppId, InvalidId> {
        AppId::new(
            self.metadata.namespace.as_deref().unwrap_or_default(),
            self.metadata.name.as_deref().unwrap_or_default(),
        )
    }

    /// What its status remembers; nothing where it has none. What does not fit together is left
    /// as it is: the leader repairs it, and nobody else writes.
    #[must_use]
    pub fn record(&self) -> AppRecord {
        self.status.as_ref().map(VersionedAppStatus::record).unwrap_or_default()
    }
}

impl VersionedAppStatus {
    /// The states, history and tombstones in it.
    #[must_use]
    pub fn record(&self) -> AppRecord {
        let versions = self.tombstones.iter().map(Tombstone::record);
        AppRecord {
            active: self.active.clone(),
            versions: versions.chain(self.versions.iter().map(VersionEntry::record)).collect(),
            history: self.history.iter().cloned().collect(),
        }
    }

    /// Replaces states, history and tombstones by those of `record`.
    pub fn set_record(&mut self, record: &AppRecord, figures: &BTreeMap<VersionId, Figures>) {
        let (over, here): (Vec<_>, Vec<_>) =
            record.versions.iter().partition(|version| is_tombstone(version));
        self.active.clone_from(&record.active);
        let draining = record.in_state(VersionState::Draining);
        self.draining = draining.iter().map(VersionId::as_str).collect::<Vec<_>>().join(",");
        self.versions = here
            .into_iter()
            .map(|version| VersionEntry::new(version, figures.get(&version.id).copied().unwrap_or_default()))
            .collect();
        self.versions.sort_by(|a, b| (a.revision, &a.id).cmp(&(b.revision, &b.id)));
        self.tombstones = over.into_iter().map(Tombstone::new).collect();
        self.tombstones.sort_by(|a, b| (a.expired_at, &a.id).cmp(&(b.expired_at, &b.id)));
        self.history = record.history.iter().cloned().collect();
    }
}

impl VersionEntry {
    fn new(version: &VersionRecord, figures: Figures) -> Self {
        let workload = version.workload.clone();
        Self {
            id: version.id.clone(),
            state: version.state,
            reason: version.reason,
            actor: version.actor.clone(),
            deployment: workload.deployment,
            service: workload.service,
            revision: version.revision,
            ready: figures.ready,
            desired: figures.desired,
            in_flight: figures.in_flight,
            since: version.since,
            drained_at: version.drained_at,
            expired_at: version.expired_at,
            expiry_asked_by: version.expiry_asked_by.clone(),
            replicas: workload.replicas,
            template: workload.template,
            absent: !version.present,
            stalled: version.stalled,
            restore: workload.restore,
            released: workload.released,
            vanished: workload.vanished,
        }
    }

    fn record(&self) -> VersionRecord {
        VersionRecord {
            id: self.id.clone(),
            state: self.state,
            reason: self.reason,
            actor: self.actor.clone(),
            revision: self.revision,
            since: self.since,
            drained_at: self.drained_at,
            expired_at: self.expired_at,
            endpoints: [].into(),
            present: !self.absent,
            expiry_asked_by: self.expiry_asked_by.clone(),
            stalled: self.stalled,
            workload: WorkloadRecord {
                deployment: self.deployment.clone(),
                service: self.service.clone(),
                template: self.template.clone(),
                replicas: self.replicas,
                restore: self.restore,
                released: self.released,
                vanished: self.vanished,
            },
        }
    }
}

impl Tombstone {
    fn new(version: &VersionRecord) -> Self {
        Self {
            id: version.id.clone(),
            revision: version.revision,
            reason: version.reason,
            expired_at: version.expired_at.unwrap_or(version.since),
        }
    }

    fn record(&self) -> VersionRecord {
        VersionRecord {
            id: self.id.clone(),
            state: VersionState::Expired,
            reason: self.reason,
            actor: String::new(),
            revision: self.revision,
            since: self.expired_at,
            drained_at: None,
            expired_at: Some(self.expired_at),
            endpoints: [].into(),
            present: false,
            expiry_asked_by: None,
            stalled: false,
            workload: WorkloadRecord { vanished: true, ..WorkloadRecord::default() },
        }
    }
}

fn is_tombstone(version: &VersionRecord) -> bool {
    version.state == VersionState::Expired && !version.present
}
