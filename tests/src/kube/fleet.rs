//! Several replicas of the real binary, as the shipped StatefulSet would run them: each with a pod object and a
//! data directory of its own, the token of the shipped service account, and its own way to the API server.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ApiProxy, Cluster, SYSTEM};
use crate::poll::{eventually, until};
use crate::process::Signal;
use crate::{Config, Lockstep};

/// The account of the shipped manifests.
const ACCOUNT: &str = "lockstep";

/// Replicas in a cluster.
pub struct Fleet<'c> {
    cluster: &'c Cluster,
    config: Config,
    /// The replicas.
    pub replicas: Vec<Replica>,
}

/// A replica, which may run or not.
pub struct Replica {
    /// The name of its pod.
    pub name: String,
    /// Its way to the API server.
    pub api: ApiProxy,
    kubeconfig: PathBuf,
    pod_uid: String,
    running: Option<Lockstep>,
    dir: Option<TempDir>,
}

impl<'c> Fleet<'c> {
    /// Applies the shipped manifests, starts replicas with a `skew` section and waits until they serve.
    pub fn start(cluster: &'c Cluster, count: usize, skew: &Value) -> Self {
        cluster.install("manage");
        let account = format!("/api/v1/namespaces/{SYSTEM}/serviceaccounts/default");
        until("pods can be made", || cluster.admin().get(&account).is_ok());
        let kubernetes = json!({
            "enabled": true,
            "heartbeat": "1s",
            "lease": {"duration": "4s", "renew": "1s"},
        });
        let config = Config::new().set("kubernetes", kubernetes).set("skew", skew.clone());
        let replicas = (0..count).map(|index| Replica::new(cluster, &format!("lockstep-{index}"))).collect();
        let mut fleet = Self { cluster, config, replicas };
        (0..count).for_each(|index| fleet.run(index));
        fleet
    }

    /// A running replica.
    ///
    /// # Panics
    /// If it does not run.
    pub fn replica(&self, index: usize) -> &Lockstep {
        self.replicas[index].running.as_ref().expect("it runs")
    }

    /// Starts a replica, with the data that it left behind, and waits until it serves.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn run(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        let dir = replica.dir.take().expect("it does not run yet");
        let data = dir.path().join("data");
        let config = self.config.clone().set("server.data_dir", data.to_str().expect("a path in UTF-8"));
        std::fs::write(dir.path().join("lockstep.yaml"), config.text()).expect("the file is written");
        let environment = [
            ("KUBECONFIG", replica.kubeconfig.as_os_str()),
            ("POD_NAMESPACE", OsStr::new(SYSTEM)),
            ("POD_NAME", OsStr::new(&replica.name)),
            ("POD_UID", OsStr::new(&replica.pod_uid)),
        ];
        let instance = Lockstep::launch(dir, &config, &environment);
        until("the replica is ready", || instance.readiness() == 200);
        replica.running = Some(instance);
    }

    /// Kills a replica (SIGKILL). Its pod stays, as when a container is about to be restarted.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        let Lockstep { mut process, dir, .. } = replica.running.take().expect("it runs");
        process.kill();
        replica.dir = Some(dir);
    }

    /// Deletes the pod of a replica at once.
    ///
    /// # Panics
    /// If that is refused.
    pub fn delete_pod(&self, index: usize) {
        let path = format!("{}?gracePeriodSeconds=0", pod_path(&self.replicas[index].name));
        self.cluster.admin().delete(&path).expect("the pod is deleted");
    }

    /// A new pod of the same name, as a StatefulSet makes it.
    pub fn renew_pod(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        replica.pod_uid = make_pod(self.cluster, &replica.name);
    }

    /// Stops a replica where it is (SIGSTOP).
    pub fn pause(&self, index: usize) {
        self.replica(index).signal(Signal::Stop);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self, index: usize) {
        self.replica(index).signal(Signal::Continue);
    }

    /// Waits until new visitors of every replica that runs get a version.
    pub fn serves(&self, version: &str) {
        let running = self.replicas.iter().filter_map(|replica| replica.running.as_ref());
        running.for_each(|replica| replica.serves(version));
    }

    /// Who leads, by the Lease.
    pub fn leader(&self) -> usize {
        eventually("somebody leads", || self.holder())
    }

    /// Waits until another one leads.
    pub fn leader_after(&self, before: usize) -> usize {
        eventually("another one leads", || self.holder().filter(|holder| *holder != before))
    }

    /// The addresses of some replicas in turn, one for each call.
    pub fn doors(&self, indices: &[usize]) -> impl Fn() -> SocketAddr + Send + Sync + 'static {
        let doors: Vec<_> = indices.iter().map(|index| self.replica(*index).addr()).collect();
        let next = AtomicUsize::new(0);
        move || doors[next.fetch_add(1, Ordering::Relaxed) % doors.len()]
    }

    fn holder(&self) -> Option<usize> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/lockstep-leader");
        let lease = self.cluster.admin().get(&path).ok()?;
        let (name, _process) = lease["spec"]["holderIdentity"].as_str()?.rsplit_once('_')?;
        self.replicas.iter().position(|replica| replica.name == name)
    }
}

impl Replica {
    fn new(cluster: &Cluster, name: &str) -> Self {
        let api = cluster.proxy();
        let kubeconfig = cluster.kubeconfig_through(&api, SYSTEM, ACCOUNT);
        Self {
            name: name.to_owned(),
            pod_uid: make_pod(cluster, name),
            api,
            kubeconfig,
            running: None,
            dir: Some(tempfile::tempdir().expect("a directory")),
        }
    }
}

/// Makes a pod that the standard of the namespace allows; returns its uid.
fn make_pod(cluster: &Cluster, name: &str) -> String {
    let container = json!({
        "name": "lockstep",
        "image": "lockstep:test",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let security = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "securityContext": security},
    });
    let path = format!("/api/v1/namespaces/{SYSTEM}/pods");
    let made = cluster.admin().create(&path, &pod).expect("a pod");
    made["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

fn pod_path(name: &str) -> String {
    format!("/api/v1/namespaces/{SYSTEM}/pods/{name}")
}
