//! The `VersionedApp` resource: what an app wants (`spec`) and what became of its versions
//! (`status`), which is the only place where states are kept in a cluster. The CRD that ships in
//! `conf/k8s` is generated from these types.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::record::AppRecord;

/// What an app wants: the keys of an `apps:` entry of the configuration in Kubernetes spelling.
/// Values are checked by the configuration's own rules; what they refuse becomes a condition.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lockstep.dev",
    version = "v1",
    kind = "VersionedApp",
    namespaced,
    shortname = "vapp",
    status = "VersionedAppStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct VersionedAppSpec {
    /// Hosts that the app answers for; empty stands for every host that no other app names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// All other keys.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What became of an app's versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionedAppStatus {
    /// States, history and tombstones.
    #[serde(flatten)]
    #[schemars(with = "Map<String, Value>")]
    pub record: AppRecord,
}
