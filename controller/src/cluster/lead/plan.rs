//! What should be done to workloads, for whoever applies changes in `advise` mode. It is there until
//! the cluster shows that it was done.

use serde_json::{Value, json};

use super::acts::{Act, ActKind};
use crate::AppId;
use crate::cluster::resource::PlanStep;

/// The steps that acts stand for.
pub(super) fn plan(app: &AppId, acts: &[Act]) -> Vec<PlanStep> {
    acts.iter().map(|act| step(app.namespace(), act)).collect()
}

fn step(namespace: &str, act: &Act) -> PlanStep {
    let Act { version, deployment, kind, .. } = act;
    let (description, command, manifest) = match kind {
        ActKind::ScaleDown => scale(namespace, deployment, 0),
        ActKind::ScaleUp { replicas } => scale(namespace, deployment, *replicas),
        ActKind::Delete { service } => {
            let service = service.as_ref().map(|name| format!(" service/{name}")).unwrap_or_default();
            (
                format!("delete Deployment {deployment}"),
                format!("kubectl --namespace {namespace} delete deployment/{deployment}{service}"),
                None,
            )
        }
    };
    PlanStep { version: version.clone(), description, command, manifest }
}

fn scale(namespace: &str, deployment: &str, replicas: u32) -> (String, String, Option<String>) {
    let manifest = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment, "namespace": namespace},
        "spec": {"replicas": replicas},
    });
    (
        format!("scale Deployment {deployment} to {replicas}"),
        format!("kubectl --namespace {namespace} scale deployment/{deployment} --replicas={replicas}"),
        yaml(&manifest),
    )
}

fn yaml(manifest: &Value) -> Option<String> {
    serde_yaml::to_string(manifest).ok()
}
