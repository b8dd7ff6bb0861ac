//! The `VersionedApp` resource: what an app wants (`spec`) and what became of its versions
//! (`status`), which is the only place where states are kept in a cluster. The CRD that ships in
//! `conf/k8s` is generated from these types. Reading never fails: an object that one release of
//! the schema let pass, or that somebody edited by hand, must not blind the watch of all others.

pub mod convert;
mod repair;
mod schema;
pub mod settings;
pub mod status;
#[cfg(test)]
mod tests;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub(crate) use schema::EXPIRE_POLICIES;
pub use settings::{
    CanarySpec, CookieSpec, EjectionSpec, HealthSpec, PreviewSpec, ReadySpec, TokenSpec, UpstreamSpec,
    WebhookSpec,
};
pub use status::{CanaryStatus, PlanStep, Tombstone, VersionEntry, VersionedAppStatus};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What an app wants: the keys of an `apps:` entry of the configuration in Kubernetes spelling. It
/// wins over that entry. Values are checked by the configuration's own rules; what they refuse
/// becomes a condition.
#[expect(clippy::duplicated_attributes, reason = "columns are alike")]
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lockstep.dev",
    version = "v1",
    kind = "VersionedApp",
    doc = "An application with several versions in service, named as the app, in its namespace",
    namespaced,
    shortname = "vapp",
    status = "VersionedAppStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Active", type_ = "string", json_path = ".status.active"),
    printcolumn(name = "Draining", type_ = "string", json_path = ".status.draining"),
    printcolumn(name = "Canary", type_ = "string", json_path = ".status.canary.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self", default)]
#[schemars(rename = "VersionedAppSpec")]
pub struct VersionedAppSpec {
    /// Hosts that the app answers for; empty stands for every host that no other app names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::hosts")]
    pub hosts: Option<Vec<String>>,
    /// Path prefix that the app answers for; the longest one wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub path: Option<String>,
    /// Whether the path prefix is removed from what is sent upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<bool>,
    /// Fixes the active version; nothing else becomes active while it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::version")]
    pub active: Option<String>,
    /// A version that a share of new visitors get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanarySpec>,
    /// How requests spread over the endpoints of a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::balance")]
    pub balance: Option<String>,
    /// How endpoints are spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamSpec>,
    /// Active health checks, besides the cluster's own readiness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// When endpoints that fail are left out for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejection: Option<EjectionSpec>,
    /// How much of the app's traffic is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::audit")]
    pub audit: Option<String>,
    /// The cookie that pins visitors to their version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<CookieSpec>,
    /// The request header that pins to a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub header: Option<String>,
    /// The query parameter that pins to a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub query: Option<String>,
    /// Whether the query parameter may choose the version of a page load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_on_navigation: Option<bool>,
    /// What a page load by a pinned visitor gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::navigation")]
    pub navigation: Option<String>,
    /// What a visitor gets whose version has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::on_expired")]
    pub on_expired: Option<String>,
    /// What a visitor gets whose version has no endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::on_unhealthy")]
    pub on_unhealthy: Option<String>,
    /// Who may reach staged versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<PreviewSpec>,
    /// Whether responses name the version that served and the latest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<bool>,
    /// When a version may become active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<ReadySpec>,
    /// How long a superseded version is kept whatever happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub grace: Option<String>,
    /// How long it must be without traffic after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub idle_window: Option<String>,
    /// How long it is kept at most, with traffic or without.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max_alive: Option<String>,
    /// Superseded versions that are kept: a number, or `unlimited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::max_versions")]
    pub max_versions: Option<IntOrString>,
    /// Who has a say in whether an idle version may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::expire_policy")]
    pub expire_policy: Option<String>,
    /// Whom to ask, with `expirePolicy: webhook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,
    /// What becomes of the workload of an expired version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cleanup")]
    pub cleanup: Option<String>,
    /// Whether a new version waits for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    /// How far Lockstep may go with workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::mode")]
    pub mode: Option<String>,
    /// What is wrong with it, if it can't be read at all; then every other field is absent.
    #[serde(skip)]
    pub unreadable: Option<String>,
}

impl Serialize for VersionedAppSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for VersionedAppSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let unreadable = |why: String| Self { unreadable: Some(why), ..Self::default() };
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::default(),
            // An array would be taken for the fields in their order.
            value @ Value::Object(_) => {
                Self::deserialize(value).unwrap_or_else(|error| unreadable(format!("spec: {error}")))
            }
            _ => unreadable("spec: not an object".to_owned()),
        })
    }
}

/// The CRD as a manifest.
#[must_use]
pub fn crd_yaml() -> String {
    let crd = <VersionedApp as kube::CustomResourceExt>::crd();
    let text = serde_yaml::to_string(&crd).unwrap_or_default();
    format!("# Written by `cargo run -p lockstep-controller --example crd`.\n{text}")
}
