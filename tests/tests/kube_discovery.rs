//! Apps of a real cluster in the routing table of the real binary.

use lockstep_tests::kube::{Cluster, Rollout, SYSTEM, following, lab, rollout};
use lockstep_tests::{HOST, Lockstep, Request, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A replica that reaches the API as an administrator.
fn start(cluster: &Cluster, dir: TempDir) -> Lockstep {
    cluster.replica_as(&following(), &cluster.kubeconfig(), dir)
}

fn shop(version: &str) -> Rollout {
    rollout("shop", version).annotation("lockstep.dev/hosts", HOST)
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn versions_are_found_routed_and_pinned() {
    lab("versions_are_found_routed_and_pinned", |cluster| {
        cluster.apply_crd();
        cluster.deploy_ready(&shop("v1"));
        let instance = start(cluster, directory());
        until("the replica is ready", || instance.readiness() == 200);
        instance.serves("v1");
        cluster.deploy_ready(&shop("v2").replicas(2));
        instance.serves("v2");
        for _ in 0..20 {
            assert_eq!(instance.pinned("v1"), "v1");
            assert_eq!(instance.pinned("v2"), "v2");
        }
        // Its spec wins over the labels, and takes effect at once.
        let app = cluster.vapp("web", "shop");
        app.edit(&json!({"hosts": ["other.test"]}));
        let other = Request::get("/").host("other.test");
        until("the new host is served", || instance.send(&other).status() == 200);
        assert_eq!(instance.send(&Request::get("/")).status(), 404, "the old one is not");
        let bad = json!({"spec": {"cookie": {"name": "a b"}}});
        // The schema or our own rules refuse it: either way, what was there stays.
        let refused = cluster.admin().patch(&app.path(), &bad).is_err();
        until("it is said", || refused || instance.problems().contains("spec.cookie.name"));
        assert_eq!(instance.send(&other).origin(), "v2");
    });
}

#[test]
fn without_the_crd_labels_route_and_the_file_is_named() {
    lab("without_the_crd_labels_route_and_the_file_is_named", |cluster| {
        cluster.namespace(SYSTEM);
        cluster.deploy_ready(&shop("v1"));
        cluster.deploy_ready(&shop("v2"));
        let instance = start(cluster, directory());
        until("the replica is ready", || instance.readiness() == 200);
        instance.serves("v2");
        assert_eq!(instance.pinned("v1"), "v1");
        until("the file is named", || instance.problems().contains("conf/k8s/base/crd.yaml"));
        assert_eq!(instance.active("shop").as_deref(), Some("v2"));
        cluster.apply_crd();
        until("all is well", || !instance.problems().contains("crd.yaml"));
        assert_eq!((instance.pinned("v1"), instance.pinned("v2")), ("v1".into(), "v2".into()));
    });
}

#[test]
fn what_is_wrong_with_objects_is_listed_and_all_else_goes_on() {
    lab("what_is_wrong_with_objects_is_listed_and_all_else_goes_on", |cluster| {
        cluster.apply_crd();
        cluster.deploy_ready(&shop("v1"));
        cluster.deploy(&shop("v1").named("shop-again"));
        cluster.deploy(&rollout("thief", "v1").annotation("lockstep.dev/hosts", HOST));
        cluster.deploy(&rollout("Shouting", "v1"));
        let instance = start(cluster, directory());
        for expected in ["DuplicateVersion", "RouteConflict", "InvalidApp"] {
            until(expected, || instance.problems().contains(expected));
        }
        instance.serves("v1");
        let status: Value = instance.api("status");
        assert_eq!(status["degraded"], false, "what others get wrong is no fault of ours: {status}");
        let counted = instance.metrics().sum("lockstep_cluster_problems", &[("reason", "DuplicateVersion")]);
        assert!(counted >= 1.0);
    });
}

#[test]
fn routing_goes_on_without_the_api_and_through_a_restart() {
    lab("routing_goes_on_without_the_api_and_through_a_restart", |cluster| {
        cluster.apply_crd();
        cluster.deploy_ready(&shop("v1"));
        let instance = start(cluster, directory());
        instance.serves("v1");
        // At first without a state, which the leader has yet to write.
        let kept = instance.data_dir().join("cluster.json");
        let is_kept = || std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("\"active\":\"v1\""));
        until("it is kept", is_kept);
        cluster.control_plane.kill_api_server();
        assert_eq!(instance.pinned("v1"), "v1");
        let Lockstep { process, dir, .. } = instance;
        drop(process);
        let instance = start(cluster, dir);
        until("the replica is ready by what was kept", || instance.readiness() == 200);
        instance.serves("v1");
        assert_eq!(instance.api("status")["snapshot_stale"], true);
        until("it says so", || instance.problems().contains("can't watch"));
        cluster.control_plane.start_api_server();
        instance.sees_the_cluster_again();
        cluster.deploy_ready(&shop("v2"));
        instance.serves("v2");
        assert_eq!(instance.pinned("v1"), "v1");
    });
}

#[test]
fn a_missing_permission_is_named() {
    lab("a_missing_permission_is_named", |cluster| {
        cluster.kubectl(&["-n", "web", "create", "serviceaccount", "nobody"]);
        let nobody = cluster.kubeconfig_of("web", "nobody");
        let instance = cluster.replica_as(&following(), &nobody, directory());
        until("it is named", || instance.problems().contains("list and watch deployments.apps"));
        assert_eq!(instance.readiness(), 503);
    });
}
