//! Several replicas of the real binary in a real cluster: one lags behind, is killed, is paused, is cut off, or all
//! of them are; and no visitor notices, and nothing is done twice.

mod api;
mod killed;
mod lag;
mod paused;

use lockstep_tests::HOST;
use lockstep_tests::kube::{Cluster, Rollout, Versioned, rollout};
use lockstep_tests::until;
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

/// Checks that a version has ended, step by step and each step once.
#[track_caller]
fn ended_once(cluster: &Cluster, vapp: &Versioned<'_>, version: &str) {
    let shop = shop(version);
    let transitions = vapp.transitions(version);
    assert_eq!(transitions, ["staged", "pending", "active", "draining", "expiring", "expired"], "{version}");
    assert_eq!(cluster.replicas(&shop), Some(0), "{version}");
    assert_eq!(generation(cluster, &shop), 2, "{version} was scaled once");
    until("its pods are gone", || cluster.pods(&shop).is_empty());
    let told = |reason: &str| {
        let events = cluster.events("web", &shop.name);
        events.iter().filter(|(_, told, _)| told == reason).count()
    };
    for reason in ["Draining", "Expiring", "Expired"] {
        assert!(told(reason) <= 1, "{version} {reason}: {:?}", cluster.events("web", &shop.name));
    }
}
