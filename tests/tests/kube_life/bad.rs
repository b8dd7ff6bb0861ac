//! Bad input: what is wrong says so on the object and in the API, and everything else goes on.

use std::time::Duration;

use lockstep_tests::kube::{Cluster, Rollout, rollout, shipped};
use lockstep_tests::poll::within;
use lockstep_tests::{Request, until};
use serde_json::{Value, json};

use crate::town::{Tenant, Town};

/// What keeps an app from being served, each in an app of its own.
pub fn objects(town: &Town<'_>) {
    let cluster = town.cluster;
    let tenant = |name| town.app(name, &json!({"ready": {"deadline": "2s"}}));
    let alone = tenant("alone");
    cluster.deploy(&alone.version("v1").without_service());

    let portless = tenant("portless");
    cluster.deploy(&portless.version("v1").without_service());
    portless.serves("v1");
    let selector = json!({"app.kubernetes.io/instance": "portless-v1"});
    let spec = json!({"clusterIP": "None", "selector": selector});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "spec": spec,
        "metadata": {"name": "portless-v1", "labels": {"app.kubernetes.io/name": "portless"}},
    });
    cluster.admin().apply(&portless.version("v1").service_path(), &service).expect("a Service without ports");
    told(town, "NoPort", "portless-v1", "lockstep.dev/port");
    let annotated = portless.version("v1").without_service().annotation("lockstep.dev/port", "8080");
    cluster.deploy(&annotated);
    settled(town, "NoPort");

    let twin = tenant("twin");
    twin.release(&["v1"]);
    cluster.deploy(&twin.version("v1").named("twin-v1-again"));
    told(town, "DuplicateVersion", "twin-v1-again", "twin-v1");
    twin.serves("v1");

    let nameless = tenant("nameless");
    cluster.deploy(&nameless.version("").named("nameless-v1"));
    told(town, "InvalidVersion", "nameless-v1", "plt.dev/version");
    nameless.release(&["v2"]);

    cluster.deploy(&rollout("Shouting", "v1").named("shouting"));
    told(town, "InvalidApp", "shouting", "lower-case");
    alone.serves("v1");
    cluster.endpoints_of(&twin.version("v1"), 1);
}

/// Of two on one route the older keeps it; hosts of others can't be claimed.
pub fn routes(town: &Town<'_>) {
    let first = town.app("first", &json!({}));
    first.release(&["v1"]);
    let second = town.app("second", &json!({"hosts": ["first.test"]}));
    second.deploy(&["v1"]);
    second.vapp.expect_condition("Invalid", "web/first");
    told(town, "RouteConflict", "second", "first.test");
    first.release(&["v2"]);
    second.vapp.edit(&json!({"hosts": ["first.test", "second.test"]}));
    second.serves("v1");
    second.vapp.expect_condition("Invalid", "web/first");
    second.vapp.edit(&json!({"hosts": ["first.test"], "path": "/second"}));
    until("another path is another route", || {
        first.send(&Request::get("/second").host("first.test")).header("x-lockstep-version") == Some("v1")
    });
    until("nothing is invalid", || second.vapp.condition("Invalid").is_none());

    let thief = town.app("thief", &json!({"hosts": ["bank.example"]}));
    thief.deploy(&["v1"]);
    thief.vapp.expect_condition("Invalid", "may not claim bank.example");
    told(town, "HostNotAllowed", "thief", "kubernetes.hosts");
    assert_eq!(thief.send(&Request::get("/").host("bank.example")).status(), 404);
}

/// A version that never gets ready stalls, the one before serves on, and a newer one overtakes it.
pub fn never_ready(town: &Town<'_>) {
    let slow = town.app("slow", &json!({"ready": {"deadline": "2s"}, "grace": "1h"}));
    slow.release(&["v1"]);
    town.cluster.make_unready("slow-v2");
    town.cluster.deploy(&slow.version("v2"));
    slow.vapp.expect_condition("Stalled", "version v2 is not ready after 2 s");
    slow.vapp.expect("v1=active v2=pending");
    event(town.cluster, "slow-v2", "Stalled", "look at the pods");
    assert_eq!(slow.send(&slow.request()).origin(), "v1");
    slow.release(&["v3"]);
    slow.vapp.expect("v1=draining v2=staged v3=active");
    until("nothing is stalled", || slow.vapp.condition("Stalled").is_none());
}

