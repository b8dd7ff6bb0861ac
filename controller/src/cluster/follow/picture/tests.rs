use std::fmt::Write as _;

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use super::*;
use crate::cluster::claim::Claim;
use crate::cluster::discovery::objects::{Deployment, Kept, Pod};
use crate::cluster::watch::{Change, Failure, Kind, News, Report, Scope, Update};
use crate::{Cleanup, Mode, Policy, ReadyRule, Share};

/// Settings that take hosts from labels.
struct Rules;

impl Settings for Rules {
    fn settle(&self, claim: &Arc<Claim>) -> Result<Settled, Vec<String>> {
        let second = std::time::Duration::from_secs(1);
        let canary = claim.spec.as_ref().and_then(|spec| spec.canary.as_ref());
        Ok(Settled {
            hosts: claim.hosts.clone(),
            path: "/".to_owned(),
            policy: Policy {
                ready: ReadyRule { share: Share::ALL, deadline: second },
                grace: second,
                idle_window: second,
                max_alive: second,
                max_versions: None,
                webhook: None,
                requires_approval: false,
                cleanup: Cleanup::None,
                mode: Mode::Manage,
            },
            active: None,
            canary: canary.map(|canary| Canary {
                version: canary.version.parse().unwrap(),
                share: canary.share.parse().unwrap(),
            }),
            health_checked: false,
        })
    }

    fn may_claim(&self, _: &str, _: Option<&str>) -> bool {
        true
    }

    fn holder(&self, _: Option<&str>, _: &str) -> Option<AppId> {
        None
    }

    fn is_fixed(&self, _: &AppId) -> bool {
        false
    }
}

struct Replica {
    world: World,
    picture: Picture,
}

impl Replica {
    fn new(memory: Option<Memory>) -> Self {
        let scopes = Kind::ALL.map(|kind| Scope { kind, namespace: None });
        Self { world: World::new(scopes, memory.is_some()), picture: Picture::new(memory, &Rules) }
    }

    fn take(&mut self, kind: Kind, news: News) {
        self.world.take(Report { scope: Scope { kind, namespace: None }, news });
    }

    /// So many seconds pass in which nothing changes.
    fn pass(&mut self, seconds: u64) {
        self.world.pass(tokio::time::Instant::now() + std::time::Duration::from_secs(seconds));
    }

    /// Everything else is seen, and there is nothing of it.
    fn listed(&mut self) {
        self.take(Kind::Services, News::Change(Change::Services(Update::All(Vec::new()))));
        self.take(Kind::EndpointSlices, News::Change(Change::Slices(Update::All(Vec::new()))));
    }

    /// Versions in the order of their Deployments, each with one ready pod.
    fn versions(&mut self, versions: &[&str]) {
        let numbered = || (1_u8..).zip(versions);
        let deployments = numbered().map(|(number, version)| kept::<Deployment>(deployment(version, number)));
        let pods = numbered().map(|(number, version)| kept::<Pod>(pod(version, number)));
        let (deployments, pods) = (deployments.collect(), pods.collect());
        self.take(Kind::Deployments, News::Change(Change::Deployments(Update::All(deployments))));
        self.take(Kind::Pods, News::Change(Change::Pods(Update::All(pods))));
    }

    fn resources(&mut self, resources: Vec<Value>) {
        let resources = resources.into_iter().map(kept::<VersionedApp>).collect();
        self.take(Kind::VersionedApps, News::Change(Change::Apps(Update::All(resources))));
    }

    /// What is routed after a look.
    fn routed(&mut self) -> String {
        let options = Options {
            app: "app.kubernetes.io/name".to_owned(),
            version: "plt.dev/version".to_owned(),
            mint_ids: false,
            adopt: false,
        };
        let dirty = self.world.take_dirty();
        if self.world.is_complete() {
            self.picture.look(&self.world, &dirty, &options, &Rules);
        } else {
            self.picture.remember_dirty(dirty);
        }
        show(&self.picture.snapshot(false))
    }
}

fn kept<K: Kept>(object: Value) -> ((String, String), K)
where
    K::Object: serde::de::DeserializeOwned,
{
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    (("web".to_owned(), name), K::keep(serde_json::from_value(object).unwrap()).unwrap())
}

fn labels(version: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "shop", "plt.dev/version": version, "plt.dev/hostname": "shop.example",
        "pod-template-hash": "abc",
    })
}

fn deployment(version: &str, number: u8) -> Value {
    let object: apps::Deployment = serde_json::from_value(json!({
        "metadata": {
            "name": version, "namespace": "web", "creationTimestamp": format!("2026-11-23T17:00:{number:02}Z"),
        },
        "spec": {"selector": {}, "replicas": 1, "template": {
            "metadata": {"labels": labels(version)},
            "spec": {"containers": [{"name": "app", "ports": [{"containerPort": 80}]}]},
        }},
    }))
    .unwrap();
    serde_json::to_value(object).unwrap()
}

