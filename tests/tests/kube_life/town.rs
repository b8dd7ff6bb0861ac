//! A cluster with one replica that manages it, and apps on hosts of their own.

use lockstep_tests::http1::Message;
use lockstep_tests::kube::{Cluster, Rollout, Vapp, following, rollout};
use lockstep_tests::{Lockstep, Request, until};
use serde_json::{Value, json};

/// A cluster and its replica.
pub struct Town<'c> {
    pub cluster: &'c Cluster,
    pub instance: Lockstep,
}

/// An app of the namespace `web`, on the host that is named as it.
pub struct Tenant<'t> {
    pub town: &'t Town<'t>,
    pub name: &'static str,
    pub vapp: Vapp<'t>,
}

impl<'c> Town<'c> {
    /// Installs what ships and starts a replica.
    pub fn found(cluster: &'c Cluster) -> Self {
        cluster.install("manage");
        let instance = cluster.replica(&following().set("kubernetes.hosts", json!({"web": ["*.test"]})));
        until("the replica is ready", || instance.readiness() == 200);
        Self { cluster, instance }
    }

    /// An app whose versions end within seconds; `spec` says more.
    pub fn app(&self, name: &'static str, spec: &Value) -> Tenant<'_> {
        let vapp = self.cluster.vapp("web", name);
        vapp.create(&json!({"hosts": [host(name)], "grace": "1s", "idleWindow": "1s"}));
        vapp.edit(spec);
        Tenant { town: self, name, vapp }
    }

    /// Nothing is wrong with the replica itself.
    pub fn is_well(&self) {
        assert_eq!(self.instance.api("status")["degraded"], false, "{}", self.instance.problems());
        assert_eq!(self.instance.metrics().sum("lockstep_task_panics_total", &[]), 0.0);
    }
}

impl Tenant<'_> {
    /// A version of it, with one pod.
    pub fn version(&self, version: &str) -> Rollout {
        rollout(self.name, version)
    }

    /// Deploys versions, each once the one before is ready.
    pub fn deploy(&self, versions: &[&str]) {
        for version in versions {
            self.town.cluster.deploy_ready(&self.version(version));
        }
    }

    /// Deploys versions, each once new visitors get the one before.
    pub fn release(&self, versions: &[&str]) {
        for version in versions {
            self.town.cluster.deploy(&self.version(version));
            self.serves(version);
        }
    }

    /// Its identity, as the API and the CLI take it.
    pub fn id(&self) -> String {
        format!("web/{}", self.name)
    }

    /// A request to it.
    pub fn request(&self) -> Request {
        Request::get("/").host(&host(self.name))
    }

    /// What a request gets.
    pub fn send(&self, request: &Request) -> Message {
        self.town.instance.send(request)
    }

    /// Waits until new visitors get `version`.
    pub fn serves(&self, version: &str) {
        until(&format!("{} serves {version}", self.name), || {
            self.send(&self.request()).header("x-lockstep-version") == Some(version)
        });
    }

    /// What a visitor with this pin gets.
    pub fn pinned(&self, version: &str) -> String {
        self.send(&self.request().pinned(version)).origin().to_owned()
    }
}

fn host(name: &str) -> String {
    format!("{name}.test")
}