/// What people write into `spec` takes effect at once, or is refused with its place.
pub fn edits(town: &Town<'_>) {
    let wish = town.app("wish", &json!({"grace": "1h"}));
    wish.release(&["v1", "v2"]);
    wish.vapp.edit(&json!({"hosts": ["wish.test", "other.test"]}));
    let other = Request::get("/").host("other.test");
    until("another host", || wish.send(&other).status() == 200);
    wish.vapp.edit(&json!({"hosts": ["wish.test"], "path": "/app"}));
    until("not any more", || wish.send(&other).status() == 404);
    until("another path", || wish.send(&Request::get("/app/x").host("wish.test")).status() == 200);
    assert_eq!(wish.send(&wish.request()).status(), 404);
    let pin = wish.send(&Request::get("/app").host("wish.test").page_load());
    assert!(pin.all("set-cookie")[0].contains("Path=/app"), "{pin:?}");

    let named = |name: &str| json!({"cookie": {"name": name}, "path": "/"});
    wish.vapp.edit(&named("a b"));
    wish.vapp.expect_condition("Invalid", "spec.cookie.name");
    told(town, "InvalidSettings", "wish", "spec.cookie.name");
    assert_eq!(wish.send(&Request::get("/app").host("wish.test")).status(), 200, "what was there stays");
    assert_eq!(wish.send(&wish.request()).status(), 404, "the whole edit waits");
    for (spec, place) in [
        (json!({"grace": "48h", "maxAlive": "1h"}), "spec.grace"),
        (json!({"expirePolicy": "webhook"}), "spec.expirePolicy"),
        (json!({"hosts": ["not a host"]}), "spec.hosts"),
    ] {
        wish.vapp.edit(&json!({"cookie": null}));
        wish.vapp.edit(&spec);
        wish.vapp.expect_condition("Invalid", place);
        let undo = json!({"grace": "1h", "maxAlive": null, "expirePolicy": null, "hosts": ["wish.test"]});
        wish.vapp.edit(&undo);
    }
    let refused = town.cluster.admin().patch(&wish.vapp.path(), &json!({"spec": {"grace": "-1s"}}));
    assert_eq!(refused.map_err(|refused| refused.status), Err(422), "the schema knows some of it");
    wish.vapp.edit(&named("pin"));
    until("all is well", || {
        wish.send(&wish.request().page_load()).all("set-cookie").concat().contains("pin=v2")
    });
    until("nothing is invalid", || wish.vapp.condition("Invalid").is_none());
    wish.vapp.edit(&json!({"grace": "1s", "idleWindow": "1s"}));
    wish.vapp.expect("v1=expired v2=active");
}

/// States belong to Lockstep: nonsense is put right, and what was lost comes from what is there.
pub fn a_status_by_hand(town: &Town<'_>) {
    let hand = town.app("hand", &json!({"grace": "1h"}));
    for version in ["v1", "v2"] {
        town.cluster.deploy(&hand.version(version).annotation("lockstep.dev/hosts", "hand.test"));
        hand.serves(version);
    }
    hand.vapp.expect("v1=draining v2=active");
    let status = format!("{}/status", hand.vapp.path());
    let mut versions = hand.vapp.status()["versions"].clone();
    versions[0]["state"] = json!("active");
    versions[0]["since"] = json!("2199-01-01T00:00:00Z");
    let edit = json!({"status": {"versions": versions, "active": "v7"}});
    town.cluster.admin().patch(&status, &edit).expect("the schema lets it pass");
    hand.vapp.expect_condition("Repaired", "v1");
    still_serves(&hand);

    let lived = hand.vapp.history().len();
    let nonsense = json!({"status": {"versions": null, "active": null, "history": null, "conditions": null}});
    town.cluster.admin().patch(&status, &nonsense).expect("an empty one");
    until("it is begun anew", || is_served(&hand) && (1..lived).contains(&hand.vapp.history().len()));
    still_serves(&hand);
    town.cluster.admin().delete(&hand.vapp.path()).expect("it may be deleted");
    still_serves(&hand);
    town.cluster.make_unready("hand-v3");
    town.cluster.deploy(&hand.version("v3").annotation("lockstep.dev/hosts", "hand.test"));
    let states = "v1=draining v2=active v3=pending";
    hand.vapp.expect(states);
    town.cluster.admin().delete(&hand.vapp.path()).expect("it may be deleted");
    until("one that is not ready takes nothing away", || is_served(&hand) && hand.vapp.states() == states);
}

/// Through all of it, until states are as they were.
fn still_serves(hand: &Tenant<'_>) {
    until("states are as they were", || is_served(hand) && hand.vapp.states() == "v1=draining v2=active");
}

fn is_served(hand: &Tenant<'_>) -> bool {
    assert_eq!((hand.pinned("v1"), hand.pinned("v2")), ("v1".into(), "v2".into()));
    assert_eq!(hand.send(&hand.request()).origin(), "v2");
    true
}

