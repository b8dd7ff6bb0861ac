//! A replica that stands still: one that follows, and one that leads.

use std::time::Duration;

use lockstep_tests::kube::{Fleet, Vapp, lab};
use lockstep_tests::load::Load;
use lockstep_tests::poll::within;
use lockstep_tests::{Request, origin, until};

use crate::{ended_once, generation, shop, skew};

/// Longer than it takes to mark an idle version when nothing holds it up.
const IDLE: Duration = Duration::from_secs(9);
/// Longer than it takes to activate a version that is ready, or to do what is due.
const QUICK: Duration = Duration::from_secs(4);

#[test]
fn a_replica_that_is_paused_delays_an_expiry_until_its_pod_is_gone() {
    lab("paused::a_replica_that_is_paused_delays_an_expiry_until_its_pod_is_gone", |cluster| {
        let vapp = cluster.vapp("web", "shop");
        cluster.deploy_ready(&shop("v1"));
        let mut fleet = Fleet::start(cluster, 3, &skew());
        vapp.expect("v1=active");
        fleet.serves("v1");
        let leader = fleet.leader();
        let (paused, other) = ((leader + 1) % 3, (leader + 2) % 3);
        let mut load = Load::new(fleet.doors(&[leader, other]));
        load.newcomers(2);

        cluster.deploy_ready(&shop("v2"));
        vapp.expect_state("v2", "active");
        // A stream on one replica is traffic for all of them.
        let patient = Load::new(fleet.doors(&[other]));
        let stream = patient.patient("v1", "/stream", origin::STREAM_BYTES);
        stays(&vapp, "v1", "draining", IDLE);
        fleet.pause(paused);
        stream.leave();
        patient.finish();
        stays(&vapp, "v1", "draining", IDLE);
        fleet.resume(paused);
        vapp.expect_state("v1", "expired");
        ended_once(cluster, &vapp, "v1");

        // Paused once it is marked, or before: its confirmation is missing until it is gone.
        fleet.pause(paused);
        cluster.deploy_ready(&shop("v3"));
        stays(&vapp, "v3", "pending", QUICK);
        fleet.kill(paused);
        fleet.delete_pod(paused);
        vapp.expect_state("v3", "active");
        vapp.expect_state("v2", "expired");
        ended_once(cluster, &vapp, "v2");
        assert_eq!(fleet.leader(), leader);
        load.finish();
    });
}

#[test]
fn a_leader_that_wakes_up_late_acts_no_more() {
    lab("paused::a_leader_that_wakes_up_late_acts_no_more", |cluster| {
        let vapp = cluster.vapp("web", "shop");
        cluster.deploy_ready(&shop("v1"));
        let fleet = Fleet::start(cluster, 2, &skew());
        vapp.expect("v1=active");
        fleet.serves("v1");

        // It stops with a request under way, and another one does what it wanted to do.
        let first = fleet.leader();
        fleet.replicas[first].api.hold("PUT", "/scale");
        cluster.deploy_ready(&shop("v2"));
        until("the leader wants to scale", || fleet.replicas[first].api.held() > 0);
        fleet.pause(first);
        let second = fleet.leader_after(first);
        vapp.expect_state("v1", "expired");
        ended_once(cluster, &vapp, "v1");
        // Somebody brings the version back, and the first one wakes up.
        cluster.scale(&shop("v1"), 2);
        vapp.expect_state("v1", "staged");
        fleet.replicas[first].api.let_go();
        fleet.resume(first);
        stays(&vapp, "v1", "staged", QUICK);
        assert_eq!(cluster.replicas(&shop("v1")), Some(2), "a request that comes late has no effect");
        assert_eq!(generation(cluster, &shop("v1")), 3);
        assert_eq!(fleet.leader(), second);

        // The same with a state that is about to be written.
        fleet.replicas[second].api.hold("PUT", "/status");
        cluster.deploy_ready(&shop("v3"));
        until("the leader wants to write", || fleet.replicas[second].api.held() > 0);
        fleet.pause(second);
        fleet.leader_after(second);
        stays(&vapp, "v3", "pending", QUICK);
        fleet.replicas[second].api.let_go();
        fleet.resume(second);
        vapp.expect_state("v3", "active");
        vapp.expect_state("v2", "expired");
        ended_once(cluster, &vapp, "v2");
        assert_eq!(fleet.leader(), first);
        for replica in [first, second] {
            assert_eq!(fleet.replica(replica).send(&Request::get("/")).origin(), "v3");
        }
    });
}

/// Checks that a version stays in a state for long enough to have left it.
#[track_caller]
fn stays(vapp: &Vapp<'_>, version: &str, state: &str, time: Duration) {
    vapp.expect_state(version, state);
    let left = within(time, || (vapp.state(version) != state).then(|| vapp.status()));
    assert!(left.is_none(), "{version} did not stay {state}: {:#}", left.unwrap_or_default());
}
