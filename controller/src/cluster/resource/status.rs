//! The `status` of a `VersionedApp`. What can't be read of it is left out and remembered, so that
//! the leader can say so and put it right.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{VersionedAppSpec, schema};
use crate::record::{Cause, Transition};
use crate::{VersionId, VersionState};

/// What became of an app's versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VersionedAppStatus {
    /// The version that everyone unpinned gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::version")]
    pub active: Option<VersionId>,
    /// The draining versions, newest first, separated by commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub draining: String,
    /// The version that a share of new visitors get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStatus>,
    /// The versions, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionEntry>,
    /// The last transitions, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "transitions")]
    pub history: Vec<Transition>,
    /// Ids that expired and are gone: they never become active by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<Tombstone>,
    /// Since when the app is there, its first Deployment gone or not. Of two on one host the older has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub since: Option<Timestamp>,
    /// What is wrong with the app.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What should be done, in `advise` mode.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<PlanStep>,
    /// The generation of the `spec` that this follows from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last `spec` that could be used, there while the present one can't be. Replicas that never saw it go by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::accepted")]
    pub accepted: Option<Box<VersionedAppSpec>>,
    /// What could not be read, and why.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

/// The canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryStatus {
    /// The version.
    #[schemars(schema_with = "schema::version")]
    pub version: VersionId,
    /// Its share of new visitors.
    pub share: String,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionEntry {
    /// Its id.
    #[schemars(schema_with = "schema::version")]
    pub id: VersionId,
    /// Its state.
    #[schemars(schema_with = "schema::state")]
    pub state: VersionState,
    /// Why it is in that state.
    #[schemars(with = "String")]
    pub reason: Cause,
    /// Who brought that about.
    #[serde(default)]
    pub actor: String,
    /// Name of its Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Name of its Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its age rank: higher is newer.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub revision: u64,
    /// Endpoints that were ready when this was written.
    #[serde(default)]
    pub ready: u32,
    /// Endpoints that there should be.
    #[serde(default)]
    pub desired: u32,
    /// Requests and streams that ran on it on all replicas when this was written.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub in_flight: u64,
    /// Since when it is in that state.
    #[schemars(schema_with = "schema::time")]
    pub since: Timestamp,
    /// When it was superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub drained_at: Option<Timestamp>,
    /// When it expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub expired_at: Option<Timestamp>,
    /// Who asked for it to expire in the ordinary way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_asked_by: Option<String>,
    /// Replicas to restore if it is wanted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Digest of its pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Whether its Deployment is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// Whether it is pending for longer than it should be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stalled: bool,
    /// Whether it is to be scaled back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restore: bool,
    /// Whether nothing routes it or runs on it any more, so that its workload may go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Whether its workload was seen gone: what runs on it from then on came back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vanished: bool,
}

/// A version that expired and whose Deployment is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// Its id.
    #[schemars(schema_with = "schema::version")]
    pub id: VersionId,
    /// Its age rank.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub revision: u64,
    /// Why it is over.
    #[schemars(with = "String")]
    pub reason: Cause,
    /// When it expired.
    #[schemars(schema_with = "schema::time")]
    pub expired_at: Timestamp,
}

/// Something to do, for whoever applies changes in `advise` mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// The version.
    #[schemars(schema_with = "schema::version")]
    pub version: VersionId,
    /// What it does, in a few words.
    pub description: String,
    /// A command that does it.
    pub command: String,
    /// A manifest that does it when applied, as YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

impl<'de> Deserialize<'de> for VersionedAppStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = match Value::deserialize(deserializer)? {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            _ => return Ok(Self { unreadable: vec!["status: not an object".to_owned()], ..Self::default() }),
        };
        let mut unreadable = Vec::new();
        Ok(Self {
            active: one(&mut fields, "active", &mut unreadable),
            draining: one(&mut fields, "draining", &mut unreadable).unwrap_or_default(),
            canary: one(&mut fields, "canary", &mut unreadable),
            versions: all(&mut fields, "versions", &mut unreadable),
            history: all(&mut fields, "history", &mut unreadable),
            tombstones: all(&mut fields, "tombstones", &mut unreadable),
            since: one(&mut fields, "since", &mut unreadable),
            conditions: all(&mut fields, "conditions", &mut unreadable),
            plan: all(&mut fields, "plan", &mut unreadable),
            observed_generation: one(&mut fields, "observedGeneration", &mut unreadable),
            accepted: one::<VersionedAppSpec>(&mut fields, "accepted", &mut unreadable)
                .filter(|spec| spec.unreadable.is_none())
                .map(Box::new),
            unreadable,
        })
    }
}

fn one<T: DeserializeOwned>(fields: &mut Map<String, Value>, key: &str, bad: &mut Vec<String>) -> Option<T> {
    let value = fields.remove(key).filter(|value| !value.is_null())?;
    T::deserialize(value).map_err(|error| bad.push(format!("status.{key}: {error}"))).ok()
}

fn all<T: DeserializeOwned>(fields: &mut Map<String, Value>, key: &str, bad: &mut Vec<String>) -> Vec<T> {
    let items = one::<Vec<Value>>(fields, key, bad).unwrap_or_default();
    let read = |(at, item)| {
        T::deserialize(item).map_err(|error| bad.push(format!("status.{key}[{at}]: {error}"))).ok()
    };
    items.into_iter().enumerate().filter_map(read).collect()
}

fn transitions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let text = || serde_json::json!({"type": "string"});
    schemars::json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["at", "version", "to", "reason", "actor"],
            "properties": {
                "at": {"type": "string", "format": "date-time"},
                "version": text(),
                "from": text(),
                "to": text(),
                "reason": text(),
                "actor": text(),
            },
        },
    })
}
