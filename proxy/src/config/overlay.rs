//! The settings of apps that the cluster has: what their labels say, over it the configuration's
//! entry for the app, over it the `spec` of their resource. The layers are laid over each other
//! before they are read, so that every rule holds for all of them and is written once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use lockstep_controller::AppId;
use lockstep_controller::cluster::claim::Claim;
use serde_json::Value;

use super::context::Context;
use super::error::{ConfigError, Place};
use super::model::App;
use super::tree::{Entry, Kind, Node};
use super::value::{HostPattern, PathPrefix};
use super::{ProcessEnvironment, app, skew};

/// Keys whose values are laid over each other key by key; others are taken as a whole.
const DEEP: &[&str] = &["cookie", "ready", "upstream", "ejection", "webhook"];

/// What the configuration says of apps that the cluster has.
#[derive(Debug, Clone)]
pub struct ClusterApps {
    /// Where relative paths begin.
    pub(super) file: PathBuf,
    pub(super) defaults: skew::Defaults,
    pub(super) entries: HashMap<AppId, ClusterEntry>,
}

/// An entry of `apps` without versions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClusterEntry {
    pub(super) node: Arc<Node>,
    /// What it comes to by itself.
    pub(super) app: App,
}

/// Where relative paths begin is the same for the life of a process.
impl PartialEq for ClusterApps {
    fn eq(&self, other: &Self) -> bool {
        self.defaults == other.defaults && self.entries == other.entries
    }
}

impl ClusterApps {
    /// What an app gets.
    ///
    /// # Errors
    /// All that is wrong, each with its place (`spec.cookie.name: …`).
    pub fn resolve(&self, claim: &Claim) -> Result<App, Vec<String>> {
        if let Some(why) = claim.spec.as_ref().and_then(|spec| spec.unreadable.clone()) {
            return Err(vec![why]);
        }
        let (mut errors, labels) = labels(claim);
        let mut tree = labels;
        if let Some(entry) = self.entries.get(&claim.id) {
            tree = over(&tree, &entry.node, DEEP);
        }
        if let Some(spec) = &claim.spec {
            let spec = serde_json::to_value(spec).unwrap_or_default();
            tree = over(&tree, &foreign(&spec), DEEP);
        }
        let context = Context::new(&self.file, &ProcessEnvironment);
        let app = app::read_of_cluster(&context.at(&tree, "spec"), &self.defaults, &claim.id);
        match context.finish(app) {
            Ok(app) if errors.is_empty() => return Ok(app),
            Ok(_) => {}
            Err(found) => {
                errors.extend(found.iter().map(told));
            }
        }
        Err(errors)
    }
}

/// A mistake with its place: in `spec`, or in the configuration's entry for the app.
fn told(error: &ConfigError) -> String {
    match error.place.filter(|place| *place != Place::ELSEWHERE) {
        Some(place) => {
            let key = error.path.strip_prefix("spec.").unwrap_or(&error.path);
            format!("{}:{place} {key}, in the app's entry: {}", error.file, error.message)
        }
        None => format!("{}: {}", camel(&error.path), error.message),
    }
}

/// What labels and annotations say. They have no place in `spec`, so they are checked here.
fn labels(claim: &Claim) -> (Vec<String>, Arc<Node>) {
    let mut errors = Vec::new();
    let mut entries = Vec::new();
    for host in &claim.hosts {
        if let Err(error) = host.parse::<HostPattern>() {
            errors.push(format!("lockstep.dev/hosts or plt.dev/hostname: {error}"));
        }
    }
    if !claim.hosts.is_empty() {
        let hosts = claim.hosts.iter().cloned().map(Value::from).collect();
        entries.push(entry("hosts", foreign(&Value::Array(hosts))));
    }
    if let Some(path) = &claim.path {
        if let Err(error) = path.parse::<PathPrefix>() {
            errors.push(format!("lockstep.dev/path or plt.dev/path: {error}"));
        }
        entries.push(entry("path", Node::foreign(Kind::Scalar(path.clone()))));
    }
    if let Some(policy) = &claim.expire_policy {
        entries.push(entry("expire_policy", Node::foreign(Kind::Scalar(policy.clone()))));
    }
    // What is wrong with them is said already.
    let entries = if errors.is_empty() { entries } else { Vec::new() };
    (errors, Node::foreign(Kind::Mapping(entries)))
}

fn entry(key: &str, value: Arc<Node>) -> Entry {
    Entry { key: key.to_owned(), place: Place::ELSEWHERE, value }
}

/// Lays one mapping over another; what is no mapping takes the place of the other.
fn over(base: &Arc<Node>, top: &Arc<Node>, deep: &[&str]) -> Arc<Node> {
    let (Kind::Mapping(below), Kind::Mapping(above)) = (&base.kind, &top.kind) else {
        return Arc::clone(top);
    };
    let mut entries = below.clone();
    for new in above {
        // A key without a value says nothing.
        if matches!(new.value.kind, Kind::Null) {
            continue;
        }
        match entries.iter_mut().find(|known| known.key == new.key) {
            Some(known) if deep.contains(&new.key.as_str()) => {
                known.value = over(&known.value, &new.value, &[]);
            }
            Some(known) => *known = new.clone(),
            None => entries.push(new.clone()),
        }
    }
    Node::foreign(Kind::Mapping(entries))
}

/// A value in Kubernetes spelling as the file would have it.
fn foreign(value: &Value) -> Arc<Node> {
    Node::foreign(match value {
        Value::Null => Kind::Null,
        Value::Bool(flag) => Kind::Scalar(flag.to_string()),
        Value::Number(number) => Kind::Scalar(number.to_string()),
        Value::String(text) => Kind::Scalar(text.clone()),
        Value::Array(items) => Kind::Sequence(items.iter().map(foreign).collect()),
        Value::Object(fields) => {
            Kind::Mapping(fields.iter().map(|(key, value)| entry(&snake(key), foreign(value))).collect())
        }
    })
}

/// `maxAge` as `max_age`.
fn snake(key: &str) -> String {
    let mut text = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// `spec.cookie.max_age` as `spec.cookie.maxAge`.
fn camel(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut upper = false;
    for letter in path.chars() {
        match letter {
            '_' => upper = true,
            letter if upper => {
                text.push(letter.to_ascii_uppercase());
                upper = false;
            }
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
