//! A replica that may touch no workload: it routes in the protocol that the Service names, keeps states, and
//! goes on without the API server.

use std::net::SocketAddr;
use std::process::Output;

use lockstep_tests::kube::{Cluster, SYSTEM, Server, following, rollout};
use lockstep_tests::load::Load;
use lockstep_tests::process::Signal;
use lockstep_tests::{HOST, Lockstep, Origin, Request, poll, servers, tools, until};
use parking_lot::Mutex;
use serde_json::json;

/// The host of the app that speaks gRPC.
const CALLED: &str = "calls.test";

/// A pod of a gRPC server.
struct Grpc(Mutex<servers::Server>);

impl Server for Grpc {
    fn drained(&self) -> bool {
        true
    }

    fn stop(&self) {
        self.0.lock().process.kill();
    }
}

/// Versions named `g…` speak gRPC, others HTTP/1.1.
pub fn server(addr: SocketAddr, version: &str) -> Box<dyn Server> {
    if version.starts_with('g') {
        let server = servers::Server::node("grpc-server.js", &[version, &addr.to_string()]);
        return Box::new(Grpc(Mutex::new(server)));
    }
    Box::new(Origin::with_streams_at(addr, version))
}

pub fn observe(cluster: &Cluster) {
    cluster.install("observe");
    let config = following().set("skew.mode", "observe");
    let instance = cluster.replica(&config);
    until("the replica is ready", || instance.readiness() == 200);
    protocols(cluster, &instance);

    let shop = cluster.vapp("web", "shop");
    shop.create(&json!({"hosts": [HOST], "grace": "1s", "idleWindow": "1s"}));
    let v1 = rollout("shop", "v1").replicas(2);
    cluster.deploy(&v1);
    instance.serves("v1");
    let before = cluster.admin().get(&v1.path()).expect("a Deployment")["metadata"]["generation"].clone();
    cluster.deploy(&rollout("shop", "v2"));
    instance.serves("v2");
    shop.expect("v1=expired v2=active");
    assert_eq!(instance.pinned("v1"), "v2");
    let after = cluster.admin().get(&v1.path()).expect("a Deployment")["metadata"]["generation"].clone();
    assert_eq!((cluster.endpoints(&v1).len(), after), (2, before), "nobody touched it");
    assert!(shop.status()["plan"].is_null());
    assert_eq!(instance.problems(), "[]");
    assert_eq!(instance.process.stderr.find("forbidden"), None, "nothing is tried that may not be");

    let addr = instance.addr();
    let mut load = Load::new(move || addr);
    let visitor = load.pinned("v2");
    load.keep(visitor);
    load.newcomers(1);
    cluster.control_plane.kill_api_server();
    until("it is missed", || instance.problems().contains("can't watch"));
    let requests = load.requests();
    until("visitors go on", || load.requests() > requests + 200);
    load.finish();
    let instance = restarted(cluster, instance, &config);
    until("the replica is ready by what was kept", || instance.readiness() == 200);
    for pin in ["v1", "v2", "v7"] {
        assert_eq!(instance.pinned(pin), "v2", "{pin}");
    }
    // It may be one that came meanwhile: other replicas know it.
    let unknown = instance.send(&Request::get("/").pinned("v7"));
    assert_eq!(
        (unknown.pins_to(), unknown.header("x-lockstep-skew")),
        (None, Some("unknown")),
        "{unknown:?}"
    );
    assert!(has(&call(&instance, "g1"), r#""text": "g1: hi""#), "the protocol is kept, too");
    assert_eq!(instance.api("status")["snapshot_stale"], true);
    cluster.control_plane.start_api_server();
    instance.sees_the_cluster_again();
    cluster.deploy(&rollout("shop", "v3"));
    instance.serves("v3");
    assert_eq!(instance.pinned("v2"), "v2");
}

/// Each version is spoken to as its Service says.
fn protocols(cluster: &Cluster, instance: &Lockstep) {
    let calls = cluster.vapp("web", "calls");
    calls.create(&json!({"hosts": [CALLED], "grace": "1h"}));
    for (version, protocol) in [("g1", Some("grpc")), ("g2", Some("kubernetes.io/h2c")), ("plain", None)] {
        let rollout = rollout("calls", version);
        cluster.deploy(&protocol.map_or(rollout.clone(), |protocol| rollout.app_protocol(protocol)));
        until(&format!("{version} is active"), || calls.status()["active"] == version);
    }
    let plain = || instance.send(&Request::get("/").host(CALLED)).origin() == "plain";
    until("the last one is routed", plain);
    for version in ["g1", "g2"] {
        let answer = call(instance, version);
        assert!(has(&answer, &format!(r#""text": "{version}: hi""#)), "{answer:?}");
        assert!(has(&answer, &format!("x-trailer: {version}")), "{answer:?}");
    }
}

fn call(instance: &Lockstep, version: &str) -> Output {
    let pin = format!("x-deployment-id: {version}");
    let mut command = tools::go_tool("grpcurl");
    command.args(["-v", "-plaintext", "-max-time", "20", "-authority", CALLED, "-H", &pin]);
    command.arg("-import-path").arg(tools::clients()).args([
        "-proto",
        "echo.proto",
        "-d",
        r#"{"text": "hi"}"#,
    ]);
    command.args([&instance.addr().to_string(), "test.Echo/Unary"]).output().expect("grpcurl runs")
}

fn has(output: &Output, part: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    squeeze(&String::from_utf8_lossy(&output.stdout)).contains(&squeeze(part))
}

/// The same replica in another process, with what the one before left.
fn restarted(cluster: &Cluster, mut instance: Lockstep, config: &lockstep_tests::Config) -> Lockstep {
    instance.signal(Signal::Term);
    assert!(instance.process.wait(poll::SOON).success());
    let Lockstep { dir, .. } = instance;
    // A token needs the API server: the one of before is in its file.
    let name = format!("{SYSTEM}-lockstep.kubeconfig");
    cluster.replica_as(config, &cluster.control_plane.dir().join(name), dir)
}
