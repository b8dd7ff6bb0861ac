//! The cluster as tests use it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use super::control_plane::{ADMIN, NOBODY};
use super::node::{Factory, Node, Rules, Server};
use super::{Api, ApiProxy, ControlPlane, Rollout, kubeconfig};
use crate::Origin;
use crate::poll::{eventually, until};

/// A control plane with a node.
pub struct Cluster {
    // Ends first.
    node: Option<Node>,
    /// Its control plane.
    pub control_plane: ControlPlane,
}

impl Cluster {
    /// Starts a cluster. In each pod an [`Origin`] answers, named as its version.
    pub fn start() -> Self {
        Self::start_with(|addr, name| Box::new(Origin::with_streams_at(addr, name)))
    }

    /// Starts a cluster with other servers in its pods, made from an address and the version's name.
    pub fn start_with(factory: impl Fn(SocketAddr, &str) -> Box<dyn Server> + Send + 'static) -> Self {
        let control_plane = ControlPlane::start();
        let factory: Factory = Box::new(factory);
        let node = Node::start(control_plane.admin().clone(), factory);
        let cluster = Self { node: Some(node), control_plane };
        cluster.namespace("web");
        cluster
    }

    /// Starts a cluster in which nothing happens by itself: it has neither controllers nor a node.
    pub fn still() -> Self {
        Self { node: None, control_plane: ControlPlane::start_still() }
    }

    /// The administrator.
    pub fn admin(&self) -> &Api {
        self.control_plane.admin()
    }

    /// Somebody without any role.
    pub fn nobody(&self) -> Api {
        self.admin().with_token(NOBODY)
    }

