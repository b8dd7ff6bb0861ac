//! What controllers and a kubelet make of a version, written down without them: for clusters so large that a node
//! would be busy for an hour.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::pods::Pod;
use super::{Api, Refused, Rollout};

/// The hash of a pod template, as a ReplicaSet carries it. Any will do: each version has a Deployment of its own.
const HASH: &str = "5d8f7c6b9";

/// A version with one pod that runs.
pub struct Made<'r> {
    rollout: &'r Rollout,
    address: Ipv4Addr,
}

impl Rollout {
    /// The version as it is once its only pod runs at an address.
    pub fn made(&self, address: Ipv4Addr) -> Made<'_> {
        Made { rollout: self, address }
    }
}

impl Made<'_> {
    /// Writes all its objects, but for those that are there already.
    ///
    /// # Errors
    /// If one is refused.
    pub fn write(&self, api: &Api) -> Result<(), Refused> {
        let namespace = &self.rollout.namespace;
        let core = format!("/api/v1/namespaces/{namespace}");
        let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
        create(api, &deployments, &self.rollout.deployment())?;
        let ready = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
            "availableReplicas": 1});
        api.patch(&format!("{}/status", self.rollout.path()), &json!({"status": ready}))?;
        if let Some(service) = self.rollout.service() {
            create(api, &format!("{core}/services"), &service)?;
        }
        let pod = Pod { object: create(api, &format!("{core}/pods"), &self.pod())? };
        api.patch(&format!("{}/status", pod.path()), &pod.running(&self.address.to_string(), true))?;
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
        create(api, &slices, &self.slice(&pod)).map(drop)
    }

    fn pod(&self) -> Value {
        let template = &self.rollout.deployment()["spec"]["template"];
        let set = format!("{}-{HASH}", self.rollout.name);
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set,
            "uid": "00000000-0000-4000-8000-000000000000", "controller": true, "blockOwnerDeletion": true});
        let mut labels = template["metadata"]["labels"].clone();
        labels["pod-template-hash"] = json!(HASH);
        let mut spec = template["spec"].clone();
        spec["nodeName"] = json!("node-1");
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("{set}-x2x4z"), "labels": labels, "ownerReferences": [owner]},
            "spec": spec,
        })
    }

    fn slice(&self, pod: &Pod) -> Value {
        let Rollout { namespace, name, port, .. } = self.rollout;
        let target = json!({"kind": "Pod", "namespace": namespace, "name": pod.name(), "uid": pod.uid()});
        let endpoint = json!({
            "addresses": [self.address.to_string()],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "node-1",
            "targetRef": target,
        });
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": format!("{name}-7kq2m"), "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        })
    }
}

/// Makes an object, or reads the one that is there.
fn create(api: &Api, list: &str, object: &Value) -> Result<Value, Refused> {
    match api.create(list, object) {
        Err(refused) if refused.status == 409 => {
            api.get(&format!("{list}/{}", object["metadata"]["name"].as_str().unwrap_or_default()))
        }
        made => made,
    }
}
