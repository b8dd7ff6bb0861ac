//! `docs/kubernetes.md` from nothing to a drained version and back, under load: no request fails, no visitor sees
//! another version than the pinned one.

use std::time::Duration;

use lockstep_tests::audit;
use lockstep_tests::kube::{Cluster, Rollout, SYSTEM, rollout, shipped};
use lockstep_tests::load::Load;
use lockstep_tests::lockstep::cli;
use lockstep_tests::poll::within;
use lockstep_tests::process::Signal;
use lockstep_tests::{COOKIE, Config, HOST, Lockstep, Request, poll, until};
use serde_json::json;

/// The host of the example.
const EXAMPLE: &str = "shop.example.com";
/// All that happens to version 1.
const LIFE_OF_V1: [&str; 8] =
    ["staged", "pending", "active", "draining", "expiring", "expired", "pending", "active"];

pub fn walk(cluster: &Cluster) {
    cluster.install("manage");
    let instance = start(cluster);
    until("an empty cluster is fine", || instance.readiness() == 200);

    let shop = cluster.vapp("shop", "shop");
    cluster.kubectl(&["apply", "--server-side", "-k", &shipped("example")]);
    // The visitors of the suites come to another host; and the guide's minutes are too long for a test.
    shop.edit(&json!({"hosts": [EXAMPLE, HOST], "grace": "1s", "idleWindow": "2s"}));
    let first = instance_answers(&instance, "v1");
    assert_eq!(first.pins_to().as_deref(), Some("v1"));
    shop.expect("v1=active");

    let addr = instance.addr();
    let mut load = Load::new(move || addr);
    load.newcomers(2);
    let loyal = load.pinned("v1");
    let patient = load.patient("v1", "/stream", lockstep_tests::origin::STREAM_BYTES);
    cluster.kubectl(&["apply", "--server-side", "-f", &shipped("example/v2.yaml")]);
    instance.serves("v2");
    shop.expect("v1=draining v2=active");
    assert_eq!(instance.send(&visitor("v1")).origin(), "v1");
    // For longer than grace and window together, while it has visitors.
    let early = within(Duration::from_secs(6), || (shop.states() != "v1=draining v2=active").then_some(()));
    assert!(early.is_none(), "it has visitors: {}", shop.states());
    loyal.leave();
    patient.leave();

    shop.expect("v1=expired v2=active");
    let v1 = example("v1");
    assert_eq!(cluster.replicas(&v1), Some(0));
    until("its pods are gone", || cluster.pods(&v1).is_empty());
    let late = instance.send(&visitor("v1").page_load());
    assert_eq!((late.origin(), late.header("x-lockstep-skew")), ("v2", Some("expired")));
    assert_eq!(late.pins_to().as_deref(), Some("v2"));
    let why = cli(["explain", "--host", EXAMPLE, "--path", "/", "--cookie", &format!("{COOKIE}=v1")]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("v2") && why.contains("expired"), "{why}");

    // As in the guide: within the pod, it asks the admin address that is the default.
    let promoted = cli(["versions", "promote", "shop/shop", "v1"]);
    assert!(promoted.status.success(), "{promoted:?}");
    instance.serves("v1");
    shop.expect("v1=active v2=draining");
    assert_eq!(cluster.replicas(&v1), Some(2));
    let requests = load.finish();
    assert!(requests > 2_000, "{requests} requests are no load");

    assert_eq!(life(&shop.history()), LIFE_OF_V1.join(" "));
    events_tell_it(cluster);
    kubectl_tells_it(cluster);
    metrics_tell_it(&instance);
    records_tell_it(instance);
}

