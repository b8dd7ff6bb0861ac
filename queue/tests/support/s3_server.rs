//! A real S3 server that verifies signatures: versitygw, on a directory of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lockstep_queue::ship::s3::{Credentials, S3Options};

pub(crate) const BUCKET: &str = "bucket";
const REGION: &str = "eu-west-1";
const ID: &str = "test-id";
const SECRET: &str = "test-secret";

/// Ends with the value.
pub(crate) struct S3Server {
    data: tempfile::TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl S3Server {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(data.path().join("data").join(BUCKET)).unwrap();
        // Nobody else gets it before the server takes it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Self { data, address, process: None };
        server.restart();
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As after a crash.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        let binary = binary();
        let process = Command::new(&binary)
            .args(["--access", ID, "--secret", SECRET, "--region", REGION, "--quiet", "--port"])
            .arg(self.address.to_string())
            .arg("posix")
            .arg(self.data.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.unwrap_or_else(|error| {
            panic!(
                "{} does not start: {error}; `make test` installs it (tests/setup/install.sh)",
                binary.display()
            )
        });
        self.process = Some(process);
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "the S3 server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Options for a server at an address.
pub(crate) fn options(address: SocketAddr) -> S3Options {
    S3Options {
        endpoint: Some(format!("http://{address}")),
        path_style: true,
        credentials: keys(SECRET),
        timeout: Duration::from_secs(10),
        ..S3Options::new(BUCKET, REGION)
    }
}

pub(crate) fn keys(secret: &str) -> Credentials {
    Credentials::Keys { id: ID.to_owned(), secret: secret.to_owned(), token: None }
}

fn binary() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    cache.join("lockstep/bin/versitygw")
}
