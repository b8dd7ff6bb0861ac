use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::objects::Kept;
use super::*;

/// Objects of one namespace, made as the API would give them.
#[derive(Default)]
struct Cluster(Objects);

fn kept<K: Kept>(object: Value) -> Arc<K>
where
    K::Object: DeserializeOwned,
{
    Arc::new(K::keep(serde_json::from_value(object).unwrap()).unwrap())
}

/// Seconds after some moment, as the API writes times.
fn at(second: u32) -> String {
    format!("2026-11-23T17:{:02}:{:02}Z", second / 60, second % 60)
}

impl Cluster {
    fn new() -> Self {
        Self(Objects { pods_known: true, ..Objects::default() })
    }

    /// A Deployment whose pods carry `labels`.
    fn deployment(mut self, name: &str, second: u32, labels: &Value, more: &Value) -> Self {
        let mut object = json!({
            "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": at(second)},
            "spec": {
                "replicas": 2,
                "selector": {},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{
                        "name": "app", "image": "shop:1", "ports": [{"containerPort": 3000}],
                    }]},
                },
            },
        });
        merge(&mut object, more);
        self.0.deployments.insert(name.to_owned(), kept(object));
        self
    }

    /// The ready pods of a Deployment: their addresses end in these numbers.
    fn pods(mut self, deployment: &str, labels: &Value, numbers: &[u8]) -> Self {
        for number in numbers {
            let name = format!("{deployment}-abc-{number}");
            let mut labels = labels.clone();
            merge(&mut labels, &json!({"pod-template-hash": "abc"}));
            let object = json!({
                "metadata": {
                    "name": name, "labels": labels, "creationTimestamp": at(100),
                    "ownerReferences": [{
                        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{deployment}-abc"),
                        "uid": "u", "controller": true,
                    }],
                },
                "spec": {"containers": [{"name": "app", "image": "shop:1"}]},
                "status": {
                    "podIP": format!("10.0.0.{number}"),
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [{
                        "name": "app", "image": "shop:1", "imageID": format!("repo/shop@sha256:{deployment}"),
                        "ready": true, "restartCount": 0,
                    }],
                },
            });
            self.0.pods.insert(name, kept(object));
        }
        self
    }

    fn service(mut self, name: &str, labels: &Value, selector: &Value, ports: &Value) -> Self {
        let object = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"selector": selector, "ports": ports},
        });
        self.0.services.insert(name.to_owned(), kept(object));
        self
    }

    /// Ready endpoints of a Service: pods by name, at the addresses that these have.
    fn slice(mut self, service: &str, ports: &Value, pods: &[(&str, u8)]) -> Self {
        let endpoints = pods.iter().map(|(pod, number)| {
            json!({
                "addresses": [format!("10.0.0.{number}")], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "name": format!("{pod}-abc-{number}")},
            })
        });
        let object = json!({
            "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints.collect::<Vec<_>>(),
        });
        self.0.slices.insert(format!("{service}-{}", self.0.slices.len()), kept(object));
        self
    }

    fn found(&self, options: &Options) -> String {
        show(&discover("web", &self.0, options, &mut Minted::new()))
    }
}

/// Adds to objects, replaces all else.
fn merge(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (key, value) in from {
                merge(to.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from.clone(),
    }
}

fn options() -> Options {
    Options {
        app: "app.kubernetes.io/name".to_owned(),
        version: "plt.dev/version".to_owned(),
        mint_ids: false,
        adopt: true,
    }
}

fn shop(version: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "shop", "plt.dev/version": version,
        "app.kubernetes.io/instance": format!("shop-{version}"),
    })
}

fn by_instance(version: &str) -> Value {
    json!({"app.kubernetes.io/instance": format!("shop-{version}")})
}

