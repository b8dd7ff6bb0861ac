use kube::CustomResourceExt as _;
use serde_json::json;

use super::*;
use crate::VersionState;
use crate::record::AppRecord;

fn read(status: Value) -> VersionedAppStatus {
    serde_json::from_value(status).unwrap()
}

fn entry(id: &str, state: &str) -> Value {
    json!({"id": id, "state": state, "reason": "new", "since": "2026-11-23T17:00:00Z"})
}

#[test]
fn the_shipped_crd_is_the_one_of_these_types() {
    let shipped = include_str!("../../../../conf/k8s/base/crd.yaml");
    assert_eq!(
        shipped,
        crate::cluster::resource::crd_yaml(),
        "run: cargo run -p lockstep-controller --example crd > conf/k8s/base/crd.yaml"
    );
}

#[test]
fn spec_is_written_as_it_was_read() {
    let spec = json!({
        "hosts": ["shop.example.com"], "path": "/", "stripPrefix": true, "active": "v1",
        "canary": {"version": "v3", "share": "10%"}, "balance": "least_loaded",
        "upstream": {"connectTimeout": "2s", "http2": true, "retries": 3},
        "health": {"path": "/healthz", "interval": "5s"},
        "ejection": {"failures": 5, "for": "10s", "maxShare": "50%"}, "audit": "full",
        "cookie": {"name": "c", "maxAge": "12h", "sameSite": "lax", "secure": "auto", "httpOnly": true},
        "header": "x-deployment-id", "query": "dpl", "queryOnNavigation": false, "navigation": "latest",
        "onExpired": "reject", "onUnhealthy": "active", "preview": {"access": "token", "token": {"env": "T"}},
        "responseHeaders": true, "ready": {"share": "100%", "deadline": "10m"}, "grace": "30m",
        "idleWindow": "30m", "maxAlive": "24h", "maxVersions": 3, "expirePolicy": "webhook",
        "webhook": {"url": "http://hooks/idle", "timeout": "5s"}, "cleanup": "delete",
        "requiresApproval": true, "mode": "advise",
    });
    let read: VersionedAppSpec = serde_json::from_value(spec.clone()).unwrap();
    assert_eq!(read.unreadable, None);
    assert_eq!(serde_json::to_value(&read).unwrap(), spec);
}

#[test]
fn a_spec_that_is_nonsense_is_read_and_says_so() {
    for spec in [json!({"hosts": 7}), json!([]), json!("x"), json!({"canary": {}})] {
        let object = json!({"apiVersion": "lockstep.dev/v1", "kind": "VersionedApp",
            "metadata": {"name": "shop"}, "spec": spec});
        let app: VersionedApp = serde_json::from_value(object).unwrap();
        assert!(app.spec.unreadable.is_some(), "{:?}", app.spec);
    }
}

#[test]
fn what_can_not_be_read_of_a_status_is_left_out() {
    let status = read(json!({
        "active": "not an id!", "versions": [entry("v1", "active"), entry("v2", "flying"), 7, {}],
        "history": "x", "conditions": [{"type": "Stalled"}], "draining": ["v9"],
    }));
    assert_eq!(status.versions.len(), 1);
    assert_eq!(status.unreadable.len(), 7, "{:?}", status.unreadable);
    assert_eq!(read(json!("nonsense")).unreadable.len(), 1);
    assert_eq!(read(Value::Null), VersionedAppStatus::default());
}

#[test]
fn records_survive_their_status() {
    let mut record: AppRecord = serde_json::from_value(json!({
        "active": "v2",
        "versions": [
            {"id": "v0", "state": "expired", "reason": "confirmed", "actor": "", "revision": 1,
             "since": "2026-11-23T17:00:00Z", "expiredAt": "2026-11-23T17:00:00Z", "endpoints": [],
             "present": false, "workload": {"vanished": true}},
            {"id": "v1", "state": "expiring", "reason": "idle", "actor": "controller", "revision": 2,
             "since": "2026-11-23T18:00:00Z", "drainedAt": "2026-11-23T17:00:00Z", "endpoints": [],
             "present": true, "expiryAskedBy": "ops",
             "workload": {"deployment": "shop-v1", "service": "s", "template": "t", "replicas": 2,
                          "released": true}},
            {"id": "v2", "state": "active", "reason": "ready", "actor": "controller", "revision": 3,
             "since": "2026-11-23T17:00:00Z", "endpoints": [], "present": true, "workload": {"restore": true}},
        ],
        "history": [{"at": "2026-11-23T17:00:00Z", "version": "v2", "from": "pending", "to": "active",
                     "reason": "ready", "actor": "controller"}],
    }))
    .unwrap();
    let mut status = VersionedAppStatus::default();
    status.set_record(&record, &std::collections::BTreeMap::new());
    let written = serde_json::to_value(&status).unwrap();
    assert_eq!(read(written).record(), record);
    assert_eq!(record.repair("2026-11-23T19:00:00Z".parse().unwrap()), Vec::<String>::new());
}

#[test]
fn a_status_edited_to_nonsense_is_put_right() {
    let mut twice = entry("v1", "draining");
    twice["since"] = json!("2099-01-01T00:00:00Z");
    let mut record = read(json!({
        "active": "v9",
        "versions": [entry("v1", "active"), twice, entry("v2", "active"), entry("v3", "active"),
                     entry("v4", "pending"), entry("v5", "pending")],
    }))
    .record();
    let now = "2026-11-24T00:00:00Z".parse().unwrap();
    assert_eq!(record.repair(now).len(), 4);
    assert_eq!(record.active, record.in_state(VersionState::Active).first().cloned());
    assert_eq!(record.in_state(VersionState::Active).len(), 1);
    assert_eq!(record.in_state(VersionState::Pending).len(), 1);
    assert_eq!(record.version("v1".parse().as_ref().unwrap()).unwrap().since, now);
    assert_eq!(record.repair(now), Vec::<String>::new());
}

#[test]
fn tombstones_are_bounded() {
    let tombstone = |n: u32| {
        let at = jiff::Timestamp::from_second(i64::from(n)).unwrap();
        json!({"id": format!("v{n}"), "reason": "confirmed", "expiredAt": at})
    };
    let mut record = read(json!({"tombstones": (0..1500).map(tombstone).collect::<Vec<_>>()})).record();
    record.repair(jiff::Timestamp::from_second(2000).unwrap());
    assert_eq!(record.versions.len(), 1000);
    assert!(record.versions.iter().any(|version| version.id.as_str() == "v1499"));
}

#[test]
fn the_crd_has_a_status_of_its_own_and_columns() {
    let crd = VersionedApp::crd();
    let version = crd.spec.versions.first().unwrap();
    assert!(version.subresources.as_ref().unwrap().status.is_some());
    let columns: Vec<_> =
        version.additional_printer_columns.iter().flatten().map(|c| c.name.as_str()).collect();
    assert_eq!(columns, ["Active", "Draining", "Canary", "Age"]);
}
