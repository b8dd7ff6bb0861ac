//! A `VersionedApp` as tests look at it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::Cluster;
use crate::poll::within;

/// How long a version may take to its next state, with the short policies of tests on a busy machine.
const LIMIT: Duration = Duration::from_secs(40);

/// The `VersionedApp` of an app in the namespace `web`.
pub struct Versioned<'c> {
    cluster: &'c Cluster,
    name: String,
}

impl<'c> Versioned<'c> {
    /// The one of an app.
    pub fn of(cluster: &'c Cluster, app: &str) -> Self {
        Self { cluster, name: app.to_owned() }
    }

    /// Its path in the API.
    pub fn path(&self) -> String {
        format!("/apis/lockstep.dev/v1/namespaces/web/versionedapps/{}", self.name)
    }

    /// Its status; null if there is none.
    pub fn status(&self) -> Value {
        self.cluster.admin().get(&self.path()).map(|mut app| app["status"].take()).unwrap_or_default()
    }

    /// The states of all versions, tombstones left out: `v1=active v2=staged`.
    pub fn states(&self) -> String {
        let status = self.status();
        let versions = status["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let state = |version: &Value| format!("{}={}", text(&version["id"]), text(&version["state"]));
        versions.iter().map(state).collect::<Vec<_>>().join(" ")
    }

    /// The state of a version, empty if it is not there.
    pub fn state(&self, version: &str) -> String {
        let states = self.states();
        let state = |pair: &str| pair.strip_prefix(version)?.strip_prefix('=').map(str::to_owned);
        states.split(' ').find_map(state).unwrap_or_default()
    }

    /// Waits until all versions are in these states.
    ///
    /// # Panics
    /// If they are not in time.
    #[track_caller]
    pub fn expect(&self, wanted: &str) {
        let found = within(LIMIT, || (self.states() == wanted).then_some(()));
        assert!(found.is_some(), "{wanted} wanted, but it is {}\n{:#}", self.states(), self.status());
    }

    /// Waits until a version is in a state.
    ///
    /// # Panics
    /// If it is not in time.
    #[track_caller]
    pub fn expect_state(&self, version: &str, wanted: &str) {
        let found = within(LIMIT, || (self.state(version) == wanted).then_some(()));
        assert!(found.is_some(), "{version}={wanted} wanted, but it is {:#}", self.status());
    }

    /// All states that a version went through, in order.
    pub fn transitions(&self, version: &str) -> Vec<String> {
        let of_it = |past: &&Value| past["version"] == version;
        self.history().iter().filter(of_it).map(|past| text(&past["to"]).to_owned()).collect()
    }

    /// When a version came to a state first.
    ///
    /// # Panics
    /// If it never did.
    pub fn came_to(&self, version: &str, state: &str) -> Timestamp {
        let history = self.history();
        let mut past = history.iter().filter(|past| past["version"] == version && past["to"] == state);
        let at = past.next().and_then(|past| past["at"].as_str());
        at.and_then(|at| at.parse().ok()).unwrap_or_else(|| panic!("{version} {state}: {history:#?}"))
    }

    fn history(&self) -> Vec<Value> {
        self.status()["history"].as_array().cloned().unwrap_or_default()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
