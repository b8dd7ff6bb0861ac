//! Envoy: a cluster for each version of each app, chosen by routes that match the cookie.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use super::Setup;
use crate::error::{Context as _, Result};
use crate::layout::{COOKIE, VERSION_HEADER, host, set_cookie, version};

const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

pub(super) fn command(setup: &Setup<'_>) -> Result<Command> {
    let config = setup.dir.join("envoy.json");
    let text = bootstrap(setup)?.to_string();
    fs::write(&config, text).context(|| "cannot write Envoy's configuration".to_owned())?;
    let mut command = Command::new(setup.program);
    command.args(["--concurrency", &setup.threads.to_string()]);
    command.args(["--log-level", "error", "--disable-hot-restart", "-c"]).arg(config);
    Ok(command)
}

fn bootstrap(setup: &Setup<'_>) -> Result<Value> {
    let mut clusters = Vec::new();
    for app in setup.layout.apps() {
        for number in setup.layout.versions() {
            clusters.push(cluster(&name(app, &version(number)), setup.endpoint(number)?));
        }
    }
    let listener = json!({
        "name": "edge",
        "address": address(setup.listen),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager(setup)}]}],
    });
    Ok(json!({"static_resources": {"listeners": [listener], "clusters": clusters}}))
}

fn manager(setup: &Setup<'_>) -> Value {
    let hosts: Vec<Value> = setup.layout.apps().map(|app| virtual_host(setup, app)).collect();
    json!({
        "@type": MANAGER,
        "stat_prefix": "edge",
        "use_remote_address": true,
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
        "route_config": {
            "request_headers_to_add": [header("x-forwarded-host", "%REQ(:AUTHORITY)%")],
            "virtual_hosts": hosts,
        },
    })
}

fn virtual_host(setup: &Setup<'_>, app: usize) -> Value {
    let active = setup.layout.active();
    let mut routes: Vec<Value> =
        setup.layout.versions().map(|number| pinned(app, &version(number))).collect();
    routes.push(json!({
        "match": {"prefix": "/"},
        "route": {"cluster": name(app, &active)},
        "response_headers_to_add": [
            header(VERSION_HEADER, &active),
            header("set-cookie", &set_cookie(&active)),
        ],
    }));
    json!({"name": host(app), "domains": [host(app)], "routes": routes})
}

fn pinned(app: usize, id: &str) -> Value {
    json!({
        "match": {"prefix": "/", "cookies": [{"name": COOKIE, "string_match": {"exact": id}}]},
        "route": {"cluster": name(app, id)},
        "response_headers_to_add": [header(VERSION_HEADER, id)],
    })
}

fn cluster(name: &str, endpoint: SocketAddr) -> Value {
    let endpoint = json!({"endpoint": {"address": address(endpoint)}});
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    })
}

fn name(app: usize, version: &str) -> String {
    format!("app{app}_{version}")
}

fn header(key: &str, value: &str) -> Value {
    json!({"header": {"key": key, "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"})
}

fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
