//! A leader that is killed in the middle of an expiry.

use std::time::Duration;

use lockstep_tests::kube::{Cluster, Fleet, Vapp, lab};
use lockstep_tests::until;

use crate::{LIFE, ended, shop, skew, told};

/// How long the others take to confirm where the leader is to die before they have.
const LAG: Duration = Duration::from_secs(3);

/// When the leader dies.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The old version has no traffic, but is not marked yet.
    BeforeMarking,
    /// It is marked; the leader waits for confirmations.
    WhileWaiting,
    /// It is confirmed; the leader is about to scale. Its request arrives after another one has done it.
    BeforeScale,
    /// It is scaled; its pods are ending.
    AfterScale,
}

#[test]
fn a_leader_killed_at_any_step_of_an_expiry_is_replaced() {
    lab("killed::a_leader_killed_at_any_step_of_an_expiry_is_replaced", |cluster| {
        let steps = [Step::BeforeMarking, Step::WhileWaiting, Step::BeforeScale, Step::AfterScale];
        let vapp = cluster.vapp("web", "shop");
        cluster.deploy_ready(&shop("v1"));
        let mut fleet = Fleet::start(cluster, 3, &skew());
        vapp.expect("v1=active");
        fleet.serves("v1");
        for (round, step) in (1..).zip(steps) {
            eprintln!("{step:?}");
            expire(cluster, &mut fleet, &vapp, step, round);
        }
    });
}

fn expire(cluster: &Cluster, fleet: &mut Fleet<'_>, vapp: &Vapp<'_>, step: Step, round: u32) {
    let (old, new) = (format!("v{round}"), format!("v{}", round + 1));
    let leader = fleet.leader();
    cluster.deploy_ready(&shop(&new));
    vapp.expect_state(&new, "active");
    match step {
        Step::BeforeMarking => {}
        Step::WhileWaiting => {
            let lagging = (leader + 1) % 3;
            fleet.replicas[lagging].api.delay_watches(LAG);
            vapp.expect_state(&old, "expiring");
        }
        Step::BeforeScale => {
            fleet.replicas[leader].api.hold("PUT", "/scale");
            until("the leader wants to scale", || fleet.replicas[leader].api.held() > 0);
            assert_eq!(vapp.state(&old), "expiring");
        }
        Step::AfterScale => until("it is scaled", || cluster.replicas(&shop(&old)) == Some(0)),
    }
    let before = vapp.state(&old);
    assert_ne!(before, "expired", "{step:?}");
    fleet.kill(leader);
    if matches!(step, Step::BeforeMarking) {
        assert_eq!(vapp.state(&old), "draining", "it was killed before");
    }
    // Its pod goes, or its container is started again: one that starts takes versions for busy, as it does not know
    // what it did, so an expiry that is not confirmed yet would begin anew.
    let restarts = matches!(step, Step::AfterScale);
    if !restarts {
        fleet.delete_pod(leader);
    }
    fleet.leader_after(leader);
    if restarts {
        fleet.run(leader);
    }
    vapp.expect_state(&old, "expired");
    fleet.replicas[leader].api.let_go();
    ended(cluster, vapp, &old, &LIFE);
    // What the leader had written when it was killed it may not have told.
    let [draining, expiring, expired] = told(cluster, &old);
    assert!(draining <= 1 && expiring <= 1 && expired == 1, "{step:?}: {draining} {expiring} {expired}");
    vapp.expect_state(&new, "active");
    if !restarts {
        fleet.renew_pod(leader);
        fleet.run(leader);
    }
    fleet.replicas.iter().for_each(|replica| replica.api.delay_watches(Duration::ZERO));
    fleet.serves(&new);
}
