//! The parts of a `VersionedApp`'s `spec`. Texts stay as they were written: the configuration's own
//! rules read them, so that a key means the same in both places.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// A version that a share of new visitors get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanarySpec {
    /// The version.
    #[schemars(schema_with = "schema::version")]
    pub version: String,
    /// The share of new visitors, such as `10%`.
    #[schemars(schema_with = "schema::share")]
    pub share: String,
}

/// How endpoints are spoken to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamSpec {
    /// How long a connection may take to come about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub connect_timeout: Option<String>,
    /// How long an endpoint may be silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub read_timeout: Option<String>,
    /// How long an unused connection is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub idle_timeout: Option<String>,
    /// Whether endpoints are spoken to over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// A file of authorities to trust, on the replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub ca: Option<String>,
    /// The server name to ask for and to verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub sni: Option<String>,
    /// Whether endpoints are spoken to in HTTP/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http2: Option<bool>,
    /// How often a request is tried again on another endpoint of its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub retries: Option<u32>,
}

/// Active health checks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthSpec {
    /// The path that is asked for.
    #[schemars(schema_with = "schema::path")]
    pub path: String,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub interval: Option<String>,
}

/// When endpoints that fail are left out for a while.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EjectionSpec {
    /// After this many failures in a row; 0 is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub failures: Option<u32>,
    /// For how long, at first.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub duration: Option<String>,
    /// At most this share of a version's endpoints at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::share")]
    pub max_share: Option<String>,
}

/// The cookie that pins visitors to their version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieSpec {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub name: Option<String>,
    /// How long browsers keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max_age: Option<String>,
    /// Its `SameSite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::same_site")]
    pub same_site: Option<String>,
    /// Whether it is `Secure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::secure")]
    pub secure: Option<String>,
    /// Whether it is `HttpOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_only: Option<bool>,
}

/// Who may reach staged versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewSpec {
    /// Who.
    #[schemars(schema_with = "schema::access")]
    pub access: String,
    /// What they have to show, with `access: token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenSpec>,
}

/// Where a secret is found on the replicas. Exactly one key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenSpec {
    /// In an environment variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub env: Option<String>,
    /// In a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub file: Option<String>,
    /// Here; whoever may read the resource reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub value: Option<String>,
}

/// When a version may become active.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadySpec {
    /// Share of its desired endpoints that must be ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::share")]
    pub share: Option<String>,
    /// After this long it counts as stalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub deadline: Option<String>,
}

/// Whom to ask whether an idle version may go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSpec {
    /// Its address.
    #[schemars(schema_with = "schema::url")]
    pub url: String,
    /// How long it may take to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub timeout: Option<String>,
}
