//! Plays scheduler and kubelet: binds pods, runs a server for each at an address of its own, tells their status,
//! and ends them when they are deleted.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;

use super::pods::Pod;
use super::{Api, Refused};
use crate::Origin;

/// The only node.
const NODE: &str = "node-1";
/// Between two looks at the pods.
const PAUSE: Duration = Duration::from_millis(50);
/// A pod that is deleted still takes connections for so long, as with the usual `preStop` hook: endpoints take a
/// moment to reach everybody.
const LINGER: Duration = Duration::from_secs(2);

/// What runs in a pod.
pub trait Server: Send {
    /// Takes no more connections; true once it has nothing in flight.
    fn drained(&self) -> bool;
    /// Ends at once.
    fn stop(&self);
}

/// Makes the server of a pod from its address and the name of its version.
pub(super) type Factory = Box<dyn Fn(SocketAddr, &str) -> Box<dyn Server> + Send>;

/// A node whose kubelet runs until it is dropped.
pub(super) struct Node {
    rules: Arc<Rules>,
    kubelet: Option<JoinHandle<()>>,
}

/// What tests may change.
#[derive(Default)]
pub(super) struct Rules {
    ended: AtomicBool,
    /// Names of pods or Deployments that are not ready whatever they do.
    pub(super) unready: Mutex<BTreeSet<String>>,
    /// Pods whose server is to be killed.
    pub(super) killed: Mutex<BTreeSet<String>>,
}

struct Kubelet {
    api: Api,
    factory: Factory,
    rules: Arc<Rules>,
    running: HashMap<String, Running>,
    addresses: u16,
}

struct Running {
    pod: Pod,
    server: Box<dyn Server>,
    address: Ipv4Addr,
    killed: bool,
    /// What the API was told last.
    ready: Option<bool>,
    terminated: Option<Instant>,
}

impl Node {
    /// Registers the node and starts its kubelet.
    pub(super) fn start(api: Api, factory: Factory) -> Self {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        api.create("/api/v1/nodes", &node).expect("a node");
        let rules = Arc::new(Rules::default());
        let mut kubelet =
            Kubelet { api, factory, rules: Arc::clone(&rules), running: HashMap::new(), addresses: 0 };
        let thread = std::thread::spawn(move || {
            while !kubelet.rules.ended.load(Ordering::Acquire) {
                // The API server may be away: pods go on running.
                let _unreachable = kubelet.look();
                std::thread::sleep(PAUSE);
            }
        });
        Self { rules, kubelet: Some(thread) }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.rules.ended.store(true, Ordering::Release);
        if let Some(kubelet) = self.kubelet.take() {
            let _panicked = kubelet.join();
        }
    }
}

impl Kubelet {
    fn look(&mut self) -> Result<(), Refused> {
        let mut list = self.api.get("/api/v1/pods")?;
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let pods: Vec<_> = items.into_iter().map(|object| Pod { object }).collect();
        let uids: BTreeSet<_> = pods.iter().map(Pod::uid).collect();
        // Pods that were deleted by force.
        self.running.retain(|uid, _| uids.contains(uid));
        for pod in pods {
            // One that was changed in between is looked at again soon.
            let _conflict = self.attend(pod);
        }
        Ok(())
    }

    fn attend(&mut self, pod: Pod) -> Result<(), Refused> {
        if pod.is_deleted() {
            return self.terminate(&pod);
        }
        if !pod.is_bound() {
            return self.bind(&pod);
        }
        let running = match self.running.remove(&pod.uid()) {
            Some(mut running) => {
                running.pod = pod;
                running
            }
            None => self.run(pod),
        };
        let uid = running.pod.uid();
        self.running.entry(uid).insert_entry(running).get_mut().tell(&self.api, &self.rules)
    }

    fn bind(&self, pod: &Pod) -> Result<(), Refused> {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.name()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        });
        self.api.create(&format!("{}/binding", pod.path()), &binding).map(drop)
    }

    fn run(&mut self, pod: Pod) -> Running {
        self.addresses += 1;
        // 10.77.0.0/24 is left to the control plane and the proxies.
        let [high, low] = (self.addresses + 255).to_be_bytes();
        let address = Ipv4Addr::new(10, 77, high, low);
        let server = (self.factory)(SocketAddr::from((address, pod.port())), &pod.origin());
        Running { pod, server, address, killed: false, ready: None, terminated: None }
    }

    fn terminate(&mut self, pod: &Pod) -> Result<(), Refused> {
        let uid = pod.uid();
        if let Some(running) = self.running.get_mut(&uid) {
            if !running.has_ended(pod.grace()) {
                return Ok(());
            }
            running.server.stop();
        }
        self.api.delete(&format!("{}?gracePeriodSeconds=0", pod.path()))?;
        self.running.remove(&uid);
        Ok(())
    }
}

impl Running {
    fn tell(&mut self, api: &Api, rules: &Rules) -> Result<(), Refused> {
        let name = self.pod.name();
        if !self.killed && rules.killed.lock().contains(&name) {
            self.server.stop();
            self.killed = true;
        }
        let held = {
            let unready = rules.unready.lock();
            unready.contains(&name) || unready.contains(&self.pod.deployment())
        };
        let ready = !held && !self.killed;
        if self.ready == Some(ready) {
            return Ok(());
        }
        let status = self.pod.running(&self.address.to_string(), ready);
        api.patch(&format!("{}/status", self.pod.path()), &status)?;
        self.ready = Some(ready);
        Ok(())
    }

    fn has_ended(&mut self, grace: u64) -> bool {
        let since = self.terminated.get_or_insert_with(Instant::now).elapsed();
        let grace = Duration::from_secs(grace);
        since >= grace || (since >= LINGER.min(grace) && self.server.drained())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.stop();
    }
}

impl Server for Origin {
    fn drained(&self) -> bool {
        self.drain();
        self.busy() == 0
    }

    fn stop(&self) {
        Self::stop(self);
    }
}