/// One line an app, version and problem.
fn show(found: &Found) -> String {
    let mut text = String::new();
    for app in found.apps.values() {
        let claim = &app.claim;
        writeln!(text, "{} {:?} {:?}", app.id, claim.hosts, claim.path).unwrap();
        for version in &app.versions {
            let ports: Vec<_> = version.endpoints.iter().map(ToString::to_string).collect();
            let service = version.workload.service.as_deref().unwrap_or("-");
            let http2 = if version.http2 { " http2" } else { "" };
            writeln!(text, "  {} {service} [{}]{http2}", version.id, ports.join(" ")).unwrap();
        }
    }
    for problem in &found.problems {
        writeln!(text, "! {} {}", problem.name, problem.reason.as_str()).unwrap();
    }
    text
}

const WEB: &str = "web/shop [] None\n";

fn none() -> Value {
    json!({})
}

fn ports() -> Value {
    json!([{"name": "metrics", "port": 9090}, {"name": "http", "port": 80, "targetPort": 3000}])
}

fn slice_ports() -> Value {
    json!([{"name": "metrics", "port": 9090}, {"name": "http", "port": 3000}])
}

#[test]
fn a_version_is_named_by_both_labels_and_by_no_other() {
    let names = |labels: Value| {
        let labels = serde_json::from_value(labels).unwrap();
        options().name(&labels, &"web/shop".parse().unwrap(), &"v1".parse().unwrap())
    };
    assert!(names(shop("v1")));
    for other in [json!({"app.kubernetes.io/name": "blog"}), json!({"plt.dev/version": "v2", "track": "v1"})]
    {
        let mut labels = shop("v1");
        merge(&mut labels, &other);
        assert!(!names(labels), "{other}");
    }
}

#[test]
fn a_version_is_reached_by_its_own_service() {
    let cluster = Cluster::new()
        .deployment("shop-v1", 0, &shop("v1"), &none())
        .deployment("shop-v2", 1, &shop("v2"), &none())
        .pods("shop-v1", &shop("v1"), &[1, 2])
        .pods("shop-v2", &shop("v2"), &[3])
        .service("shop-v1", &shop("v1"), &by_instance("v1"), &ports())
        .service("shop-v2", &shop("v2"), &by_instance("v2"), &ports())
        .slice("shop-v1", &slice_ports(), &[("shop-v1", 1), ("shop-v1", 2)])
        .slice("shop-v2", &slice_ports(), &[("shop-v2", 3)]);
    let v1 = "  v1 shop-v1 [10.0.0.1:3000 10.0.0.2:3000]\n";
    assert_eq!(cluster.found(&options()), format!("{WEB}{v1}  v2 shop-v2 [10.0.0.3:3000]\n"));
}

#[test]
fn a_service_of_all_versions_mixes_none() {
    let name = json!({"app.kubernetes.io/name": "shop"});
    let mut cluster = Cluster::new()
        .deployment("shop-v1", 0, &shop("v1"), &none())
        .deployment("shop-v2", 1, &shop("v2"), &none())
        .pods("shop-v1", &shop("v1"), &[1])
        .pods("shop-v2", &shop("v2"), &[2])
        .service("shop", &name, &name, &ports())
        // The third pod is one that has not been seen yet.
        .slice("shop", &slice_ports(), &[("shop-v1", 1), ("shop-v2", 2), ("shop-v1", 3)]);
    let expected = format!("{WEB}  v1 - [10.0.0.1:3000]\n  v2 - [10.0.0.2:3000]\n");
    assert_eq!(cluster.found(&options()), expected);
    // Where pods can't be seen, nobody can tell them apart.
    cluster.0.pods_known = false;
    cluster.0.pods.clear();
    assert_eq!(cluster.found(&options()), format!("{WEB}  v1 - []\n  v2 - []\n"));
}

#[test]
fn without_a_service_its_ready_pods_are_taken() {
    let cluster = Cluster::new()
        .deployment("shop-v1", 0, &shop("v1"), &none())
        .pods("shop-v1", &shop("v1"), &[1])
        // A pod of an earlier template of the same Deployment is no part of the version.
        .pods("shop-v1", &shop("v0"), &[2]);
    let replaced = "! shop-v1 VersionReplaced";
    assert_eq!(cluster.found(&options()), format!("{WEB}  v1 - [10.0.0.1:3000]\n{replaced}\n"));
}

