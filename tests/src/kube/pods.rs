//! What a node needs to know of a pod.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A pod, as the API tells it.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) object: Value,
}

impl Pod {
    pub(super) fn uid(&self) -> String {
        self.text("/metadata/uid")
    }

    pub(super) fn name(&self) -> String {
        self.text("/metadata/name")
    }

    /// Its path in the API.
    pub(super) fn path(&self) -> String {
        path(&self.text("/metadata/namespace"), &self.name())
    }

    /// The Deployment that it belongs to: its name without the suffixes of ReplicaSet and pod.
    pub(super) fn deployment(&self) -> String {
        let name = self.name();
        name.rsplitn(3, '-').nth(2).unwrap_or(&name).to_owned()
    }

    pub(super) fn is_bound(&self) -> bool {
        self.object.pointer("/spec/nodeName").is_some()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.object.pointer("/metadata/deletionTimestamp").is_some()
    }

    /// Seconds between SIGTERM and SIGKILL.
    pub(super) fn grace(&self) -> u64 {
        self.object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(30)
    }

    /// What its origin is called: the version, or the pod where there is none.
    pub(super) fn origin(&self) -> String {
        let version = self.object.pointer("/metadata/labels/plt.dev~1version").and_then(Value::as_str);
        version.map_or_else(|| self.name(), str::to_owned)
    }

    /// The port named `http`, else the first.
    pub(super) fn port(&self) -> u16 {
        let ports = self.object.pointer("/spec/containers/0/ports").and_then(Value::as_array);
        let ports = ports.map(Vec::as_slice).unwrap_or_default();
        let named = ports.iter().find(|port| port["name"] == "http").or(ports.first());
        let number = named.and_then(|port| port["containerPort"].as_u64());
        number.and_then(|number| number.try_into().ok()).unwrap_or(8080)
    }

    /// The status of a running pod, as a merge patch.
    pub(super) fn running(&self, address: &str, ready: bool) -> Value {
        let now = whole_seconds();
        let condition = |kind: &str, holds: bool| {
            let holds = if holds { "True" } else { "False" };
            json!({"type": kind, "status": holds, "lastTransitionTime": now})
        };
        let containers = self.object.pointer("/spec/containers").and_then(Value::as_array);
        let containers: Vec<_> =
            containers.into_iter().flatten().map(|one| container(one, ready, &now)).collect();
        json!({"status": {
            "phase": "Running",
            "hostIP": "10.77.0.1",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", true),
                condition("ContainersReady", ready),
                condition("Ready", ready),
            ],
            "containerStatuses": containers,
        }})
    }

    fn text(&self, pointer: &str) -> String {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// The path of a pod in the API.
pub(super) fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

fn container(spec: &Value, ready: bool, now: &str) -> Value {
    let image = spec["image"].as_str().unwrap_or_default();
    json!({
        "name": spec["name"],
        "image": image,
        // As if the registry had told it: the same image has the same digest.
        "imageID": format!("{image}@sha256:{}", hex::encode(Sha256::digest(image))),
        "ready": ready,
        "started": true,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    })
}

/// Times of Kubernetes have no fraction.
fn whole_seconds() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
