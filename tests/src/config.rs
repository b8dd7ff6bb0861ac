//! Builds configuration files. They are written as JSON, which is YAML too.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use crate::{HOST, OPERATOR, VIEWER};

/// A configuration file in the making.
#[derive(Debug, Clone)]
pub struct Config {
    root: Value,
}

/// One entry of `apps`.
#[derive(Debug, Clone)]
pub struct App {
    entry: Value,
}

/// An app that answers for the usual host.
pub fn app(name: &str) -> App {
    App { entry: json!({"name": name, "hosts": [HOST], "versions": []}) }
}

impl Default for Config {
    fn default() -> Self {
        let admin = json!({
            "addr": "127.0.0.1:0",
            "tokens": [
                {"name": "ops", "token": {"value": OPERATOR}, "can": "operate"},
                {"name": "viewer", "token": {"value": VIEWER}, "can": "read"},
            ],
        });
        Self {
            root: json!({
                "server": {
                    "threads": 2,
                    "listen": [{"addr": "127.0.0.1:0"}],
                    "admin": admin,
                    "shutdown": {"lame_duck": "0s", "grace": "20s"},
                },
                "apps": [],
            }),
        }
    }
}

impl Config {
    /// One plain listener, an admin listener, two tokens and no app.
    pub fn new() -> Self {
        Self::default()
    }

    /// One app with versions in order, each with one endpoint.
    pub fn shop(versions: &[(&str, SocketAddr)]) -> Self {
        let app = versions.iter().fold(app("shop"), |app, (id, addr)| app.version(id, &[*addr]));
        Self::new().app(app)
    }

    /// With one more app.
    ///
    /// # Panics
    /// Never: `apps` is always a list.
    #[must_use]
    pub fn app(mut self, app: App) -> Self {
        self.root["apps"].as_array_mut().expect("a list").push(app.entry);
        self
    }

    /// With the value at a path of keys, such as `server.limits.body_bytes`.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        *at(&mut self.root, path) = value.into();
        self
    }

    /// The value at a path of keys.
    pub fn get(&self, path: &str) -> &Value {
        path.split('.').fold(&self.root, |value, key| &value[key])
    }

    /// How many listeners it has.
    pub fn listeners(&self) -> usize {
        self.get("server.listen").as_array().map_or(0, Vec::len)
    }

    /// The names of apps that have versions.
    pub fn apps(&self) -> Vec<&str> {
        let apps = self.get("apps").as_array().map(Vec::as_slice).unwrap_or_default();
        let with_versions = |app: &&Value| app["versions"].as_array().is_some_and(|list| !list.is_empty());
        apps.iter().filter(with_versions).filter_map(|app| app["name"].as_str()).collect()
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.root)
    }
}

impl App {
    /// With other hosts.
    #[must_use]
    pub fn hosts(self, hosts: &[&str]) -> Self {
        self.set("hosts", json!(hosts))
    }

    /// With one more version, the newest so far.
    ///
    /// # Panics
    /// Never: `versions` is always a list.
    #[must_use]
    pub fn version(mut self, id: &str, endpoints: &[SocketAddr]) -> Self {
        let version = json!({"id": id, "endpoints": endpoints});
        self.entry["versions"].as_array_mut().expect("a list").push(version);
        self
    }

    /// With the value at a path of keys.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        *at(&mut self.entry, path) = value.into();
        self
    }
}

/// The place of a value; objects on the way are made.
fn at<'v>(root: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(root, |value, key| {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        &mut value[key]
    })
}