#[test]
fn the_port_is_the_annotation_else_http_else_the_first() {
    let only = json!([{"name": "web", "port": 80}, {"name": "metrics", "port": 9090}]);
    let only_slice = json!([{"name": "web", "port": 3000}, {"name": "metrics", "port": 9090}]);
    let cases = [
        (ports(), slice_ports(), None, "[10.0.0.1:3000]"),
        (only, only_slice, None, "[10.0.0.1:3000]"),
        (ports(), slice_ports(), Some("metrics"), "[10.0.0.1:9090]"),
        (ports(), slice_ports(), Some("9090"), "[10.0.0.1:9090]"),
        (ports(), slice_ports(), Some("80"), "[10.0.0.1:3000]"),
        (ports(), slice_ports(), Some("4000"), "[10.0.0.1:4000]"),
        (ports(), slice_ports(), Some("nope"), "[]\n! shop-v1 NoPort"),
        (json!([]), json!([]), None, "[]\n! shop-v1 NoPort"),
        (json!([{"port": 80, "protocol": "UDP"}]), json!([]), None, "[]\n! shop-v1 NoPort"),
    ];
    for (ports, slice, annotation, expected) in cases {
        let more = annotation
            .map_or_else(none, |port| json!({"metadata": {"annotations": {"lockstep.dev/port": port}}}));
        let cluster = Cluster::new()
            .deployment("shop-v1", 0, &shop("v1"), &more)
            .pods("shop-v1", &shop("v1"), &[1])
            .service("shop-v1", &shop("v1"), &by_instance("v1"), &ports)
            .slice("shop-v1", &slice, &[("shop-v1", 1)]);
        assert_eq!(
            cluster.found(&options()),
            format!("{WEB}  v1 shop-v1 {expected}\n"),
            "{annotation:?} {ports}"
        );
    }
}

#[test]
fn the_protocol_of_the_port_is_that_of_the_version() {
    for (protocol, http2) in [("kubernetes.io/h2c", " http2"), ("grpc", " http2"), ("http", "")] {
        let cluster = Cluster::new().deployment("shop-v1", 0, &shop("v1"), &none()).service(
            "shop-v1",
            &shop("v1"),
            &by_instance("v1"),
            &json!([{"port": 80, "appProtocol": protocol}]),
        );
        assert_eq!(cluster.found(&options()), format!("{WEB}  v1 shop-v1 []{http2}\n"), "{protocol}");
    }
}

#[test]
fn services_are_looked_up_by_instance_then_version_then_name() {
    let name = json!({"app.kubernetes.io/name": "shop"});
    let version = json!({"app.kubernetes.io/name": "shop", "plt.dev/version": "v1"});
    let services =
        [("d-plain", none()), ("c-name", name), ("b-version", version), ("a-instance", shop("v1"))];
    for count in 1..=services.len() {
        let mut cluster = Cluster::new().deployment("shop-v1", 0, &shop("v1"), &none());
        for (service, labels) in services.iter().take(count) {
            cluster = cluster.service(service, labels, &by_instance("v1"), &ports());
        }
        let (expected, _) = &services[count - 1];
        assert_eq!(cluster.found(&options()), format!("{WEB}  v1 {expected} []\n"));
    }
}

#[test]
fn hosts_and_path_are_those_of_the_newest_version() {
    let annotated = json!({"metadata": {"annotations": {
        "lockstep.dev/hosts": "a.example, b.example", "lockstep.dev/path": "/shop", "lockstep.dev/revision": "7",
    }}});
    let mut labels = shop("v2");
    merge(&mut labels, &json!({"plt.dev/hostname": "label.example"}));
    // Made later, but of a lower revision.
    let older = json!({"metadata": {"annotations": {"lockstep.dev/revision": "6", "lockstep.dev/hosts": "old.example"}}});
    let cluster = Cluster::new().deployment("shop-v2", 0, &labels, &annotated).deployment(
        "shop-v1",
        1,
        &shop("v1"),
        &older,
    );
    let expected = "web/shop [\"a.example\", \"b.example\"] Some(\"/shop\")\n  v1 - []\n  v2 - []\n";
    assert_eq!(cluster.found(&options()), expected);
    let cluster = Cluster::new().deployment("shop-v2", 0, &labels, &none());
    assert_eq!(cluster.found(&options()), "web/shop [\"label.example\"] None\n  v2 - []\n");
}

