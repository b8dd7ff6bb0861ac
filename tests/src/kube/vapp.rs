//! A `VersionedApp` as its owners see it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Cluster;
use crate::poll::within;

/// How long a state may take to come about: windows, heartbeats and ends of pods are in it.
const PATIENCE: Duration = Duration::from_secs(40);

/// A `VersionedApp`, there or not.
pub struct Vapp<'c> {
    cluster: &'c Cluster,
    namespace: String,
    name: String,
}

impl Cluster {
    /// The `VersionedApp` of an app.
    pub fn vapp(&self, namespace: &str, name: &str) -> Vapp<'_> {
        Vapp { cluster: self, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl Vapp<'_> {
    /// Its path in the API.
    pub fn path(&self) -> String {
        format!("/apis/lockstep.dev/v1/namespaces/{}/versionedapps/{}", self.namespace, self.name)
    }

    /// Makes it with this `spec`.
    ///
    /// # Panics
    /// If it is refused.
    pub fn create(&self, spec: &Value) {
        let metadata = json!({"name": self.name, "namespace": self.namespace});
        let object = json!({
            "apiVersion": "lockstep.dev/v1", "kind": "VersionedApp", "metadata": metadata, "spec": spec,
        });
        self.cluster.admin().apply(&self.path(), &object).expect("the resource is made");
    }

    /// Changes its `spec`.
    ///
    /// # Panics
    /// If that is refused.
    pub fn edit(&self, spec: &Value) {
        self.cluster.admin().patch(&self.path(), &json!({"spec": spec})).expect("an edit");
    }

    /// Its status; nothing if there is none.
    pub fn status(&self) -> Value {
        self.cluster.admin().get(&self.path()).map(|app| app["status"].clone()).unwrap_or_default()
    }

    /// The states of its versions, tombstones left out, by age: `v1=draining v2=active`.
    pub fn states(&self) -> String {
        let status = self.status();
        let versions = status["versions"].as_array().cloned().unwrap_or_default();
        let state = |version: &Value| format!("{}={}", text(&version["id"]), text(&version["state"]));
        versions.iter().map(state).collect::<Vec<_>>().join(" ")
    }

    /// Waits for these states.
    ///
    /// # Panics
    /// If they do not come.
    #[track_caller]
    pub fn expect(&self, wanted: &str) {
        let came = within(PATIENCE, || (self.states() == wanted).then_some(()));
        assert!(came.is_some(), "{}: {wanted} wanted, but it is {:#}", self.name, self.status());
    }

    /// The state of a version, empty if it is not there.
    pub fn state(&self, version: &str) -> String {
        let states = self.states();
        let state = |pair: &str| pair.strip_prefix(version)?.strip_prefix('=').map(str::to_owned);
        states.split(' ').find_map(state).unwrap_or_default()
    }

    /// Waits until a version is in a state.
    ///
    /// # Panics
    /// If it is not in time.
    #[track_caller]
    pub fn expect_state(&self, version: &str, wanted: &str) {
        let came = within(PATIENCE, || (self.state(version) == wanted).then_some(()));
        assert!(came.is_some(), "{version}={wanted} wanted, but it is {:#}", self.status());
    }

    /// The message of a condition that holds.
    pub fn condition(&self, kind: &str) -> Option<String> {
        let status = self.status();
        let held = status["conditions"].as_array()?.iter().find(|held| held["type"] == kind)?;
        (held["status"] == "True").then(|| text(&held["message"]).to_owned())
    }

    /// Waits until a condition holds and says `part`.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn expect_condition(&self, kind: &str, part: &str) {
        let says = || self.condition(kind).is_some_and(|message| message.contains(part));
        let came = within(PATIENCE, || says().then_some(()));
        assert!(came.is_some(), "{}: {kind} with {part:?} wanted, but it is {:#}", self.name, self.status());
    }

    /// Its history: `v1 active`, the oldest first.
    pub fn history(&self) -> Vec<String> {
        let to = |past: &Value| format!("{} {}", text(&past["version"]), text(&past["to"]));
        self.past().iter().map(to).collect()
    }

    /// All states that a version went through, in order.
    pub fn transitions(&self, version: &str) -> Vec<String> {
        let of_it = |past: &&Value| past["version"] == version;
        self.past().iter().filter(of_it).map(|past| text(&past["to"]).to_owned()).collect()
    }

    /// When a version came to a state first.
    ///
    /// # Panics
    /// If it never did.
    pub fn came_to(&self, version: &str, state: &str) -> Timestamp {
        let past = self.past();
        let found = past.iter().find(|past| past["version"] == version && past["to"] == state);
        let at = found.and_then(|past| text(&past["at"]).parse().ok());
        at.unwrap_or_else(|| panic!("{version} {state}: {past:#?}"))
    }

    fn past(&self) -> Vec<Value> {
        self.status()["history"].as_array().cloned().unwrap_or_default()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