/// The configuration that ships, at addresses and with times of a test.
fn start(cluster: &Cluster) -> Lockstep {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data").display().to_string();
    let config = cluster.admin().get("/api/v1/namespaces/lockstep-system/configmaps/lockstep");
    let text = config.expect("a ConfigMap")["data"]["lockstep.yaml"].as_str().expect("a file").to_owned();
    let edits = [
        ("/var/lib/lockstep", data.as_str()),
        ("0.0.0.0:8080", "127.0.0.1:0"),
        ("0.0.0.0:9901", "127.0.0.1:9901"),
        ("lame_duck: 15s", "lame_duck: 0s"),
        ("  enabled: true", "  enabled: true\n  heartbeat: 1s\n  lease: {duration: 3s, renew: 1s}"),
        ("audit:", "audit:\n  compression: none\n  batch: {interval: 200ms}"),
    ];
    let text = edits.iter().fold(text, |text, (old, new)| {
        assert!(text.contains(old), "{old} in {text}");
        text.replace(old, new)
    });
    cluster.replica_with(&text, &Config::new(), &cluster.kubeconfig_of(SYSTEM, "lockstep"), dir)
}

fn example(version: &str) -> Rollout {
    rollout("shop", version).namespace("shop").replicas(2)
}

fn visitor(version: &str) -> Request {
    Request::get("/").host(EXAMPLE).pinned(version)
}

fn instance_answers(instance: &Lockstep, version: &str) -> lockstep_tests::Message {
    let request = Request::get("/").host(EXAMPLE).page_load();
    until("the example is served", || instance.send(&request).status() == 200);
    let answer = instance.send(&request);
    assert_eq!(answer.origin(), version);
    answer
}

/// What happened to version 1, in order.
fn life(history: &[String]) -> String {
    let states = history.iter().filter_map(|past| past.strip_prefix("v1 "));
    states.collect::<Vec<_>>().join(" ")
}

fn events_tell_it(cluster: &Cluster) {
    let reasons = || {
        let events = cluster.events("shop", "shop-v1");
        events.into_iter().map(|(_, reason, _)| reason).collect::<Vec<_>>()
    };
    for reason in ["Pending", "Activated", "Draining", "Expiring", "Expired"] {
        until(&format!("{reason} is told: {:?}", reasons()), || reasons().iter().any(|told| told == reason));
    }
    let shown =
        cluster.kubectl(&["-n", "shop", "get", "events", "--field-selector", "involvedObject.name=shop-v1"]);
    assert!(shown.contains("Draining") && shown.contains("superseded"), "{shown}");
}

fn kubectl_tells_it(cluster: &Cluster) {
    let listed = cluster.kubectl(&["-n", "shop", "get", "vapp", "shop"]);
    let row: Vec<_> = listed.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert!(row.starts_with(&["shop", "v1", "v2"]), "{listed}");
    let described = cluster.kubectl(&["-n", "shop", "describe", "vapp", "shop"]);
    for part in ["Available", "version v1 is active", "expired", "superseded", "ops"] {
        assert!(described.contains(part), "{part} in {described}");
    }
}

fn metrics_tell_it(instance: &Lockstep) {
    let metrics = instance.metrics();
    for (to, count) in [("active", 3.0), ("expired", 1.0), ("draining", 2.0)] {
        let labels = [("app", "shop/shop"), ("to", to)];
        assert_eq!(metrics.sum("lockstep_version_transitions_total", &labels), count, "{to}");
    }
    for state in ["active", "draining"] {
        let labels = [("app", "shop/shop"), ("state", state)];
        assert_eq!(metrics.sum("lockstep_versions", &labels), 1.0, "{state}");
    }
    assert_eq!(metrics.sum("lockstep_cluster_connected", &[]), 1.0);
    assert_eq!(metrics.sum("lockstep_degraded", &[]), 0.0, "{}", instance.problems());
}

fn records_tell_it(mut instance: Lockstep) {
    instance.signal(Signal::Term);
    assert!(instance.process.wait(poll::SOON).success());
    let records = audit::shipped(&instance.data_dir().join("audit"));
    let of_v1 =
        records.iter().filter(|record| record["type"] == "version" && record["route"]["version"] == "v1");
    let states: Vec<_> = of_v1.clone().filter_map(|record| record["transition"]["to"].as_str()).collect();
    assert_eq!(states.join(" "), LIFE_OF_V1.join(" "));
    let actors: Vec<_> = of_v1.filter_map(|record| record["transition"]["actor"].as_str()).collect();
    assert!(actors.contains(&"ops") && actors.contains(&"controller"), "{actors:?}");
}
