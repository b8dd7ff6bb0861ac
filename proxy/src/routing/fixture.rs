//! Tables for tests: apps written as YAML, versions put into states by hand.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lockstep_controller::{AppSnapshot, VersionSnapshot, VersionState, VersionStatus};

use super::RoutingTable;
use super::compile::Compiler;
use crate::config::{self, Config};
use crate::metrics::Metrics;

/// A configuration with these entries of `apps`, each in YAML's flow style.
pub(crate) fn config(apps: &[&str]) -> Config {
    let listen = "server: {listen: [{addr: 127.0.0.1:0}], admin: {addr: 127.0.0.1:0}}\napps:\n";
    let apps: String = apps.iter().map(|app| format!("  - {app}\n")).collect();
    let environment = std::collections::HashMap::<String, String>::new();
    match config::parse(&format!("{listen}{apps}"), Path::new("test.yaml"), &environment) {
        Ok(config) => config,
        Err(errors) => panic!("{errors}"),
    }
}

/// One app's versions and states; versions in `down` have no usable endpoint.
pub(crate) fn states(config: &Config, versions: &[(&str, VersionState)], down: &[&str]) -> VersionSnapshot {
    let endpoints = |id: &str| -> Arc<[SocketAddr]> {
        if down.contains(&id) { Arc::from([]) } else { Arc::from([SocketAddr::from(([127, 0, 0, 1], 9001))]) }
    };
    let app = |app: &Arc<config::model::App>| {
        Arc::new(AppSnapshot {
            id: app.id.clone(),
            active: versions
                .iter()
                .find(|(_, state)| *state == VersionState::Active)
                .map(|(id, _)| id.parse().unwrap()),
            canary: app.canary.clone(),
            versions: versions
                .iter()
                .map(|(id, state)| VersionStatus {
                    id: id.parse().unwrap(),
                    state: *state,
                    endpoints: endpoints(id),
                    http2: false,
                })
                .collect(),
            grant: None,
        })
    };
    VersionSnapshot { generation: 1, stale: false, apps: config.apps.iter().map(app).collect() }
}

/// The table of a configuration with these states.
pub(crate) fn table(config: &Config, snapshot: &VersionSnapshot) -> RoutingTable {
    Compiler::new(Metrics::new().unwrap()).compile(config, snapshot, &VersionSnapshot::default()).unwrap()
}