/// What a role lacks is named with verb and resource, and goes on once it is there.
pub fn permissions(town: &Town<'_>) {
    let cluster = town.cluster;
    let poor = town.app("poor", &json!({}));
    cluster.kubectl(&["delete", "clusterrolebinding", "lockstep-manage"]);
    poor.release(&["v1", "v2"]);
    poor.vapp.expect_condition("ActionFailed", r#"resource "deployments/scale""#);
    named(town, r#"resource "deployments/scale""#);
    event(cluster, "poor-v1", "ActionFailed", "deployments/scale");
    assert_eq!((poor.send(&poor.request()).origin(), cluster.replicas(&poor.version("v1"))), ("v2", Some(1)));
    restore(cluster);
    poor.vapp.expect("v1=expired v2=active");

    let rules = cluster.admin().get("/apis/rbac.authorization.k8s.io/v1/clusterroles/lockstep");
    let rules = rules.expect("a role")["rules"].as_array().expect("rules").clone();
    for (resource, verb) in [("versionedapps/status", "update"), ("events", "create")] {
        let mut fewer = rules.clone();
        for rule in &mut fewer {
            let resources = rule["resources"].as_array_mut().expect("resources");
            resources.retain(|kept| kept != resource);
        }
        fewer.retain(|rule| rule["resources"].as_array().is_some_and(|left| !left.is_empty()));
        let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/lockstep";
        cluster.admin().patch(role, &json!({"rules": fewer})).expect("a smaller role");
        let version = format!("v-{verb}");
        poor.deploy(&[&version]);
        named(town, resource);
        named(town, verb);
        assert_eq!(poor.send(&poor.request()).status(), 200);
        restore(cluster);
        poor.serves(&version);
        until("all is well", || town.instance.api("status")["degraded"] == false);
    }
    cluster.kubectl(&["-n", "lockstep-system", "delete", "rolebinding", "lockstep-leases"]);
    named(town, r#"resource "leases""#);
    assert_eq!(poor.send(&poor.request()).status(), 200);
    restore(cluster);
    until("all is well", || town.instance.api("status")["degraded"] == false);
}

fn restore(cluster: &Cluster) {
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &shipped("manage")]);
}

/// Without the definition of `VersionedApp` labels route; it may come later.
pub fn the_definition_is_missing(cluster: &Cluster) {
    cluster.install("manage");
    cluster.kubectl(&["delete", "-f", &shipped("base/crd.yaml")]);
    let instance = cluster.replica(&lockstep_tests::kube::following());
    let shop = |version: &str| -> Rollout {
        rollout("shop", version).annotation("lockstep.dev/hosts", lockstep_tests::HOST)
    };
    cluster.deploy_ready(&shop("v1"));
    instance.serves("v1");
    cluster.deploy_ready(&shop("v2"));
    instance.serves("v2");
    until("the file is named", || instance.problems().contains("conf/k8s/base/crd.yaml"));
    let listed = instance.versions(&["list"]);
    assert!(listed.contains("web/shop") && listed.contains("draining"), "{listed}");
    let addr = instance.addr();
    let mut load = lockstep_tests::load::Load::new(move || addr);
    let visitors = ["v1", "v2"].map(|version| load.pinned(version));
    load.newcomers(1);
    cluster.apply_crd();
    cluster.vapp("web", "shop").expect("v1=draining v2=active");
    until("all is well", || instance.api("status")["degraded"] == false);
    cluster.kubectl(&["delete", "crd", "versionedapps.lockstep.dev"]);
    until("the file is named again", || instance.problems().contains("conf/k8s/base/crd.yaml"));
    cluster.deploy_ready(&shop("v3"));
    // States that were known stay for half a minute: an API server that just started knows no definitions yet.
    let newcomer = || instance.send(&Request::get("/")).origin() == "v3";
    within(Duration::from_secs(60), || newcomer().then_some(())).expect("labels route again");
    visitors.into_iter().for_each(|visitor| load.keep(visitor));
    load.finish();
}

/// Told by an Event on the object, in the API and by a metric.
fn told(town: &Town<'_>, reason: &str, object: &str, part: &str) {
    event(town.cluster, object, reason, part);
    let line = |problem: &Value| {
        let message = problem["message"].as_str().unwrap_or_default();
        message.starts_with(reason) && message.contains(object) && message.contains(part)
    };
    until(&format!("{reason} of {object} in the API"), || {
        town.instance.api("problems")["problems"].as_array().is_some_and(|all| all.iter().any(line))
    });
    let counted = town.instance.metrics().sum("lockstep_cluster_problems", &[("reason", reason)]);
    assert!(counted >= 1.0, "{reason}: {counted}");
}

fn settled(town: &Town<'_>, reason: &str) {
    until(&format!("{reason} is mended"), || !town.instance.problems().contains(reason));
}

fn event(cluster: &Cluster, object: &str, reason: &str, part: &str) {
    until(&format!("an Event {reason} on {object} with {part}"), || {
        let events = cluster.events("web", object);
        events.iter().any(|(kind, told, note)| kind == "Warning" && told == reason && note.contains(part))
    });
}

fn named(town: &Town<'_>, part: &str) {
    until(&format!("problems name {part}"), || {
        town.instance.api("problems").to_string().replace("\\\"", "\"").contains(part)
    });
}