#[test]
fn who_has_a_say_in_the_end_is_known_by_a_word() {
    for (word, known, problems) in
        [("webhook", Some("webhook"), 0), ("http-traffic", Some("http-traffic"), 0), ("workflow", None, 1)]
    {
        let mut labels = shop("v1");
        merge(&mut labels, &json!({"plt.dev/expire-policy": word}));
        let cluster = Cluster::new().deployment("shop-v1", 0, &labels, &none());
        let found = discover("web", &cluster.0, &options(), &mut Minted::new());
        let app = found.apps.values().next().unwrap();
        assert_eq!((app.claim.expire_policy.as_deref(), found.problems.len()), (known, problems), "{word}");
    }
}

#[test]
fn what_is_wrong_is_said_and_the_rest_goes_on() {
    let app = |name: &str| json!({"app.kubernetes.io/name": name, "plt.dev/version": "v1"});
    let revision = json!({"metadata": {"annotations": {"lockstep.dev/revision": "first"}}});
    // No object can hold it.
    let immense = json!({"metadata": {"annotations": {"lockstep.dev/revision": "9223372036854775808"}}});
    let portless = json!({"spec": {"template": {"spec": {"containers": [{"name": "app"}]}}}});
    let cluster = Cluster::new()
        .deployment("fine", 0, &shop("v1"), &none())
        .deployment("empty", 1, &shop(""), &none())
        .deployment("twice", 2, &shop("v1"), &none())
        .deployment("shouting", 3, &app("SHOP"), &none())
        .deployment("unordered", 4, &shop("v2"), &revision)
        .deployment("portless", 5, &shop("v3"), &portless)
        .deployment("immense", 7, &shop("v4"), &immense)
        .deployment("other", 6, &json!({"app": "db"}), &none())
        .pods("unordered", &shop("v1"), &[9]);
    let problems = [
        "! shouting InvalidApp",
        "! empty InvalidVersion",
        "! immense InvalidSettings",
        "! twice DuplicateVersion",
        "! unordered VersionReplaced",
        "! unordered InvalidSettings",
        "! portless NoPort",
    ];
    let expected = format!("{WEB}  v1 - []\n  v2 - []\n  v3 - []\n  v4 - []\n{}\n", problems.join("\n"));
    assert_eq!(cluster.found(&options()), expected);
}

#[test]
fn a_deployment_that_is_going_makes_room_for_its_successor() {
    let going = json!({"metadata": {"deletionTimestamp": at(9)}});
    let cluster = Cluster::new()
        .deployment("old", 0, &shop("v1"), &going)
        .deployment("new", 5, &shop("v1"), &none())
        .pods("old", &shop("v1"), &[1])
        .pods("new", &shop("v1"), &[2]);
    assert_eq!(cluster.found(&options()), format!("{WEB}  v1 - [10.0.0.2:3000]\n"));
}

