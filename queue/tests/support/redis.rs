//! A real Redis or Valkey server with a data folder of its own, on a free port. It ends with the test process, however
//! that ends: a shell beside it waits for the end of its standard input.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// Says the server's process id, and kills it when its own standard input ends.
const KEEPER: &str = r#""$@" </dev/null & echo $!; read -r _; kill -9 $! 2>/dev/null; wait"#;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Redis,
    Valkey,
}

/// A server. It may be running or not.
#[derive(Debug)]
pub(crate) struct Server {
    flavour: Flavour,
    port: u16,
    directory: tempfile::TempDir,
    settings: Vec<String>,
    running: Option<(Child, u32)>,
}

impl Flavour {
    /// The one of this kind that all tests of this process share; each uses a prefix of its own.
    pub(crate) fn shared(self) -> &'static Server {
        static REDIS: OnceLock<Server> = OnceLock::new();
        static VALKEY: OnceLock<Server> = OnceLock::new();
        let shared = match self {
            Self::Redis => &REDIS,
            Self::Valkey => &VALKEY,
        };
        shared.get_or_init(|| Server::start(self, &[]))
    }

    /// Where its program is.
    fn program(self) -> PathBuf {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let (name, mut folders) = match self {
            Self::Redis => ("redis-server", std::env::split_paths(&path).collect::<Vec<_>>()),
            Self::Valkey => ("valkey-server", vec![cache().join("bin")]),
        };
        folders.retain(|folder| folder.join(name).exists());
        let folder = folders.first();
        folder
            .unwrap_or_else(|| {
                panic!("{name} is not installed; `make test` installs it (tests/setup/install.sh)")
            })
            .join(name)
    }
}

impl Server {
    /// Starts one that keeps nothing on disk unless the settings say so, such as `["--appendonly", "yes"]`.
    pub(crate) fn start(flavour: Flavour, settings: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut server = Self { flavour, port, directory, settings, running: None };
        server.resume();
        server
    }

    /// Starts one that follows another.
    pub(crate) fn replica_of(primary: &Self, settings: &[&str]) -> Self {
        let port = primary.port.to_string();
        let follow = ["--replicaof", "127.0.0.1", &port];
        let replica = Self::start(primary.flavour, &[&follow, settings].concat());
        replica.until("INFO replication", "master_link_status:up");
        primary.until("INFO replication", "state=online");
        replica
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it again, on the same port with the same data.
    pub(crate) fn resume(&mut self) {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(self.flavour.program());
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--repl-diskless-sync-delay",
            "0",
            "--dir",
        ]);
        command.arg(self.directory.path()).args(["--logfile", "log"]).args(&self.settings);
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(keeper.stdout.as_mut().unwrap()).read_line(&mut pid).unwrap();
        self.running = Some((keeper, pid.trim().parse().unwrap()));
        // One that wants a password first says so.
        self.until("ECHO NOAUTH", "NOAUTH");
    }

    /// Kills it, as when its process crashes.
    pub(crate) fn kill(&mut self) {
        if let Some((mut keeper, _)) = self.running.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let (_, pid) = self.running.as_ref().unwrap();
        let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Asks it in words without spaces, on a connection of its own. What it says, as it comes over the wire.
    pub(crate) fn ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Asks until the answer has this in it.
    pub(crate) fn until(&self, command: &str, wanted: &str) {
        let begun = Instant::now();
        while !self.ask(command).is_ok_and(|answer| answer.contains(wanted)) {
            assert!(begun.elapsed() < START, "no {wanted:?} from {command:?}: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where tests/setup/install.sh puts what Debian does not bring.
fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("lockstep")
}
