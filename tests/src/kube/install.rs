//! Lockstep in a cluster as it ships: its manifests, and the real binary as its StatefulSet would run it, with
//! the token of its service account.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::Cluster;
use crate::config::Config;
use crate::lockstep::{Lockstep, OPERATOR, cli};
use crate::poll::{until, until_in};
use crate::raw::Request;

/// The namespace that Lockstep ships for.
pub const SYSTEM: &str = "lockstep-system";
/// The name of its only replica.
const REPLICA: &str = "lockstep-0";
/// How long a replica may take to see a cluster again whose API server was away: that has to start, and watches
/// that failed wait before they are tried again.
const REUNION: Duration = Duration::from_secs(60);

/// A file or directory below `conf/k8s`.
///
/// # Panics
/// If its path is not UTF-8.
pub fn shipped(name: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/k8s");
    root.join(name).to_str().expect("a path in UTF-8").to_owned()
}

/// A configuration that follows a cluster at a quick pace and ships its records soon.
pub fn following() -> Config {
    let kubernetes = json!({"enabled": true, "heartbeat": "1s", "lease": {"duration": "3s", "renew": "1s"}});
    Config::new()
        .set("kubernetes", kubernetes)
        .set("audit", json!({"compression": "none", "batch": {"interval": "200ms"}}))
}

impl Cluster {
    /// Applies one of the shipped overlays and the operator's secret, as the guide says.
    pub fn install(&self, overlay: &str) {
        self.apply_crd();
        let token = format!("--from-literal=token={OPERATOR}");
        let secret = ["create", "secret", "generic", "lockstep-admin", &token];
        self.kubectl(&[&["-n", SYSTEM], &secret[..]].concat());
        self.apply_overlay(overlay);
    }

    /// Applies one of the shipped overlays, perhaps in place of another.
    pub fn apply_overlay(&self, overlay: &str) {
        self.kubectl(&["apply", "--server-side", "-k", &shipped(overlay)]);
    }

    /// Applies the namespace of Lockstep and the definition of `VersionedApp`, and waits until it can be used.
    pub fn apply_crd(&self) {
        let (namespace, crd) = (shipped("base/namespace.yaml"), shipped("base/crd.yaml"));
        self.kubectl(&["apply", "--server-side", "-f", &namespace, "-f", &crd]);
        let name = "crd/versionedapps.lockstep.dev";
        self.kubectl(&["wait", "--for=condition=Established", name, "--timeout=20s"]);
        // For a moment its storage is being made (429).
        let apps = "/apis/lockstep.dev/v1/versionedapps";
        until("it is served", || self.admin().get(apps).is_ok());
    }

    /// Starts a replica with the rights of the service account that ships.
    pub fn replica(&self, config: &Config) -> Lockstep {
        let dir = tempfile::tempdir().expect("a directory");
        self.replica_as(config, &self.kubeconfig_of(SYSTEM, "lockstep"), dir)
    }

    /// Starts a replica by another kubeconfig, in a directory that may hold what an earlier one left.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn replica_as(&self, config: &Config, kubeconfig: &Path, dir: TempDir) -> Lockstep {
        let data = dir.path().join("data");
        let text = config.clone().set("server.data_dir", data.to_str().expect("a path in UTF-8")).text();
        self.replica_with(&text, config, kubeconfig, dir)
    }

    /// Starts a replica with this text as its configuration file; `config` says what is in it.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn replica_with(&self, text: &str, config: &Config, kubeconfig: &Path, dir: TempDir) -> Lockstep {
        std::fs::write(dir.path().join("lockstep.yaml"), text).expect("the file is written");
        let environment = [
            ("KUBECONFIG", kubeconfig.as_os_str()),
            ("POD_NAMESPACE", OsStr::new(SYSTEM)),
            ("POD_NAME", OsStr::new(REPLICA)),
        ];
        Lockstep::launch(dir, config, &environment)
    }
}

impl Lockstep {
    /// Runs `lockstep versions …` against this instance, as the operator.
    pub fn try_versions(&self, arguments: &[&str]) -> Output {
        let admin = format!("http://{}", self.admin);
        cli([&["versions"], arguments, &["--admin", &admin]].concat())
    }

    /// Runs `lockstep versions …` against this instance, and gives back what it prints.
    ///
    /// # Panics
    /// If it fails.
    pub fn versions(&self, arguments: &[&str]) -> String {
        let output = self.try_versions(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "lockstep versions {}: {out}{err}", arguments.join(" "));
        out.into_owned()
    }

    /// What a visitor with this pin gets.
    pub fn pinned(&self, version: &str) -> String {
        self.send(&Request::get("/").pinned(version)).origin().to_owned()
    }

    /// Waits until the cluster is seen as it is, and nothing is wrong.
    pub fn sees_the_cluster_again(&self) {
        until_in(REUNION, "the cluster is seen again", || {
            let status = self.api("status");
            status["snapshot_stale"] == false && status["degraded"] == false
        });
    }

    /// All that is wrong, as the admin API tells it.
    pub fn problems(&self) -> String {
        self.api("problems")["problems"].to_string()
    }
}
