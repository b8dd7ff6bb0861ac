//! The lead path against a real API server: replicas within this process, each with its own client and
//! what a data plane would tell, decide and act on real Deployments.

mod feed;
mod replica;

use std::time::Duration;

use lockstep_controller::Command;
use lockstep_tests::kube::{Cluster, Rollout, Vapp, lab, rollout};
use lockstep_tests::poll::within;
use lockstep_tests::{eventually, until};
use serde_json::{Value, json};

use replica::Replica;

fn app(cluster: &Cluster) -> Vapp<'_> {
    cluster.vapp("web", "shop")
}

fn shop(version: &str) -> Rollout {
    rollout("shop", version).replicas(2)
}

#[test]
fn a_version_lives_to_its_end_and_comes_back() {
    lab("a_version_lives_to_its_end_and_comes_back", |cluster| {
        cluster.apply_crd();
        let a = Replica::start(cluster, "a");
        let b = Replica::start(cluster, "b");
        cluster.deploy_ready(&shop("v1"));
        app(cluster).expect("v1=active");
        cluster.deploy_ready(&shop("v2"));
        app(cluster).expect("v1=draining v2=active");

        b.plane.set_in_flight("v1", 1);
        let early =
            within(Duration::from_secs(8), || (!app(cluster).states().contains("v1=draining")).then_some(()));
        assert!(early.is_none(), "a stream on one replica keeps it");
        b.plane.set_in_flight("v1", 0);
        app(cluster).expect("v1=expired v2=active");
        assert_eq!(cluster.replicas(&shop("v1")), Some(0));
        until("its pods are gone", || cluster.pods(&shop("v1")).is_empty());
        assert_eq!(app(cluster).status()["versions"][0]["replicas"], 2, "what to restore is remembered");

        let follower = if a.handle.leads() { &b } else { &a };
        assert!(!follower.handle.leads());
        follower.command("v1", Command::Promote).expect("any replica takes commands");
        app(cluster).expect("v1=active v2=draining");
        assert_eq!(cluster.replicas(&shop("v1")), Some(2));

        let told = eventually("events on the Deployment", || {
            let reasons: Vec<_> =
                cluster.events("web", "shop-v1").into_iter().map(|(_, reason, _)| reason).collect();
            (reasons.iter().filter(|reason| *reason == "Activated").count() > 0
                && reasons.contains(&"Expired".to_owned()))
            .then_some(reasons)
        });
        assert!(told.contains(&"Draining".to_owned()), "{told:?}");
        let columns = cluster.kubectl(&["-n", "web", "get", "vapp", "shop"]);
        assert!(columns.contains("ACTIVE") && columns.contains("v1") && columns.contains("v2"), "{columns}");
        let seen = [a.seen(), b.seen()].concat();
        let times = |what: &str| seen.iter().filter(|seen| *seen == what).count();
        assert_eq!(
            (times("v1 draining"), times("v1 expired")),
            (1, 1),
            "each transition is told once: {seen:?}"
        );
    });
}

#[test]
fn gitops_that_brings_a_version_back_does_not_promote_it() {
    lab("gitops_that_brings_a_version_back_does_not_promote_it", |cluster| {
        cluster.apply_crd();
        let a = Replica::start(cluster, "a");
        cluster.deploy_ready(&shop("v1"));
        app(cluster).expect("v1=active");
        cluster.deploy_ready(&shop("v2"));
        app(cluster).expect("v1=expired v2=active");
        cluster.scale(&shop("v1"), 2);
        app(cluster).expect("v1=staged v2=active");
        a.command("v1", Command::Reject).expect("a staged version is rejected");
        app(cluster).expect("v1=expired v2=active");
        assert_eq!(cluster.replicas(&shop("v1")), Some(0));

        cluster.delete(&shop("v1"));
        until("it is a tombstone", || app(cluster).status()["tombstones"][0]["id"] == "v1");
        cluster.deploy_ready(&shop("v1"));
        app(cluster).expect("v2=active v1=staged");
        cluster.delete(&shop("v2"));
        until("nothing is active", || app(cluster).status()["active"].is_null());
    });
}

#[test]
fn a_leader_that_dies_is_replaced_and_nothing_is_done_twice() {
    lab("a_leader_that_dies_is_replaced_and_nothing_is_done_twice", |cluster| {
        cluster.apply_crd();
        let mut replicas = vec![Replica::start(cluster, "a")];
        until("a leads", || replicas[0].handle.leads());
        replicas.push(Replica::start(cluster, "b"));
        cluster.deploy_ready(&shop("v1"));
        app(cluster).expect("v1=active");
        cluster.deploy_ready(&shop("v2"));
        app(cluster).expect("v1=draining v2=active");
        let killed = replicas.remove(0);
        let seen_by_a = killed.kill();
        until("b leads", || replicas[0].handle.leads());
        app(cluster).expect("v1=expired v2=active");
        let status = app(cluster).status();
        let history = status["history"].as_array().cloned().unwrap_or_default();
        let ends = history.iter().filter(|past| past["version"] == "v1" && past["to"] == "expiring").count();
        assert_eq!(ends, 1, "{history:#?}");
        assert!(!seen_by_a.contains(&"v1 expired".to_owned()));
        // What is written can be read a moment before its writer hears that it is.
        until("it is told", || replicas[0].seen().contains(&"v1 expired".to_owned()));
    });
}

