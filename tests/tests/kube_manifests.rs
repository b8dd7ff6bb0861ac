//! The manifests that ship, against a real control plane: they build, the API server takes them, and their roles
//! allow what Lockstep does and nothing more.

use std::path::{Path, PathBuf};

use lockstep_tests::kube::{Api, Cluster, lab, rollout};
use lockstep_tests::{eventually, until};
use serde_json::{Value, json};

const NAMESPACE: &str = "lockstep-system";
/// Lists that Lockstep watches.
const READS: [&str; 6] = [
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/lockstep.dev/v1/versionedapps",
    "/api/v1/services",
    "/api/v1/pods",
];

/// What it has no business with.
const FORBIDDEN: [&str; 4] = [
    "/api/v1/secrets",
    "/api/v1/configmaps",
    "/apis/apps/v1/statefulsets",
    "/apis/coordination.k8s.io/v1/namespaces/web/leases",
];

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
            let service = cluster.admin().get(&format!("/api/v1/namespaces/{NAMESPACE}/{path}"));
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
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All");
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
        let lockstep = cluster.admin().with_token(&cluster.token(NAMESPACE, "lockstep"));
        until("its role reaches the API server", || lockstep.list(READS[0]).len() == 1);
        does_what_routing_needs(&lockstep);
        let scale = || lockstep.patch(&format!("{}/scale", shop.path()), &json!({"spec": {"replicas": 0}}));
        let delete = |path: &str| lockstep.delete(&format!("{path}?dryRun=All"));
        assert_eq!(scale().map_err(|refused| refused.status), Err(403));
        assert_eq!(delete(&shop.path()).map_err(|refused| refused.status), Err(403));

        install(cluster, "manage");
        until("its role reaches the API server", || scale().is_ok());
        does_what_routing_needs(&lockstep);
        delete(&shop.path()).expect("Deployments may be deleted");
        delete(&shop.service_path()).expect("Services may be deleted");

        for path in FORBIDDEN {
            assert_eq!(lockstep.get(path).map_err(|refused| refused.status), Err(403), "{path}");
        }
        let patched = lockstep.patch(&shop.path(), &json!({"metadata": {"labels": {"a": "b"}}}));
        assert_eq!(patched.map_err(|refused| refused.status), Err(403), "scale and no more");
    });
}

#[test]
fn monitoring_builds_on_an_overlay() {
    lab("monitoring_builds_on_an_overlay", |cluster| {
        let shipped = shipped("");
        let dir = tempfile::tempdir_in(&shipped).expect("a directory beside the overlays");
        let file = "resources: [../manage]\ncomponents: [../monitoring]\n";
        std::fs::write(dir.path().join("kustomization.yaml"), file).expect("a file");
        let built = cluster.kubectl(&["kustomize", dir.path().to_str().expect("a path in UTF-8")]);
        for kind in ["kind: ServiceMonitor", "kind: PrometheusRule", "kind: StatefulSet"] {
            assert!(built.contains(kind), "{kind}");
        }
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
    let apps = "/apis/lockstep.dev/v1/namespaces/web/versionedapps";
    // The second time it is there already.
    let made = lockstep.create(apps, &app);
    assert!(made.as_ref().map_or_else(|refused| refused.status == 409, Value::is_object), "{made:?}");
    let status = lockstep.patch(&format!("{apps}/shop/status"), &json!({"status": {}}));
    status.expect("a status is written");

    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lockstep-leader"}});
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    lockstep.create(&leases, &lease).expect("a Lease is made");
    let held = json!({"spec": {"holderIdentity": "lockstep-0"}});
    lockstep.patch(&format!("{leases}/lockstep-leader"), &held).expect("a Lease is renewed");
    lockstep.delete(&format!("{leases}/lockstep-leader")).expect("a Lease is given up");

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

fn install(cluster: &Cluster, overlay: &str) {
    let path = shipped(overlay);
    cluster.kubectl(&["apply", "--server-side", "-k", &path]);
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/versionedapps.lockstep.dev",
        "--timeout=20s",
    ]);
}

fn shipped(name: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/k8s");
    root.join(name).to_str().expect("a path in UTF-8").to_owned()
}