fn pod(version: &str, number: u8) -> Value {
    let object: core::Pod = serde_json::from_value(json!({
        "metadata": {
            "name": format!("{version}-abc-x"), "namespace": "web", "labels": labels(version),
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{version}-abc"), "uid": "u",
                "controller": true,
            }],
        },
        "status": {"podIP": format!("10.0.0.{number}"), "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap();
    serde_json::to_value(object).unwrap()
}

/// A resource in whose status versions are in these states; the active one is named as such.
fn resource(states: &[(&str, &str)]) -> Value {
    let versions = states.iter().map(|(id, state)| {
        json!({
            "id": id, "state": state, "reason": "new", "actor": "controller", "revision": 1,
            "since": "2026-11-23T17:00:00Z",
        })
    });
    let active = states.iter().find(|(_, state)| *state == "active").map(|(id, _)| id);
    json!({
        "apiVersion": "lockstep.dev/v1", "kind": "VersionedApp",
        "metadata": {"name": "shop", "namespace": "web"},
        "spec": {}, "status": {"active": active, "versions": versions.collect::<Vec<_>>()},
    })
}

fn show(snapshot: &VersionSnapshot) -> String {
    let mut text = String::new();
    for app in &snapshot.apps {
        let active = app.active.as_ref().map_or("none", |active| active.as_str());
        let hosts = app.grant.as_ref().map(|grant| grant.hosts.join(","));
        write!(text, "{} {} {active}:", app.id, hosts.unwrap_or_default()).unwrap();
        for version in &app.versions {
            let endpoints: Vec<_> = version.endpoints.iter().map(ToString::to_string).collect();
            write!(text, " {}={}[{}]", version.id, version.state, endpoints.join(" ")).unwrap();
        }
    }
    text
}

#[test]
fn states_come_from_the_cluster_and_from_nowhere_else() {
    let mut replica = Replica::new(None);
    replica.listed();
    replica.versions(&["v1", "v2"]);
    // Half of the cluster is no picture of it.
    assert_eq!(replica.routed(), "");
    replica.resources(vec![]);
    assert_eq!(replica.routed(), "web/shop shop.example none:");
    replica.resources(vec![resource(&[("v1", "active")])]);
    // What v2 is nobody has said yet.
    assert_eq!(replica.routed(), "web/shop shop.example v1: v1=active[10.0.0.1:80]");
    replica.resources(vec![resource(&[("v1", "draining"), ("v2", "active"), ("v0", "expired")])]);
    let routed = "web/shop shop.example v2: v1=draining[10.0.0.1:80] v2=active[10.0.0.2:80] v0=expired[]";
    assert_eq!(replica.routed(), routed);
    // The resource was deleted: until it is there again, all stays.
    replica.resources(vec![]);
    assert_eq!(replica.routed(), routed);
    // And so it does while the API can't be seen.
    replica.take(Kind::Deployments, News::Failed(Failure::Other("connection refused".to_owned())));
    assert_eq!(replica.routed(), routed);
}

#[test]
fn without_the_crd_labels_decide() {
    let mut replica = Replica::new(None);
    replica.listed();
    replica.versions(&["v1", "v2"]);
    replica.take(Kind::VersionedApps, News::Failed(Failure::Unknown));
    assert_eq!(replica.routed(), "", "an API server that has just started knows it in a moment");
    replica.pass(5);
    let routed = "web/shop shop.example v2: v1=draining[10.0.0.1:80] v2=active[10.0.0.2:80]";
    assert_eq!(replica.routed(), routed);
    assert!(!replica.picture.state(replica.world.is_stored()).stored);
    replica.resources(vec![resource(&[("v1", "active"), ("v2", "staged")])]);
    let routed = "web/shop shop.example v1: v1=active[10.0.0.1:80] v2=staged[10.0.0.2:80]";
    assert_eq!(replica.routed(), routed);
    assert!(replica.picture.state(replica.world.is_stored()).stored);
}

#[test]
fn states_that_were_seen_are_not_given_up_for_a_moment_of_refusal() {
    let mut replica = Replica::new(None);
    replica.listed();
    replica.versions(&["v1", "v2"]);
    replica.resources(vec![resource(&[("v1", "active"), ("v2", "pending")])]);
    let by_state = "web/shop shop.example v1: v1=active[10.0.0.1:80] v2=pending[10.0.0.2:80]";
    assert_eq!(replica.routed(), by_state);
    for (failure, last) in [(Failure::Unknown, 29), (Failure::Forbidden("no".to_owned()), 10_000)] {
        replica.take(Kind::VersionedApps, News::Failed(Failure::Other("connection refused".to_owned())));
        replica.take(Kind::VersionedApps, News::Failed(failure));
        replica.pass(last);
        assert_eq!(replica.routed(), by_state);
    }
    replica.take(Kind::VersionedApps, News::Failed(Failure::Unknown));
    replica.pass(30);
    let by_label = "web/shop shop.example v2: v1=draining[10.0.0.1:80] v2=active[10.0.0.2:80]";
    assert_eq!(replica.routed(), by_label, "the definition was deleted, and all states with it");
}

#[test]
fn a_restart_goes_on_with_what_was_kept() {
    let mut replica = Replica::new(None);
    replica.listed();
    replica.versions(&["v1"]);
    replica.resources(vec![resource(&[("v1", "active")])]);
    let routed = replica.routed();
    let memory = replica.picture.take_unkept().unwrap();
    assert_eq!(replica.picture.take_unkept(), None);
    let mut replica = Replica::new(Some(memory));
    assert_eq!((replica.routed().as_str(), replica.picture.is_seen()), (routed.as_str(), false));
    // Seen again, but nobody has said anything of states yet: they are what they were.
    replica.listed();
    replica.versions(&["v1", "v2"]);
    replica.resources(vec![]);
    assert_eq!((replica.routed(), replica.picture.is_seen()), (routed, true));
}

#[test]
fn what_did_not_change_is_shared() {
    let mut replica = Replica::new(None);
    replica.listed();
    replica.versions(&["v1"]);
    replica.resources(vec![resource(&[("v1", "active")])]);
    replica.routed();
    let (before, found) = (replica.picture.snapshot(false), replica.picture.state(true).found);
    assert!(replica.picture.take_changed());
    replica.take(Kind::Services, News::Change(Change::Services(Update::All(Vec::new()))));
    replica.versions(&["v1"]);
    replica.routed();
    assert!(!replica.picture.take_changed());
    assert!(Arc::ptr_eq(&before.apps[0], &replica.picture.snapshot(false).apps[0]));
    let id = &before.apps[0].id;
    assert!(Arc::ptr_eq(&found.apps[id], &replica.picture.state(true).found.apps[id]));
}

#[test]
fn visitors_of_a_canary_that_ends_reach_it_until_its_next_state_is_written() {
    let mut app = resource(&[("v1", "active"), ("v2", "staged"), ("v3", "staged")]);
    app["status"]["versions"][1]["reason"] = json!("canary");
    app["status"]["canary"] = json!({"version": "v2", "share": "10%"});
    let mut replica = Replica::new(None);
    replica.listed();
    replica.versions(&["v1", "v2", "v3"]);
    let mut canary = |replica: &mut Replica, named: Value| {
        app["spec"]["canary"] = named;
        replica.resources(vec![app.clone()]);
        replica.routed();
        let canary = replica.picture.snapshot(false).apps[0].canary.clone();
        canary.map_or_else(String::new, |canary| format!("{} {}", canary.version, canary.share))
    };
    let of = |version: &str, share: &str| json!({"version": version, "share": share});
    let cases = [
        (of("v2", "10%"), "v2 10%"),
        (of("v2", "20%"), "v2 20%"),
        (Value::Null, "v2 0%"),
        (of("v2", "100%"), "v2 0%"),
        (of("v3", "10%"), "v2 0%"),
    ];
    for (named, routed) in cases {
        assert_eq!(canary(&mut replica, named.clone()), routed, "{named}");
    }
    // So it does after a restart without a word from the cluster.
    let memory = replica.picture.take_unkept().unwrap();
    let mut replica = Replica::new(Some(memory));
    replica.listed();
    replica.versions(&["v1", "v2", "v3"]);
    replica.resources(vec![]);
    replica.routed();
    assert_eq!(replica.picture.snapshot(false).apps[0].canary.as_ref().unwrap().version.as_str(), "v2");
    let mut ended = resource(&[("v1", "active"), ("v2", "draining"), ("v3", "staged")]);
    ended["spec"]["canary"] = of("v3", "10%");
    ended["status"]["versions"][2]["reason"] = json!("canary");
    replica.resources(vec![ended]);
    replica.routed();
    assert_eq!(replica.picture.snapshot(false).apps[0].canary.as_ref().unwrap().version.as_str(), "v3");
}

#[test]
fn a_canary_has_its_share_once_every_replica_is_written_to_know_it() {
    let known = |version: &str| json!({"version": version, "share": "50%"});
    let cases = [
        // Who has it already reaches it.
        ("staged", "canary", Value::Null, "v2 0%"),
        ("staged", "canary", known("v1"), "v2 0%"),
        ("staged", "canary", known("v2"), "v2 10%"),
        ("pending", "promoted", Value::Null, "v2 0%"),
        ("pending", "promoted", known("v2"), "v2 10%"),
        ("staged", "held", known("v2"), ""),
    ];
    for (state, reason, written, expected) in cases {
        let mut app = resource(&[("v1", "active"), ("v2", state)]);
        app["spec"]["canary"] = json!({"version": "v2", "share": "10%"});
        app["status"]["versions"][1]["reason"] = json!(reason);
        app["status"]["canary"] = written.clone();
        let mut replica = Replica::new(None);
        replica.listed();
        replica.versions(&["v1", "v2"]);
        replica.resources(vec![app]);
        replica.routed();
        let canary = replica.picture.snapshot(false).apps[0].canary.clone();
        let shown = canary.map_or_else(String::new, |canary| format!("{} {}", canary.version, canary.share));
        assert_eq!(shown, expected, "{state} {reason} {written}");
    }
}
