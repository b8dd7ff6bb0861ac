//! A replica that learns everything seconds later than the others.

use std::time::Duration;

use lockstep_tests::kube::{Cluster, Fleet, lab};
use lockstep_tests::load::Load;
use lockstep_tests::origin::STREAM_BYTES;
use lockstep_tests::{Request, until};
use serde_json::json;

use crate::{LIFE, ended, shop, skew};

const LAG: Duration = Duration::from_secs(5);
/// One that decides lags less: each of its steps takes so long.
const LEADERS_LAG: Duration = Duration::from_secs(3);

#[test]
fn a_replica_that_lags_never_sees_a_pin_that_it_cannot_serve() {
    lab("lag::a_replica_that_lags_never_sees_a_pin_that_it_cannot_serve", |cluster| {
        let vapp = cluster.vapp("web", "shop");
        cluster.deploy_ready(&shop("v1"));
        let fleet = Fleet::start(cluster, 3, &skew());
        vapp.expect("v1=active");
        fleet.serves("v1");
        let leader = fleet.leader();
        let follower = (leader + 1) % 3;

        let mut load = Load::new(fleet.doors(&[0, 1, 2]));
        load.newcomers(3);
        let mut pinned = load.pinned("v1");
        // First one that follows lags behind, then the one that decides.
        for (lagging, lag, old, new) in [(follower, LAG, "v1", "v2"), (leader, LEADERS_LAG, "v2", "v3")] {
            fleet.replicas[lagging].api.delay_watches(lag);
            cluster.deploy_ready(&shop(new));
            vapp.expect_state(new, "active");
            fleet.serves(new);
            assert_eq!(vapp.state(old), "draining", "its visitors are still there");
            let next = load.pinned(new);
            std::mem::replace(&mut pinned, next).leave();
            let mut life = LIFE.to_vec();
            if lagging == follower {
                // Somebody comes back to the one that has not heard of it: nothing is taken away under them.
                vapp.expect_state(old, "expiring");
                let late = fleet.replica(lagging).send(&Request::get("/stream").pinned(old));
                assert_eq!((late.origin(), late.body.len()), (old, STREAM_BYTES));
                life.splice(5..5, ["draining", "expiring"]);
            }
            vapp.expect_state(old, "expired");
            ended(cluster, &vapp, old, &life);
            fleet.replicas[lagging].api.delay_watches(Duration::ZERO);
        }
        try_a_canary(cluster, &fleet, follower);
        assert_eq!(fleet.leader(), leader, "lagging costs nobody the lead");
        load.keep(pinned);
        let requests = load.finish();
        assert!(requests > 1000, "{requests}");
    });
}

/// Nobody is given a canary before one that lags behind knows it, and nobody loses it when it is for all.
fn try_a_canary(cluster: &Cluster, fleet: &Fleet<'_>, lagging: usize) {
    let vapp = cluster.vapp("web", "shop");
    fleet.replicas[lagging].api.delay_watches(LAG);
    vapp.edit(&json!({"canary": {"version": "v4", "share": "50%"}}));
    cluster.deploy_ready(&shop("v4"));
    vapp.expect_state("v4", "staged");
    for replica in 0..3 {
        until("its share is given", || {
            fleet.replica(replica).send(&Request::get("/").page_load()).origin() == "v4"
        });
    }
    vapp.edit(&json!({"canary": null}));
    vapp.expect_state("v4", "active");
    fleet.serves("v4");
    fleet.replicas[lagging].api.delay_watches(Duration::ZERO);
}
