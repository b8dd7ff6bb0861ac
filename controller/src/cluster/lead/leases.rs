//! The leader's watch of the replicas' Leases. Pods are asked for only when a replica was silent for
//! a while: whether its pod still exists decides whether it is waited for.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::fleet::Fleet;
use super::heartbeat::REPLICA_LABEL;
use super::identity::{Identity, lease_of};
use super::report::{ANNOTATION, Report};

/// How often silent replicas are asked after.
const ASK: Duration = Duration::from_secs(2);
/// A question that takes longer has no answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches the replicas for as long as this one leads.
pub(super) struct Leases {
    leases: Api<Lease>,
    pods: Api<Pod>,
    fleet: watch::Sender<Arc<Fleet>>,
}

impl Leases {
    /// A watch that begins anew: what was known of an earlier time of leading is forgotten.
    pub(super) fn new(
        client: &Client,
        identity: &Identity,
        fresh_for: Duration,
    ) -> (Self, watch::Receiver<Arc<Fleet>>) {
        let fleet = Fleet::new(&identity.name, fresh_for, Instant::now());
        let (fleet, receiver) = watch::channel(Arc::new(fleet));
        let leases = Api::namespaced(client.clone(), &identity.namespace);
        let pods = Api::namespaced(client.clone(), &identity.namespace);
        (Self { leases, pods, fleet }, receiver)
    }

    /// Watches until it is dropped.
    pub(super) async fn run(self) {
        let config = watcher::Config::default().labels(&format!("{REPLICA_LABEL}=true"));
        let mut events = watch_objects(self.leases.clone(), config).default_backoff().boxed();
        let mut ask = interval(ASK);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listed = None;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event, &mut listed),
                    Some(Err(error)) => tracing::warn!(%error, "the replicas' leases can't be watched"),
                    None => return,
                },
                _ = ask.tick() => self.ask_after_silent().await,
            }
        }
    }

    fn take(&self, event: Event<Lease>, listed: &mut Option<Vec<String>>) {
        match event {
            Event::Init => *listed = Some(Vec::new()),
            Event::InitApply(lease) => {
                if let (Some(listed), Some(replica)) = (listed, replica(&lease)) {
                    listed.push(replica.to_owned());
                }
                self.observe(&lease, true);
            }
            Event::InitDone => {
                let listed = listed.take().unwrap_or_default();
                self.change(|fleet| fleet.retain(&listed, Instant::now()));
            }
            Event::Apply(lease) => self.observe(&lease, false),
            Event::Delete(lease) => {
                if let Some(replica) = replica(&lease) {
                    self.change(|fleet| fleet.remove(replica, Instant::now()));
                }
            }
        }
    }

    fn observe(&self, lease: &Lease, listed: bool) {
        let Some(replica) = replica(lease) else { return };
        let report = lease.annotations().get(ANNOTATION).and_then(|text| Report::read(text));
        let revision = lease.metadata.resource_version.as_deref().unwrap_or_default();
        self.change(|fleet| fleet.observe(replica, revision, report, listed, Instant::now()));
    }

    /// A pod that is gone, or has ended (evicted, say, and kept to be looked at), takes its replica with it. No answer
    /// is no news: the replica is waited for.
    async fn ask_after_silent(&self) {
        let silent = self.fleet.borrow().silent(Instant::now());
        for replica in silent {
            let Ok(answer) = timeout(PATIENCE, self.pods.get_opt(&replica)).await else { continue };
            match answer.map(|pod| pod.filter(|pod| !has_ended(pod))) {
                Ok(Some(_)) => self.change(|fleet| fleet.still_there(&replica, Instant::now())),
                Ok(None) => {
                    tracing::info!(replica, "a replica is gone: its lease is stale and its pod is no more");
                    self.change(|fleet| fleet.remove(&replica, Instant::now()));
                    let _kept = self.leases.delete(&lease_of(&replica), &Default::default()).await;
                }
                Err(error) => tracing::warn!(%error, replica, "a silent replica can't be asked after"),
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Fleet)) {
        self.fleet.send_modify(|fleet| change(Arc::make_mut(fleet)));
    }
}

/// Whether all of a pod's containers have ended for good.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>
fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase.is_some_and(|phase| matches!(phase, "Failed" | "Succeeded"))
}

/// The replica that a Lease is of.
fn replica(lease: &Lease) -> Option<&str> {
    lease.metadata.name.as_deref()?.strip_prefix("lockstep-")
}
