//! The apps of Kubernetes in the process: followed, routed, and waited for at the start.

use std::sync::Arc;
use std::time::Duration;

use lockstep_controller::cluster::Cluster;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::start::routed;
use super::supervisor::Supervisor;
use crate::cluster::report;

/// How long the start waits for the cluster itself where something was kept of it.
const SETTLE: Duration = Duration::from_secs(5);
/// How often it is looked for problems.
const LOOK: Duration = Duration::from_secs(1);

/// Starts to follow the cluster, if there is one, and to route its apps.
pub(super) fn spawn(supervisor: &mut Supervisor, shared: &Shared) {
    let Some(cluster) = shared.cluster.clone() else { return };
    let stop = supervisor.stopping();
    supervisor.spawn_restarting("cluster", {
        let (cluster, stop) = (cluster.clone(), stop.clone());
        move || {
            let (cluster, stop) = (cluster.clone(), stop.clone());
            async move { cluster.run(stop.cancelled()).await }
        }
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
            _ = looks.tick() => report(&cluster, &shared.problems),
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
