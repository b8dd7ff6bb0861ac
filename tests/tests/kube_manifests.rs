//! The manifests that ship, against a real control plane: they build, the API server takes them, and their roles
//! allow what Lockstep does and nothing more.

use std::process::Command;

use lockstep_tests::kube::{Api, Cluster, Refused, SYSTEM, lab, rollout, shipped};
use lockstep_tests::{eventually, until};
use serde_json::{Value, json};

const APPS: &str = "/apis/lockstep.dev/v1/namespaces/web/versionedapps";
/// Lists that Lockstep watches.
const READS: [&str; 5] = [
    "/apis/apps/v1/deployments",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/lockstep.dev/v1/versionedapps",
    "/api/v1/services",
    "/api/v1/pods",
];

/// What it has no business with.
const FORBIDDEN: [&str; 6] = [
    "/api/v1/namespaces/web/pods/shop-v1",
    "/api/v1/secrets",
    "/api/v1/configmaps",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets",
    "/apis/coordination.k8s.io/v1/namespaces/web/leases",
];

/// An overlay as the guide shows it: with monitoring, another configuration and the key of a provider.
const OVERLAY: &str = "
resources: [../manage]
components: [../monitoring]
configMapGenerator:
  - {name: lockstep, namespace: lockstep-system, behavior: replace, files: [lockstep.yaml]}
patches:
  - patch: |
      apiVersion: apps/v1
      kind: StatefulSet
      metadata: {name: lockstep, namespace: lockstep-system}
      spec:
        template:
          spec:
            containers:
              - name: lockstep
                env:
                  - name: OPENAI_API_KEY
                    valueFrom: {secretKeyRef: {name: provider-keys, key: openai}}
";

#[test]
fn overlays_and_example_are_accepted() {
    lab("overlays_and_example_are_accepted", |cluster| {
        for (overlay, mode) in [("observe", "observe"), ("manage", "manage")] {
            install(cluster, overlay);
            let config = cluster.admin().get("/api/v1/namespaces/lockstep-system/configmaps/lockstep");
            let file = config.expect("a configuration")["data"]["lockstep.yaml"].to_string();
            assert!(file.contains(&format!("mode: {mode}")), "{file}");
        }
        // The names that the parts know each other by.
        let set = cluster.admin().get("/apis/apps/v1/namespaces/lockstep-system/statefulsets/lockstep");
        let set = set.expect("a StatefulSet");
        assert_eq!(set["spec"]["template"]["spec"]["serviceAccountName"], "lockstep");
        assert_eq!(set["spec"]["serviceName"], "lockstep-replicas");
        let labels = &set["spec"]["template"]["metadata"]["labels"];
        for path in ["services/lockstep", "services/lockstep-replicas"] {
            let service = cluster.admin().get(&format!("/api/v1/namespaces/{SYSTEM}/{path}"));
            assert_eq!(&service.expect("a Service")["spec"]["selector"], labels);
        }

        cluster.kubectl(&["apply", "--server-side", "-k", &shipped("example")]);
        cluster.kubectl(&["apply", "--server-side", "-f", &shipped("example/v2.yaml")]);
        for name in ["shop-v1", "shop-v2"] {
            let shop = rollout("shop", "v1").namespace("shop").named(name).replicas(2);
            assert_eq!(cluster.endpoints_of(&shop, 2).len(), 2);
        }
        let listed = cluster.kubectl(&["-n", "shop", "get", "vapp"]);
        assert!(listed.contains("shop") && listed.contains("ACTIVE"), "{listed}");
    });
}

#[test]
fn pods_of_the_set_pass_the_restricted_standard() {
    lab("pods_of_the_set_pass_the_restricted_standard", |cluster| {
        install(cluster, "manage");
        let set = cluster.admin().get("/apis/apps/v1/namespaces/lockstep-system/statefulsets/lockstep");
        let mut spec = set.expect("a StatefulSet")["spec"]["template"]["spec"].take();
        // The set's controller does so for each pod.
        let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-lockstep-0"}});
        spec["volumes"].as_array_mut().expect("volumes").push(claim);
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec});
        let path = format!("/api/v1/namespaces/{SYSTEM}/pods?dryRun=All");
        cluster.admin().create(&path, &pod).expect("a pod as in the set");
        pod["spec"]["containers"][0]["securityContext"] = json!({});
        let refused = cluster.admin().create(&path, &pod).expect_err("one without its security context");
        assert!(refused.status == 403 && refused.message.contains("restricted"), "{refused}");
    });
}

