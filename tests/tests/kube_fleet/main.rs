//! Several replicas of the real binary in a real cluster: one lags behind, is killed, is paused, is cut off, or all
//! of them are; and no visitor notices, and nothing is done twice.

mod api;
mod killed;
mod lag;
mod paused;

use lockstep_tests::HOST;
use lockstep_tests::kube::{Cluster, Rollout, Vapp, rollout};
use lockstep_tests::{eventually, until};
use serde_json::{Value, json};

/// Short enough for tests. Nothing here rests on `max_alive`.
fn skew() -> Value {
    json!({"grace": "1s", "idle_window": "2s"})
}

fn shop(version: &str) -> Rollout {
    rollout("shop", version).annotation("lockstep.dev/hosts", HOST)
}

/// How often its scale was set, or its spec changed otherwise.
fn generation(cluster: &Cluster, rollout: &Rollout) -> u64 {
    let object = cluster.admin().get(&rollout.path()).expect("a Deployment");
    object["metadata"]["generation"].as_u64().expect("a number")
}

/// The life of a version whose visitors leave.
const LIFE: [&str; 6] = ["staged", "pending", "active", "draining", "expiring", "expired"];

/// Checks that a version has ended, step by step, and each step was done and told once.
#[track_caller]
fn ended_once(cluster: &Cluster, vapp: &Vapp<'_>, version: &str) {
    ended(cluster, vapp, version, &LIFE);
    assert_eq!(told(cluster, version), [1, 1, 1], "{version}");
}

/// How often it was told that a version drains, expires, and has.
#[track_caller]
fn told(cluster: &Cluster, version: &str) -> [usize; 3] {
    let events = eventually("its end is told", || {
        let events = cluster.events("web", &shop(version).name);
        events.iter().any(|(_, told, _)| told == "Expired").then_some(events)
    });
    ["Draining", "Expiring", "Expired"]
        .map(|reason| events.iter().filter(|(_, told, _)| told == reason).count())
}

/// Checks that a version has ended after this life, and was scaled down once.
#[track_caller]
fn ended(cluster: &Cluster, vapp: &Vapp<'_>, version: &str, life: &[&str]) {
    let shop = shop(version);
    assert_eq!(vapp.transitions(version), life, "{version}");
    assert_eq!(cluster.replicas(&shop), Some(0), "{version}");
    assert_eq!(generation(cluster, &shop), 2, "{version} was scaled once");
    until("its pods are gone", || cluster.pods(&shop).is_empty());
}
