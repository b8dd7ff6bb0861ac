//! The processes of the control plane: etcd, kube-apiserver, kube-controller-manager.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::{Api, asked, kubeconfig};
use crate::poll::within;
use crate::process::{Process, Signal};
use crate::tools;

/// The token of the administrator.
pub const ADMIN: &str = "admin-token";
/// The token of somebody without any role.
pub(super) const NOBODY: &str = "nobody-token";

/// Ports are free in a namespace of its own.
const SERVER: &str = "https://127.0.0.1:6443";
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";
/// How long the parts may take to get ready, on a busy machine.
const START: Duration = Duration::from_secs(120);
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,endpointslice-controller,\
    endpoints-controller,serviceaccount-controller,garbage-collector-controller,namespace-controller,\
    disruption-controller";

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order in which they end.
    manager: Mutex<Option<Process>>,
    api_server: Mutex<Process>,
    etcd: Mutex<Process>,
    admin: Api,
    files: Files,
}

#[derive(Debug)]
struct Files(TempDir);

impl ControlPlane {
    /// Starts all of it and waits until the API is ready.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start() -> Self {
        let plane = Self::start_still();
        *plane.manager.lock() = Some(start_manager(&plane.files));
        plane
    }

    /// Starts it without controllers, so that objects stay as they are written.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_still() -> Self {
        let files = Files::new();
        let etcd = start_etcd(&files);
        let mut api_server = start_api_server(&files);
        // Its certificate is made at its start: first a file, then what is in it.
        let whole = |pem: String| pem.trim_end().ends_with("-----END CERTIFICATE-----").then_some(());
        let made = within(START, || whole(std::fs::read_to_string(files.authority()).ok()?));
        made.expect("the API server makes a certificate");
        let admin = Api::new(SERVER, &files.authority(), ADMIN);
        await_ready(&admin, &mut api_server);
        kubeconfig::write(files.kubeconfig(), SERVER, Some(&files.authority()), ADMIN, "default");
        Self {
            manager: Mutex::new(None),
            api_server: Mutex::new(api_server),
            etcd: Mutex::new(etcd),
            admin,
            files,
        }
    }

    /// The administrator.
    pub fn admin(&self) -> &Api {
        &self.admin
    }

    /// Where the API server listens.
    pub fn server(&self) -> &'static str {
        SERVER
    }

    /// The certificates that its clients trust.
    pub fn authority(&self) -> PathBuf {
        self.files.authority()
    }

    /// The kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.files.kubeconfig()
    }

    /// A directory that lives as long.
    pub fn dir(&self) -> &Path {
        self.files.0.path()
    }

    /// Stops the API server where it is (SIGSTOP): connections stay, nothing is answered.
    pub fn pause_api_server(&self) {
        self.api_server.lock().signal(Signal::Stop);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume_api_server(&self) {
        self.api_server.lock().signal(Signal::Continue);
    }

    /// Kills the API server: connections are reset, new ones refused.
    pub fn kill_api_server(&self) {
        self.api_server.lock().kill();
    }

    /// Starts it again and waits until it is ready. The controllers, where there are any, start anew with it: those of
    /// before wait up to half a minute before they look for it again.
    pub fn start_api_server(&self) {
        let mut api_server = self.api_server.lock();
        *api_server = start_api_server(&self.files);
        await_ready(&self.admin, &mut api_server);
        let mut manager = self.manager.lock();
        if let Some(mut of_before) = manager.take() {
            of_before.kill();
            *manager = Some(start_manager(&self.files));
        }
    }

    /// Kills etcd and starts it again, with the same data.
    pub fn restart_etcd(&self) {
        let mut etcd = self.etcd.lock();
        etcd.kill();
        *etcd = start_etcd(&self.files);
        await_ready(&self.admin, &mut self.api_server.lock());
    }

    /// Forgets all older revisions in etcd: watches from before it, opened after a restart of the API server, are
    /// expired (410).
    ///
    /// # Panics
    /// If etcd refuses it.
    pub fn compact(&self) {
        let post = |path: &str, body: &str| {
            let mut answer = ureq::post(format!("{ETCD}{path}")).send(body).expect("etcd answers");
            let text = answer.body_mut().read_to_string().expect("a body");
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
        };
        let status = post("/v3/maintenance/status", "{}");
        let revision = status["header"]["revision"].as_str().expect("a revision");
        post("/v3/kv/compaction", &format!("{{\"revision\": {revision}, \"physical\": true}}"));
    }

    /// Starts kubectl as the administrator.
    pub fn kubectl(&self) -> Command {
        let mut command = program("kubectl");
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", self.dir());
        command
    }
}

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a directory"));
        let tokens = format!("{ADMIN},admin,admin,\"system:masters\"\n{NOBODY},nobody,nobody\n");
        std::fs::write(files.path("tokens.csv"), tokens).expect("the tokens");
        // Go reads no keys as rcgen writes them (PKCS #8, version 2).
        let mut openssl = Command::new("openssl");
        openssl.args(["genrsa", "-out"]).arg(files.path("service-account.key")).arg("2048");
        let made = openssl.output().expect("openssl runs");
        assert!(made.status.success(), "{made:?}");
        std::fs::write(files.path("audit.yaml"), asked::POLICY).expect("the audit policy");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn option(&self, option: &str, name: &str) -> String {
        format!("--{option}={}", self.path(name).display())
    }

    fn authority(&self) -> PathBuf {
        self.path("certificates/apiserver.crt")
    }

    fn kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }
}