#[test]
fn observe_may_not_touch_workloads_and_manage_may() {
    lab("observe_may_not_touch_workloads_and_manage_may", |cluster| {
        let shop = rollout("shop", "v1");
        cluster.deploy(&shop);
        install(cluster, "observe");
        let lockstep = cluster.admin().with_token(&cluster.token(SYSTEM, "lockstep"));
        until("its role reaches the API server", || lockstep.list(READS[0]).len() == 1);
        does_what_routing_needs(&lockstep);
        let scale = || {
            let path = format!("{}/scale", shop.path());
            let mut scale = cluster.admin().get(&path)?;
            scale["spec"]["replicas"] = json!(0);
            lockstep.replace(&path, &scale)
        };
        let delete = |path: &str| lockstep.delete(&format!("{path}?dryRun=All"));
        is_forbidden("scaling", scale());
        is_forbidden("deleting", delete(&shop.path()));
        does_no_more_than_that(&lockstep);

        install(cluster, "manage");
        until("its role reaches the API server", || scale().is_ok());
        does_what_routing_needs(&lockstep);
        lockstep.get(&format!("{}/scale", shop.path())).expect("what is scaled is read before");
        delete(&shop.path()).expect("Deployments may be deleted");
        lockstep.get(&shop.service_path()).expect("a Service is read before it is deleted");
        delete(&shop.service_path()).expect("Services may be deleted");

        does_no_more_than_that(&lockstep);
        let labels = json!({"metadata": {"labels": {"a": "b"}}});
        is_forbidden("all but scaling", lockstep.patch(&shop.path(), &labels));
    });
}

#[test]
fn monitoring_builds_on_an_overlay() {
    lab("monitoring_builds_on_an_overlay", |cluster| {
        let dir = tempfile::tempdir().expect("a directory");
        let copy = Command::new("cp").arg("-r").arg(shipped("")).arg(dir.path()).status();
        assert!(copy.expect("cp runs").success());
        let mine = dir.path().join("k8s/mine");
        std::fs::create_dir(&mine).expect("a directory beside the overlays");
        std::fs::write(mine.join("kustomization.yaml"), OVERLAY).expect("a file");
        std::fs::write(mine.join("lockstep.yaml"), "# of my own\n").expect("a file");
        let built = cluster.kubectl(&["kustomize", mine.to_str().expect("a path in UTF-8")]);
        let kinds = ["kind: ServiceMonitor", "kind: PrometheusRule", "kind: StatefulSet"];
        for part in kinds.into_iter().chain(["# of my own", "name: OPENAI_API_KEY", "name: POD_NAME"]) {
            assert!(built.contains(part), "{part}");
        }
        assert!(!built.contains("mode: manage"), "the shipped configuration is replaced");
    });
}

fn does_what_routing_needs(lockstep: &Api) {
    for path in READS {
        eventually(path, || match lockstep.get(path) {
            Ok(list) => Some(list),
            // A definition that is new is not served yet.
            Err(refused) if refused.status == 429 => None,
            Err(refused) => panic!("{path}: {refused}"),
        });
    }
    let app = json!({"apiVersion": "lockstep.dev/v1", "kind": "VersionedApp", "metadata": {"name": "shop"}, "spec": {}});
    // The second time it is there already.
    let made = lockstep.create(APPS, &app);
    assert!(made.as_ref().map_or_else(|refused| refused.status == 409, Value::is_object), "{made:?}");
    let mut app = lockstep.get(&format!("{APPS}/shop")).expect("an app is read");
    app["status"] = json!({});
    lockstep.replace(&format!("{APPS}/shop/status"), &app).expect("a status is written");

    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lockstep-leader"}});
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases");
    let mut lease = lockstep.create(&leases, &lease).expect("a Lease is made");
    lease["spec"]["holderIdentity"] = json!("lockstep-0");
    lockstep.replace(&format!("{leases}/lockstep-leader"), &lease).expect("a Lease is renewed");
    lockstep.apply(&format!("{leases}/lockstep-lockstep-0"), &report()).expect("a replica reports");
    for lease in ["lockstep-leader", "lockstep-lockstep-0"] {
        lockstep.delete(&format!("{leases}/{lease}")).expect("a Lease is deleted");
    }
    let gone = lockstep.get(&format!("/api/v1/namespaces/{SYSTEM}/pods/lockstep-7"));
    assert_eq!(gone.map_err(|refused| refused.status), Err(404), "pods of replicas are asked for");

    let event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "shop-"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "type": "Normal",
        "reason": "Activated",
        "action": "Versioning",
        "reportingController": "lockstep.dev/controller",
        "reportingInstance": "lockstep-0",
        "regarding": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "web", "name": "shop-v1"},
    });
    lockstep.create("/apis/events.k8s.io/v1/namespaces/web/events", &event).expect("an Event");
}

/// What belongs to people, whatever the overlay.
fn does_no_more_than_that(lockstep: &Api) {
    for path in FORBIDDEN {
        is_forbidden(path, lockstep.get(path));
    }
    let grace = json!({"spec": {"grace": "1s"}});
    is_forbidden("a spec", lockstep.patch(&format!("{APPS}/shop"), &grace));
    let status = json!({"status": {}});
    is_forbidden("a patch of a status", lockstep.patch(&format!("{APPS}/shop/status"), &status));
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "shop-"},
        "reason": "Activated",
        "involvedObject": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "web", "name": "shop-v1"},
    });
    is_forbidden("an Event of the old kind", lockstep.create("/api/v1/namespaces/web/events", &event));
}

#[track_caller]
fn is_forbidden(what: &str, answer: Result<Value, Refused>) {
    assert_eq!(answer.map_err(|refused| refused.status), Err(403), "{what}");
}

fn report() -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "lockstep-lockstep-0"},
        "spec": {"holderIdentity": "lockstep-0"},
    })
}

fn install(cluster: &Cluster, overlay: &str) {
    cluster.apply_crd();
    cluster.apply_overlay(overlay);
}
