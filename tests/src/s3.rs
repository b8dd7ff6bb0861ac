//! A real S3 server that verifies signatures: versitygw, on a directory of its own. It comes and goes at one
//! address.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::poll::until;
use crate::process::Process;
use crate::{audit, tools};

/// The credentials that every instance of the suites has in its environment.
pub const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "suite-id"),
    ("AWS_SECRET_ACCESS_KEY", "suite-secret-0123456789"),
    ("AWS_REGION", REGION),
];
const BUCKET: &str = "records";
const REGION: &str = "eu-west-1";

/// The server, or where it will be.
#[derive(Debug)]
pub struct S3 {
    addr: SocketAddr,
    data: TempDir,
    process: Option<Process>,
}

impl S3 {
    /// A server with an empty bucket, that does not run yet.
    ///
    /// # Panics
    /// If the system gives it no place.
    pub fn away() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(data.path().join(BUCKET)).expect("a bucket");
        let addr = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        Self { addr, data, process: None }
    }

    /// Lets it run.
    pub fn come(&mut self) {
        let [(_, id), (_, secret), _] = CREDENTIALS;
        let mut command = tools::go_tool("versitygw");
        command.args(["--access", id, "--secret", secret, "--region", REGION, "--quiet", "--port"]);
        command.arg(self.addr.to_string()).arg("posix").arg(self.data.path());
        self.process = Some(Process::start("versitygw", &mut command));
        until("the S3 server listens", || TcpStream::connect(self.addr).is_ok());
    }

    /// Ends it as a crash does.
    pub fn go(&mut self) {
        self.process = None;
    }

    /// The sink of a configuration.
    pub fn sink(&self) -> Value {
        let endpoint = self.endpoint();
        json!({"kind": "s3", "bucket": BUCKET, "region": REGION, "endpoint": endpoint, "path_style": true})
    }

    /// Where it is, as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The bucket, as a URL.
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}/")
    }

    /// The records in the bucket, in the order of their objects.
    pub fn records(&self) -> Vec<Value> {
        audit::shipped(&self.bucket())
    }

    fn bucket(&self) -> PathBuf {
        self.data.path().join(BUCKET)
    }
}