#[test]
fn a_leader_that_stops_gives_its_lease_back() {
    lab("a_leader_that_stops_gives_its_lease_back", |cluster| {
        cluster.apply_crd();
        let a = Replica::start(cluster, "a");
        until("a leads", || a.handle.leads());
        let lease = "/apis/coordination.k8s.io/v1/namespaces/web/leases/lockstep-leader";
        let holder = || cluster.admin().get(lease).map(|lease| lease["spec"]["holderIdentity"].clone());
        assert_eq!(holder(), Ok(json!("a_1")));
        a.stop();
        assert_eq!(holder(), Ok(Value::Null), "nobody has to wait");
        let b = Replica::start(cluster, "b");
        until("b leads", || b.handle.leads());
        cluster.deploy_ready(&shop("v1"));
        app(cluster).expect("v1=active");
        // a is not waited for: its pod does not exist.
        until("b tells of it", || b.seen().contains(&"v1 active".to_owned()));
    });
}

#[test]
fn writes_at_the_same_time_are_decided_again() {
    lab("writes_at_the_same_time_are_decided_again", |cluster| {
        cluster.apply_crd();
        let replicas = [Replica::start(cluster, "a"), Replica::start(cluster, "b")];
        cluster.deploy_ready(&shop("v1"));
        app(cluster).expect("v1=active");
        cluster.deploy_ready(&shop("v2"));
        app(cluster).expect("v1=draining v2=active");
        std::thread::scope(|scope| {
            for (replica, version) in replicas.iter().zip(["v1", "v2"]) {
                scope.spawn(move || {
                    for _ in 0..10 {
                        replica.command(version, Command::Promote).expect("a promotion");
                    }
                });
            }
            for grace in 0..10 {
                let spec = json!({"grace": format!("{}s", 3 + grace)});
                app(cluster).edit(&spec);
            }
        });
        until("one is active", || {
            let states = app(cluster).states();
            states.matches("active").count() == 1 && !states.contains("pending")
        });
        let status = app(cluster).status();
        let history = status["history"].as_array().cloned().unwrap_or_default();
        for id in ["v1", "v2"] {
            let of: Vec<_> = history.iter().filter(|past| past["version"] == id).collect();
            for pair in of.windows(2) {
                assert_eq!(pair[0]["to"], pair[1]["from"], "no write was lost: {history:#?}");
            }
        }
    });
}

#[test]
fn nonsense_in_a_status_is_put_right() {
    lab("nonsense_in_a_status_is_put_right", |cluster| {
        cluster.apply_crd();
        let _a = Replica::start(cluster, "a");
        cluster.deploy_ready(&shop("v1"));
        app(cluster).expect("v1=active");
        cluster.deploy_ready(&shop("v2"));
        app(cluster).expect("v1=draining v2=active");
        let mut edited = app(cluster).status();
        edited["versions"][0]["state"] = json!("active");
        edited["versions"][0]["drainedAt"] = json!("2199-01-01T00:00:00Z");
        edited["active"] = json!("v7");
        let patch = json!({"status": {"versions": edited["versions"], "active": "v7"}});
        cluster.admin().patch(&format!("{}/status", app(cluster).path()), &patch).expect("an edit by hand");
        app(cluster).expect_condition("Repaired", "v1");
        app(cluster).expect("v1=expired v2=active");
    });
}

#[test]
fn observe_touches_nothing_and_advise_says_what_to_do() {
    lab("observe_touches_nothing_and_advise_says_what_to_do", |cluster| {
        cluster.apply_crd();
        let a = Replica::start(cluster, "a");
        cluster.deploy_ready(&shop("v1"));
        app(cluster).expect("v1=active");
        app(cluster).edit(&json!({"mode": "observe"}));
        cluster.deploy_ready(&shop("v2"));
        app(cluster).expect("v1=expired v2=active");
        assert_eq!(cluster.replicas(&shop("v1")), Some(2), "the workload is left alone");

        app(cluster).edit(&json!({"mode": "advise"}));
        cluster.deploy_ready(&shop("v3"));
        let command = eventually("a plan", || {
            let step = app(cluster).status()["plan"][0].clone();
            step["command"].as_str().map(str::to_owned)
        });
        assert!(command.contains("scale deployment/shop-v2 --replicas=0"), "{command}");
        app(cluster).expect("v1=expired v2=expiring v3=active");
        until("the API shows it", || a.handle.app("shop").is_ok_and(|app| app.plan.len() == 1));
        let words: Vec<_> = command.split_whitespace().skip(1).collect();
        cluster.kubectl(&words);
        app(cluster).expect("v1=expired v2=expired v3=active");
        assert!(app(cluster).status()["plan"].is_null(), "it was done");
    });
}