#[test]
fn an_unlabelled_predecessor_is_adopted_and_stays_so() {
    let name = json!({"app.kubernetes.io/name": "shop"});
    let unlabelled = Cluster::new()
        .deployment("shop", 0, &name, &none())
        .deployment("worker", 1, &json!({"app.kubernetes.io/name": "shop", "role": "worker"}), &none())
        .pods("shop", &name, &[1])
        .service("shop", &name, &json!({"app.kubernetes.io/name": "shop", "missing": "x"}), &ports());
    // Nothing is versioned yet.
    assert_eq!(unlabelled.found(&options()), "");
    let both = unlabelled
        .deployment("shop-v2", 5, &shop("v2"), &none())
        .pods("shop-v2", &shop("v2"), &[2])
        .service("shop", &name, &name, &ports())
        .slice("shop", &slice_ports(), &[("shop", 1), ("shop-v2", 2)]);
    let id = mint::mint("shop:1@sha256:shop").unwrap();
    let mut minted = Minted::new();
    let found = show(&discover("web", &both.0, &options(), &mut minted));
    let v2 = "  v2 - [10.0.0.2:3000]\n";
    assert_eq!(found, format!("{WEB}  {id} - [10.0.0.1:3000]\n{v2}"));
    // Scaled to zero, and its successor gone: it is the same version still.
    let mut both = both;
    both.0.pods.clear();
    both.0.deployments.remove("shop-v2");
    both.0.deployments.remove("worker");
    let found = show(&discover("web", &both.0, &options(), &mut minted));
    assert_eq!(found, format!("{WEB}  {id} shop []\n"));
    let options = Options { adopt: false, ..options() };
    assert_eq!(show(&discover("web", &both.0, &options, &mut minted)), "");
}

#[test]
fn ids_are_minted_from_digests() {
    let name = json!({"app.kubernetes.io/name": "shop"});
    let options = Options { mint_ids: true, adopt: false, ..options() };
    let cluster = Cluster::new().deployment("one", 0, &name, &none()).pods("one", &name, &[1]).deployment(
        "two",
        1,
        &name,
        &none(),
    );
    let id = mint::mint("shop:1@sha256:one").unwrap();
    assert_eq!(cluster.found(&options), format!("{WEB}  {id} - [10.0.0.1:3000]\n"));
    let pinned =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "shop@sha256:ab"}]}}}});
    let cluster = Cluster::new().deployment("one", 0, &name, &pinned);
    let id = mint::mint("shop@sha256:ab").unwrap();
    assert_eq!(cluster.found(&options), format!("{WEB}  {id} - []\n! one NoPort\n"));
}

#[test]
fn ten_thousand_versions_are_found_in_no_time() {
    let mut cluster = Cluster::new();
    for app in 0..1000 {
        for version in 0..10 {
            let name = format!("app-{app}-v{version}");
            let labels = json!({
                "app.kubernetes.io/name": format!("app-{app}"), "plt.dev/version": format!("v{version}"),
                "app.kubernetes.io/instance": name,
            });
            cluster = cluster.deployment(&name, version, &labels, &none()).service(
                &name,
                &labels,
                &json!({"app.kubernetes.io/instance": name}),
                &ports(),
            );
        }
    }
    let started = tokio::time::Instant::now();
    let found = discover("web", &cluster.0, &options(), &mut Minted::new());
    // A comparison of each with each would take minutes.
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(found.apps.values().map(|app| app.versions.len()).sum::<usize>(), 10_000);
    assert!(found.problems.is_empty());
}

#[test]
fn a_port_that_is_not_there_is_named_with_those_that_are() {
    let asks = json!({"metadata": {"annotations": {"lockstep.dev/port": "grpc"}}});
    let only = json!([{"name": "http", "port": 80}]);
    let with = |more: &Value, ports: &Value| {
        Cluster::new().deployment("shop-v1", 0, &shop("v1"), more).service(
            "shop-v1",
            &shop("v1"),
            &by_instance("v1"),
            ports,
        )
    };
    let alone = Cluster::new().deployment("shop-v1", 0, &shop("v1"), &asks);
    let cases = [
        (with(&asks, &only), "asks for \"grpc\", but Service shop-v1 has http (80)"),
        (with(&none(), &json!([])), "Service shop-v1 has no TCP port; name one"),
        (alone, "asks for \"grpc\", but no Service selects its pods, and its containers have 3000"),
    ];
    for (cluster, expected) in cases {
        let found = discover("web", &cluster.0, &options(), &mut Minted::new());
        let messages: Vec<_> = found.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(messages.len() == 1 && messages[0].contains(expected), "{messages:?}");
    }
}
