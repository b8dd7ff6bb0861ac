//! The apps of Kubernetes in the process: followed, routed, and waited for at the start.

use std::sync::Arc;
use std::time::Duration;

use lockstep_controller::DataPlane;
use lockstep_controller::cluster::Cluster;
use lockstep_controller::cluster::lead::{Identity, Lead, LeaseTimes, Times};
use lockstep_controller::controller::Observer;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::start::routed;
use super::supervisor::Supervisor;
use crate::cluster::report;
use crate::config::model::Lease as LeaseSettings;

/// How long the start waits for the cluster itself where something was kept of it.
const SETTLE: Duration = Duration::from_secs(5);
/// The wait before the way to the API is looked for again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked for problems.
const LOOK: Duration = Duration::from_secs(1);

/// Starts to follow the cluster, if there is one, and to route its apps.
pub(super) fn spawn(supervisor: &mut Supervisor, shared: &Shared, observer: &Arc<dyn Observer>) {
    let Some(cluster) = shared.cluster.clone() else { return };
    let stop = supervisor.stopping();
    supervisor.spawn_restarting("cluster", {
        let (cluster, stop) = (cluster.clone(), stop.clone());
        move || {
            let (cluster, stop) = (cluster.clone(), stop.clone());
            async move { cluster.run(stop.cancelled()).await }
        }
    });
    supervisor.spawn_restarting("lead", {
        let (shared, cluster, observer) = (shared.clone(), cluster.clone(), Arc::clone(observer));
        let stop = stop.clone();
        move || lead(shared.clone(), cluster.clone(), Arc::clone(&observer), stop.clone())
    });
    let shared = shared.clone();
    supervisor
        .spawn_restarting("cluster routing", move || route(shared.clone(), cluster.clone(), stop.clone()));
}

async fn route(shared: Shared, cluster: Cluster, stop: CancellationToken) {
    let started = Instant::now();
    let mut snapshots = cluster.snapshots();
    snapshots.mark_changed();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = snapshots.changed() => if changed.is_err() { return },
            _ = looks.tick() => report(&cluster, shared.lead.load().as_deref(), &shared.problems),
        }
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        // A tick brings none that is new; routing by the same one again would be for nothing.
        if shared.plane.table().cluster_generation() < snapshot.generation {
            routed(&shared, shared.plane.route_cluster(&snapshot));
        }
        let kept = cluster.remembers() && started.elapsed() >= SETTLE;
        if !shared.plane.is_ready() && (!snapshot.stale || kept) {
            if snapshot.stale {
                tracing::warn!("the Kubernetes API is not to be reached; routing by what was kept");
            }
            shared.plane.set_ready();
        }
    }
}

/// Takes part in leading.
async fn lead(shared: Shared, cluster: Cluster, observer: Arc<dyn Observer>, stop: CancellationToken) {
    let client = loop {
        match stop.run_until_cancelled(cluster.client()).await {
            None => return,
            Some(Ok(client)) => break client,
            // Whoever follows the cluster says why there is no way to it.
            Some(Err(_)) => {
                if stop.run_until_cancelled(tokio::time::sleep(PATIENCE)).await.is_none() {
                    return;
                }
            }
        }
    };
    let config = shared.plane.config();
    let LeaseSettings { duration, renew } = config.kubernetes.lease;
    let times = Times { heartbeat: config.kubernetes.heartbeat, lease: LeaseTimes { duration, renew } };
    let identity = identity(client.default_namespace());
    let data_plane = Arc::clone(&shared.plane) as Arc<dyn DataPlane>;
    let options = cluster.scopes().options.clone();
    let (lead, handle) = Lead::new(client, options, cluster.states(), data_plane, observer, identity, times);
    shared.lead.store(Some(Arc::new(handle)));
    lead.run(stop.cancelled()).await;
}

/// Who this replica is: its pod, else its host.
fn identity(namespace: &str) -> Identity {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = || gethostname::gethostname().to_string_lossy().to_ascii_lowercase();
    Identity {
        name: variable("POD_NAME").unwrap_or_else(host),
        namespace: variable("POD_NAMESPACE").unwrap_or_else(|| namespace.to_owned()),
        pod_uid: variable("POD_UID"),
        process: ulid::Ulid::generate().to_string().to_ascii_lowercase(),
    }
}
