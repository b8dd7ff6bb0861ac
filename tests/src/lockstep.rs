//! The real binary.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::config::Config;
use crate::http1::Message;
use crate::metrics::Metrics;
use crate::poll::{eventually, until};
use crate::process::{Process, Signal};
use crate::raw::Request;
use crate::s3;

/// The token that may change things.
pub const OPERATOR: &str = "operator-token-0123456789";
/// The token that may only look.
pub const VIEWER: &str = "viewer-token-0123456789";

/// A running instance.
#[derive(Debug)]
pub struct Lockstep {
    /// Its process.
    pub process: Process,
    /// Its directory, with the configuration and the data.
    pub dir: TempDir,
    /// The first plain listener, if there is one.
    pub plain: Option<SocketAddr>,
    /// The first TLS listener, if there is one.
    pub tls: Option<SocketAddr>,
    /// The admin listener.
    pub admin: SocketAddr,
}

impl Lockstep {
    /// Starts an instance in a directory of its own and waits until it serves its apps.
    pub fn start(config: &Config) -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory"), config)
    }

    /// Starts an instance with files that are already there.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_in(dir: TempDir, config: &Config) -> Self {
        std::fs::write(config_in(&dir), with_data(config, &dir)).expect("the file is written");
        Self::start_with_file(dir, config)
    }

    /// Starts an instance with the configuration file that is already there; `config` says what is
    /// in it.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_with_file(dir: TempDir, config: &Config) -> Self {
        let instance = Self::launch(dir, config, &[]);
        until("the instance is ready", || instance.readiness() == 200);
        for app in config.apps() {
            until("an app has an active version", || instance.active(app).is_some());
        }
        instance
    }

    /// Starts an instance with the configuration file that is already there and these variables of
    /// the environment, and waits only until it listens.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn launch(dir: TempDir, config: &Config, environment: &[(&str, &OsStr)]) -> Self {
        let mut command = command();
        command.envs(environment.iter().copied());
        let mut process = Process::start("lockstep", command.arg("run").arg("--config").arg(config_in(&dir)));
        let addresses = eventually("the instance listens", || {
            assert!(process.exited().is_none(), "it ended: {:?}", process.stderr.all());
            addresses(&process, config.listeners())
        });
        let Addresses { plain, tls, admin } = addresses;
        Self { process, dir, plain, tls, admin }
    }

    /// The plain listener.
    ///
    /// # Panics
    /// If there is none.
    pub fn addr(&self) -> SocketAddr {
        self.plain.expect("a plain listener")
    }

    /// The TLS listener.
    ///
    /// # Panics
    /// If there is none.
    pub fn tls_addr(&self) -> SocketAddr {
        self.tls.expect("a TLS listener")
    }

    /// Sends a request to the plain listener, over a connection of its own.
    pub fn send(&self, request: &Request) -> Message {
        request.send(self.addr())
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        config_in(&self.dir)
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The text of a configuration file for this instance.
    pub fn text(&self, config: &Config) -> String {
        with_data(config, &self.dir)
    }

    /// Edits the configuration file in place.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(&self, config: &Config) {
        std::fs::write(self.config_file(), self.text(config)).expect("the file is written");
    }

    /// Edits the configuration file and waits until it is in force.
    pub fn reload(&self, config: &Config) {
        let before = self.reloads();
        self.write(config);
        until("the edit is in force", || self.reloads() > before);
    }

    /// Reloads that went well so far.
    pub fn reloads(&self) -> f64 {
        let metrics = self.metrics();
        let all = metrics.sum("lockstep_config_reload_total", &[]);
        all - metrics.sum("lockstep_config_reload_total", &[("result", "error")])
    }

    /// A scrape of its metrics.
    ///
    /// # Panics
    /// If the admin listener does not answer.
    pub fn metrics(&self) -> Metrics {
        let scrape = Request::get("/metrics").send(self.admin);
        assert_eq!(scrape.status(), 200, "{scrape:?}");
        Metrics::parse(&scrape.text())
    }

    /// Waits until the metric of refusals for `reason` has reached `count`.
    pub fn expect_refused(&self, reason: &str, count: f64) {
        until(&format!("{count} refusals for {reason}"), || self.metrics().refused(reason) >= count);
    }

    /// The status of `/readyz`; 0 if nobody answers.
    pub fn readiness(&self) -> u16 {
        Request::get("/readyz").try_send(self.admin).map_or(0, |answer| answer.status())
    }

    /// Asks the admin API.
    ///
    /// # Panics
    /// If it does not answer 200.
    pub fn api(&self, path: &str) -> Value {
        let answer = Request::get(&format!("/api/v1/{path}")).host("localhost").send(self.admin);
        assert_eq!(answer.status(), 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Changes something by the admin API, as the operator.
    pub fn operate(&self, path: &str) -> Message {
        Request::post(&format!("/api/v1/{path}"), "")
            .header("authorization", &format!("Bearer {OPERATOR}"))
            .send(self.admin)
    }

    /// The states of an app's versions, by id.
    ///
    /// # Panics
    /// If the admin API says something else.
    pub fn states(&self, app: &str) -> Vec<(String, String)> {
        let answer = self.api(&format!("apps/{app}/versions"));
        let versions = answer["versions"].as_array().expect("a list of versions");
        let text = |version: &Value, key: &str| version[key].as_str().expect("a string").to_owned();
        versions.iter().map(|version| (text(version, "id"), text(version, "state"))).collect()
    }

    /// The state of one version.
    pub fn state(&self, app: &str, version: &str) -> Option<String> {
        self.states(app).into_iter().find(|(id, _)| id == version).map(|(_, state)| state)
    }

    /// The active version of an app.
    pub fn active(&self, app: &str) -> Option<String> {
        self.states(app).into_iter().find(|(_, state)| state == "active").map(|(id, _)| id)
    }

    /// Waits until new visitors of the usual host get `version`.
    pub fn serves(&self, version: &str) {
        until(&format!("new visitors get {version}"), || {
            self.send(&Request::get("/")).header("x-lockstep-version") == Some(version)
        });
    }

    /// The lines of its access log so far.
    pub fn access_log(&self) -> Vec<Value> {
        self.process.stdout.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }
}

struct Addresses {
    plain: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    admin: SocketAddr,
}

/// The addresses that the log tells, once it tells all of them.
fn addresses(process: &Process, listeners: usize) -> Option<Addresses> {
    let lines = process.stderr.all();
    let field = |line: &str, key: &str| {
        let (_, rest) = line.split_once(&format!("{key}="))?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let address = |line: &str| field(line, "addr")?.parse().ok();
    let (admin, data): (Vec<_>, Vec<_>) = lines
        .iter()
        .filter(|line| line.contains("listening") && line.contains("addr="))
        .partition(|line| line.contains("admin listening"));
    if data.len() < listeners {
        return None;
    }
    let first = |tls: &str| {
        data.iter().find(|line| field(line, "tls").as_deref() == Some(tls)).and_then(|line| address(line))
    };
    Some(Addresses { plain: first("false"), tls: first("true"), admin: address(admin.first()?)? })
}

/// Runs a subcommand to its end.
///
/// # Panics
/// If it can't be started.
pub fn cli<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    command().args(arguments).output().expect("the binary runs")
}

/// A command line of an operator, to be filled in.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    command.env("LOCKSTEP_ADMIN_TOKEN", OPERATOR).envs(s3::CREDENTIALS);
    command
}

/// The binary: `LOCKSTEP_BIN`, or built from this workspace.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("LOCKSTEP_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let status = Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(["build", "--quiet", "--package", "lockstep", "--bin", "lockstep"])
        .current_dir(workspace)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the binary can't be built");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    target.join("debug/lockstep")
}

fn config_in(dir: &TempDir) -> PathBuf {
    dir.path().join("lockstep.yaml")
}

fn with_data(config: &Config, dir: &TempDir) -> String {
    let data = dir.path().join("data");
    config.clone().set("server.data_dir", data.to_str().expect("a path in UTF-8")).text()
}
