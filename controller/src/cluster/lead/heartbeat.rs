//! Keeps this replica's Lease: it says that the replica lives, and carries its [`Report`]. Written
//! every heartbeat, and within a second when something changes that others wait for.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::identity::Identity;
use super::report::{ANNOTATION, Report};
use super::trouble::{Part, Troubles, why};
use crate::DataPlane;
use crate::cluster::backoff::backoff;
use crate::cluster::state::ClusterState;

/// The label of the Leases of replicas.
pub const REPLICA_LABEL: &str = "lockstep.dev/replica";
/// How often it is looked whether there is something to tell.
const LOOK: Duration = Duration::from_millis(500);
/// A write that takes longer is tried again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells others how this replica is.
pub struct Heartbeat {
    leases: Api<Lease>,
    identity: Identity,
    every: Duration,
    cluster: watch::Receiver<Arc<ClusterState>>,
    data_plane: Arc<dyn DataPlane>,
    troubles: Troubles,
}

impl Heartbeat {
    /// A heartbeat of `identity`, every so often.
    #[must_use]
    pub(super) fn new(
        client: Client,
        identity: Identity,
        every: Duration,
        cluster: watch::Receiver<Arc<ClusterState>>,
        data_plane: Arc<dyn DataPlane>,
        troubles: Troubles,
    ) -> Self {
        let leases = Api::namespaced(client, &identity.namespace);
        Self { leases, identity, every, cluster, data_plane, troubles }
    }

    /// Beats until it is dropped.
    pub async fn run(self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: Option<(Instant, Report)> = None;
        let mut waits = backoff(self.every);
        loop {
            looks.tick().await;
            let cluster = Arc::clone(&self.cluster.borrow());
            let report = Report::of(&self.identity.process, &cluster, &*self.data_plane);
            let due = told
                .as_ref()
                .is_none_or(|(at, last)| at.elapsed() >= self.every || last.urgent() != report.urgent());
            if report.is_full && told.as_ref().is_none_or(|(_, last)| !last.is_full) {
                tracing::warn!("more versions than a report can hold: some are kept until others have gone");
            }
            if !due {
                continue;
            }
            if self.tell(&report).await {
                told = Some((Instant::now(), report));
                waits = backoff(self.every);
            } else if let Some(wait) = waits.next() {
                sleep(wait).await;
            }
        }
    }

    async fn tell(&self, report: &Report) -> bool {
        let lease = self.lease(report);
        let params = PatchParams::apply("lockstep").force();
        let name = self.identity.lease();
        let why = match timeout(PATIENCE, self.leases.patch(&name, &params, &Patch::Apply(&lease))).await {
            Ok(Ok(_)) => {
                self.troubles.over(&Part::Heartbeat);
                return true;
            }
            Ok(Err(error)) => why(&error),
            Err(_) => "the API does not answer".to_owned(),
        };
        let what = format!("the lease {name} of this replica can't be written: {why}");
        if self.troubles.met(Part::Heartbeat, what) {
            tracing::warn!(why, lease = name, "the heartbeat can't be written: versions expire later");
        }
        false
    }

    fn lease(&self, report: &Report) -> Lease {
        let seconds = i32::try_from(self.every.as_millis().div_ceil(1000).max(1)).unwrap_or(i32::MAX);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.identity.lease()),
                labels: Some([(REPLICA_LABEL.to_owned(), "true".to_owned())].into()),
                annotations: Some([(ANNOTATION.to_owned(), report.text())].into()),
                owner_references: self.identity.owner().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.holder()),
                lease_duration_seconds: Some(seconds),
                renew_time: Some(MicroTime(k8s_openapi::jiff::Timestamp::now())),
                ..LeaseSpec::default()
            }),
        }
    }
}
