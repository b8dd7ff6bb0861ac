//! The lead path against a real API server: replicas within this process, each with its own client and
//! what a data plane would tell, decide and act on real Deployments.

mod feed;
mod replica;

use std::time::Duration;

use lockstep_controller::Command;
use lockstep_tests::kube::{Cluster, Rollout, lab, rollout};
use lockstep_tests::poll::within;
use lockstep_tests::{eventually, until};
use serde_json::{Value, json};

use replica::Replica;

const APP: &str = "/apis/lockstep.dev/v1/namespaces/web/versionedapps/shop";
const CRD: &str = include_str!("../../../conf/k8s/base/crd.yaml");

fn install(cluster: &Cluster) {
    let file = std::env::temp_dir().join("lockstep-lead-crd.yaml");
    std::fs::write(&file, CRD).expect("the CRD is written");
    cluster.kubectl(&["apply", "-f", file.to_str().expect("a path in UTF-8")]);
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/versionedapps.lockstep.dev",
        "--timeout=20s",
    ]);
}

fn status(cluster: &Cluster) -> Value {
    cluster.admin().get(APP).map(|app| app["status"].clone()).unwrap_or_default()
}

/// The states of all versions, tombstones left out: `v1=active v2=staged`.
fn states(cluster: &Cluster) -> String {
    let status = status(cluster);
    let versions = status["versions"].as_array().cloned().unwrap_or_default();
    let state = |version: &Value| format!("{}={}", text(&version["id"]), text(&version["state"]));
    versions.iter().map(state).collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[track_caller]
fn expect(cluster: &Cluster, wanted: &str) {
    let found = within(Duration::from_secs(40), || (states(cluster) == wanted).then_some(()));
    assert!(found.is_some(), "{wanted} wanted, but it is {}\n{:#}", states(cluster), status(cluster));
}

fn shop(version: &str) -> Rollout {
    rollout("shop", version).replicas(2)
}

#[test]
fn a_version_lives_to_its_end_and_comes_back() {
    lab("a_version_lives_to_its_end_and_comes_back", |cluster| {
        install(cluster);
        let a = Replica::start(cluster, "a");
        let b = Replica::start(cluster, "b");
        cluster.deploy_ready(&shop("v1"));
        expect(cluster, "v1=active");
        cluster.deploy_ready(&shop("v2"));
        expect(cluster, "v1=draining v2=active");

        b.plane.set_in_flight("v1", 1);
        let early =
            within(Duration::from_secs(8), || (!states(cluster).contains("v1=draining")).then_some(()));
        assert!(early.is_none(), "a stream on one replica keeps it");
        b.plane.set_in_flight("v1", 0);
        expect(cluster, "v1=expired v2=active");
        assert_eq!(cluster.replicas(&shop("v1")), Some(0));
        until("its pods are gone", || cluster.pods(&shop("v1")).is_empty());
        assert_eq!(status(cluster)["versions"][0]["replicas"], 2, "what to restore is remembered");

        let follower = if a.handle.leads() { &b } else { &a };
        assert!(!follower.handle.leads());
        follower.command("v1", Command::Promote).expect("any replica takes commands");
        expect(cluster, "v1=active v2=draining");
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
        install(cluster);
        let a = Replica::start(cluster, "a");
        cluster.deploy_ready(&shop("v1"));
        expect(cluster, "v1=active");
        cluster.deploy_ready(&shop("v2"));
        expect(cluster, "v1=expired v2=active");
        cluster.scale(&shop("v1"), 2);
        expect(cluster, "v1=staged v2=active");
        a.command("v1", Command::Reject).expect("a staged version is rejected");
        expect(cluster, "v1=expired v2=active");
        assert_eq!(cluster.replicas(&shop("v1")), Some(0));

        cluster.delete(&shop("v1"));
        until("it is a tombstone", || status(cluster)["tombstones"][0]["id"] == "v1");
        cluster.deploy_ready(&shop("v1"));
        expect(cluster, "v2=active v1=staged");
        cluster.delete(&shop("v2"));
        until("nothing is active", || status(cluster)["active"].is_null());
    });
}

#[test]
fn a_leader_that_dies_is_replaced_and_nothing_is_done_twice() {
    lab("a_leader_that_dies_is_replaced_and_nothing_is_done_twice", |cluster| {
        install(cluster);
        let mut replicas = vec![Replica::start(cluster, "a")];
        until("a leads", || replicas[0].handle.leads());
        replicas.push(Replica::start(cluster, "b"));
        cluster.deploy_ready(&shop("v1"));
        expect(cluster, "v1=active");
        cluster.deploy_ready(&shop("v2"));
        expect(cluster, "v1=draining v2=active");
        let killed = replicas.remove(0);
        let seen_by_a = killed.seen();
        killed.kill();
        until("b leads", || replicas[0].handle.leads());
        expect(cluster, "v1=expired v2=active");
        let status = status(cluster);
        let history = status["history"].as_array().cloned().unwrap_or_default();
        let ends = history.iter().filter(|past| past["version"] == "v1" && past["to"] == "expiring").count();
        assert_eq!(ends, 1, "{history:#?}");
        assert!(!seen_by_a.contains(&"v1 expired".to_owned()));
        assert!(replicas[0].seen().contains(&"v1 expired".to_owned()));
    });
}

#[test]
fn a_leader_that_stops_gives_its_lease_back() {
    lab("a_leader_that_stops_gives_its_lease_back", |cluster| {
        install(cluster);
        let a = Replica::start(cluster, "a");
        until("a leads", || a.handle.leads());
        let lease = "/apis/coordination.k8s.io/v1/namespaces/web/leases/lockstep-leader";
        let holder = || cluster.admin().get(lease).map(|lease| lease["spec"]["holderIdentity"].clone());
        assert_eq!(holder().map(|holder| text(&holder).to_owned()), Ok("a_1".to_owned()));
        a.stop();
        assert_eq!(holder(), Ok(Value::Null), "nobody has to wait");
        let b = Replica::start(cluster, "b");
        until("b leads", || b.handle.leads());
        cluster.deploy_ready(&shop("v1"));
        expect(cluster, "v1=active");
        assert!(b.seen().contains(&"v1 active".to_owned()), "a is not waited for: its pod does not exist");
    });
}

#[test]
fn writes_at_the_same_time_are_decided_again() {
    lab("writes_at_the_same_time_are_decided_again", |cluster| {
        install(cluster);
        let replicas = [Replica::start(cluster, "a"), Replica::start(cluster, "b")];
        cluster.deploy_ready(&shop("v1"));
        expect(cluster, "v1=active");
        cluster.deploy_ready(&shop("v2"));
        expect(cluster, "v1=draining v2=active");
        std::thread::scope(|scope| {
            for (replica, version) in replicas.iter().zip(["v1", "v2"]) {
                scope.spawn(move || {
                    for _ in 0..10 {
                        replica.command(version, Command::Promote).expect("a promotion");
                    }
                });
            }
            for grace in 0..10 {
                let spec = json!({"spec": {"grace": format!("{}s", 3 + grace)}});
                cluster.admin().patch(APP, &spec).expect("an edit");
            }
        });
        until("one is active", || {
            let states = states(cluster);
            states.matches("active").count() == 1 && !states.contains("pending")
        });
        let status = status(cluster);
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
        install(cluster);
        let _a = Replica::start(cluster, "a");
        cluster.deploy_ready(&shop("v1"));
        expect(cluster, "v1=active");
        cluster.deploy_ready(&shop("v2"));
        expect(cluster, "v1=draining v2=active");
        let mut edited = status(cluster);
        edited["versions"][0]["state"] = json!("active");
        edited["versions"][0]["drainedAt"] = json!("2199-01-01T00:00:00Z");
        edited["active"] = json!("v7");
        let patch = json!({"status": {"versions": edited["versions"], "active": "v7"}});
        cluster.admin().patch(&format!("{APP}/status"), &patch).expect("an edit by hand");
        let repaired = || {
            let conditions = status(cluster)["conditions"].clone();
            conditions.as_array()?.iter().find(|held| held["type"] == "Repaired").cloned()
        };
        let condition = eventually("the status says so", repaired);
        assert!(text(&condition["message"]).contains("v1"), "{condition}");
        expect(cluster, "v1=expired v2=active");
    });
}

#[test]
fn observe_touches_nothing_and_advise_says_what_to_do() {
    lab("observe_touches_nothing_and_advise_says_what_to_do", |cluster| {
        install(cluster);
        let a = Replica::start(cluster, "a");
        cluster.deploy_ready(&shop("v1"));
        expect(cluster, "v1=active");
        cluster.admin().patch(APP, &json!({"spec": {"mode": "observe"}})).expect("an edit");
        cluster.deploy_ready(&shop("v2"));
        expect(cluster, "v1=expired v2=active");
        assert_eq!(cluster.replicas(&shop("v1")), Some(2), "the workload is left alone");

        cluster.admin().patch(APP, &json!({"spec": {"mode": "advise"}})).expect("an edit");
        cluster.deploy_ready(&shop("v3"));
        let command = eventually("a plan", || {
            let step = status(cluster)["plan"][0].clone();
            step["command"].as_str().map(str::to_owned)
        });
        assert!(command.contains("scale deployment/shop-v2 --replicas=0"), "{command}");
        expect(cluster, "v1=expired v2=expiring v3=active");
        until("the API shows it", || a.handle.app("shop").is_ok_and(|app| app.plan.len() == 1));
        let words: Vec<_> = command.split_whitespace().skip(1).collect();
        cluster.kubectl(&words);
        expect(cluster, "v1=expired v2=expired v3=active");
        assert!(status(cluster)["plan"].is_null(), "it was done");
    });
}