fn start_etcd(files: &Files) -> Process {
    let urls = [
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        format!("--listen-peer-urls={ETCD_PEER}"),
        format!("--initial-advertise-peer-urls={ETCD_PEER}"),
        format!("--initial-cluster=default={ETCD_PEER}"),
    ];
    let mut command = program("etcd");
    command.arg(files.option("data-dir", "data")).args(["--unsafe-no-fsync", "--log-level=warn"]).args(urls);
    Process::start("etcd", &mut command)
}

fn start_api_server(files: &Files) -> Process {
    let mut command = program("kube-apiserver");
    command
        .arg(format!("--etcd-servers={ETCD}"))
        .args(["--secure-port=6443", "--bind-address=127.0.0.1", "--advertise-address=10.77.0.1"])
        .args(["--service-cluster-ip-range=10.0.0.0/16", "--endpoint-reconciler-type=none"])
        .args(["--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc"])
        .arg(files.option("audit-policy-file", "audit.yaml"))
        .arg(files.option("audit-log-path", asked::FILE))
        .arg(files.option("cert-dir", "certificates"))
        .arg(files.option("token-auth-file", "tokens.csv"))
        .arg(files.option("service-account-key-file", "service-account.key"))
        .arg(files.option("service-account-signing-key-file", "service-account.key"));
    Process::start("kube-apiserver", &mut command)
}

fn start_manager(files: &Files) -> Process {
    let kubeconfig = ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"];
    let mut command = program("kube-controller-manager");
    command
        .args(kubeconfig.map(|option| format!("--{option}={}", files.kubeconfig().display())))
        .args(["--leader-elect=false", "--secure-port=0", &format!("--controllers={CONTROLLERS}")])
        .arg(files.option("service-account-private-key-file", "service-account.key"))
        .arg(format!("--root-ca-file={}", files.authority().display()));
    Process::start("kube-controller-manager", &mut command)
}

fn await_ready(admin: &Api, api_server: &mut Process) {
    let ready = within(START, || {
        assert!(api_server.exited().is_none(), "the API server has ended");
        admin.get("/readyz").ok()
    });
    ready.expect("the API server gets ready");
}

/// A program of the control plane, from `KUBEBUILDER_ASSETS` or as the setup script built it.
fn program(name: &str) -> Command {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let dirs = assets.into_iter().chain([tools::cache().join("kubernetes")]);
    let path = dirs.map(|dir| dir.join(name)).find(|path| path.exists());
    Command::new(path.unwrap_or_else(|| panic!("{name} is missing: run tests/setup/install.sh")))
}