    /// The kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.control_plane.kubeconfig()
    }

    /// Runs kubectl as the administrator.
    ///
    /// # Panics
    /// If it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {}: {out}{err}", arguments.join(" "));
        out.into_owned()
    }

    /// Runs kubectl as the administrator.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Output {
        self.control_plane.kubectl().args(arguments).output().expect("kubectl runs")
    }

    /// Makes a namespace and waits until pods can run in it.
    ///
    /// # Panics
    /// If it is refused.
    pub fn namespace(&self, name: &str) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.admin().apply(&format!("/api/v1/namespaces/{name}"), &namespace).expect("a namespace");
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        if self.node.is_none() {
            let default =
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
            self.admin().apply(&account, &default).expect("a service account");
        }
        until("the namespace has its service account", || self.admin().get(&account).is_ok());
    }

    /// A token of a service account.
    ///
    /// # Panics
    /// If there is no such account.
    pub fn token(&self, namespace: &str, account: &str) -> String {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let answer = self.admin().create(&path, &request).expect("a token");
        answer["status"]["token"].as_str().expect("a token").to_owned()
    }

    /// A kubeconfig of a service account, with its namespace.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let plane = &self.control_plane;
        let path = plane.dir().join(format!("{namespace}-{account}.kubeconfig"));
        let token = self.token(namespace, account);
        kubeconfig::write(path, plane.server(), Some(&plane.authority()), &token, namespace)
    }

    /// A proxy in front of the API server, for one client.
    pub fn proxy(&self) -> ApiProxy {
        ApiProxy::start(&self.control_plane.authority())
    }

    /// A kubeconfig of a service account that goes through a proxy.
    pub fn kubeconfig_through(&self, proxy: &ApiProxy, namespace: &str, account: &str) -> PathBuf {
        let name = format!("{namespace}-{account}-{}.kubeconfig", proxy.addr.port());
        let token = self.token(namespace, account);
        let server = format!("http://{}", proxy.addr);
        kubeconfig::write(self.control_plane.dir().join(name), &server, None, &token, namespace)
    }

    /// As [`kubeconfig_through`](Self::kubeconfig_through), for the administrator.
    pub fn admin_through(&self, proxy: &ApiProxy) -> PathBuf {
        let name = format!("admin-{}.kubeconfig", proxy.addr.port());
        let server = format!("http://{}", proxy.addr);
        kubeconfig::write(self.control_plane.dir().join(name), &server, None, ADMIN, "default")
    }

    /// Applies a Deployment and its Service.
    ///
    /// # Panics
    /// If it is refused.
    pub fn deploy(&self, rollout: &Rollout) {
        if let Some(service) = rollout.service() {
            self.admin().apply(&rollout.service_path(), &service).expect("a Service");
        }
        self.admin().apply(&rollout.path(), &rollout.deployment()).expect("a Deployment");
    }

    /// Applies a Deployment and its Service and waits until all its pods are ready.
    pub fn deploy_ready(&self, rollout: &Rollout) {
        self.deploy(rollout);
        until(&format!("{} is ready", rollout.name), || {
            let object = self.admin().get(&rollout.path()).unwrap_or_default();
            let wanted = &object["spec"]["replicas"];
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && object["status"]["readyReplicas"].as_u64().unwrap_or(0) == wanted.as_u64().unwrap_or(1)
        });
    }

    /// Sets the number of its pods.
    ///
    /// # Panics
    /// If it is refused.
    pub fn scale(&self, rollout: &Rollout, replicas: u32) {
        let patch = json!({"spec": {"replicas": replicas}});
        self.admin().patch(&format!("{}/scale", rollout.path()), &patch).expect("it is scaled");
    }

    /// The wanted number of its pods; `None` if there is no such Deployment.
    pub fn replicas(&self, rollout: &Rollout) -> Option<u64> {
        self.admin().get(&rollout.path()).ok()?["spec"]["replicas"].as_u64()
    }

    /// Deletes its Deployment and its Service.
    ///
    /// # Panics
    /// If the Deployment is refused to be deleted.
    pub fn delete(&self, rollout: &Rollout) {
        self.admin().delete(&rollout.path()).expect("it is deleted");
        // There may be none.
        let _missing = self.admin().delete(&rollout.service_path());
    }

    /// Its pods, those that are ending too.
    pub fn pods(&self, rollout: &Rollout) -> Vec<Value> {
        let Rollout { namespace, name, .. } = rollout;
        let selector = format!("app.kubernetes.io/instance%3D{name}");
        self.admin().list(&format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"))
    }

    /// The names of its pods.
    pub fn pod_names(&self, rollout: &Rollout) -> Vec<String> {
        let name = |pod: &Value| pod["metadata"]["name"].as_str().map(str::to_owned);
        self.pods(rollout).iter().filter_map(name).collect()
    }

    /// The ready addresses in its EndpointSlices.
    pub fn endpoints(&self, rollout: &Rollout) -> Vec<SocketAddr> {
        let Rollout { namespace, name, .. } = rollout;
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
        let selector = format!("kubernetes.io/service-name%3D{name}");
        let slices = self.admin().list(&format!("{path}?labelSelector={selector}"));
        slices.iter().flat_map(ready_addresses).collect()
    }

    /// Waits until its EndpointSlices carry so many ready addresses.
    pub fn endpoints_of(&self, rollout: &Rollout, count: usize) -> Vec<SocketAddr> {
        eventually(&format!("{} has {count} endpoints", rollout.name), || {
            Some(self.endpoints(rollout)).filter(|endpoints| endpoints.len() == count)
        })
    }

    /// The Events of a namespace about an object: type, reason and message, the oldest first. One that was told again
    /// is there as often as it was told.
    pub fn events(&self, namespace: &str, name: &str) -> Vec<(String, String, String)> {
        let mut events = self.admin().list(&format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"));
        events.retain(|event| event["regarding"]["name"] == name);
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        events.sort_by_key(|event| text(event, "eventTime"));
        let told = |event: &Value| {
            let times = event["series"]["count"].as_u64().and_then(|count| usize::try_from(count).ok());
            let (kind, reason, note) = (text(event, "type"), text(event, "reason"), text(event, "note"));
            std::iter::repeat_n((kind, reason, note), times.unwrap_or(1))
        };
        events.iter().flat_map(told).collect()
    }

    /// A pod, or all of a Deployment's, is not ready from now on.
    pub fn make_unready(&self, name: &str) {
        self.rules().unready.lock().insert(name.to_owned());
    }

    /// Takes [`make_unready`](Self::make_unready) back.
    pub fn make_ready(&self, name: &str) {
        self.rules().unready.lock().remove(name);
    }

    /// Ends the server of a pod without a word: connects are refused at once, and the pod is unready a moment later.
    pub fn kill_pod(&self, name: &str) {
        self.rules().killed.lock().insert(name.to_owned());
    }

    fn rules(&self) -> &Rules {
        self.node.as_ref().expect("a cluster with a node").rules()
    }
}

fn ready_addresses(slice: &Value) -> Vec<SocketAddr> {
    let port = slice["ports"][0]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let endpoints = slice["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let address = |endpoint: &Value| {
        let address = endpoint["addresses"][0].as_str()?;
        Some(SocketAddr::new(address.parse().ok()?, port?))
    };
    ready.filter_map(address).collect()
}
