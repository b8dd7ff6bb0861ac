//! curl, for what a client of our own could get wrong in the same way as the proxy.

use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use crate::http1::{self, Message};

/// A curl command in the making.
#[derive(Debug)]
pub struct Curl {
    command: Command,
}

impl Curl {
    /// For a URL of `host` that the proxy at `addr` answers.
    pub fn new(scheme: &str, host: &str, addr: SocketAddr, target: &str) -> Self {
        let mut command = Command::new("curl");
        let port = addr.port();
        command.args(["--silent", "--show-error", "--include", "--max-time", "30", "--noproxy", "*"]);
        command.args(["--connect-to", &format!("{host}:{port}:{addr}")]);
        command.arg(format!("{scheme}://{host}:{port}{target}"));
        Self { command }
    }

    /// With arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Trusting a certificate.
    #[must_use]
    pub fn trusting(mut self, certificate: &Path) -> Self {
        self.command.arg("--cacert").arg(certificate);
        self
    }

    /// Runs it.
    ///
    /// # Panics
    /// If curl can't be started.
    pub fn output(mut self) -> Output {
        self.command.output().expect("curl is installed (tests/setup/install.sh)")
    }

    /// Runs it and parses the response; its body is taken to the end, as curl has decoded it.
    ///
    /// # Panics
    /// If curl fails.
    pub fn response(self) -> Message {
        let output = self.output();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "curl: {} {errors}", output.status);
        let mut reader = BufReader::new(output.stdout.as_slice());
        let mut interim = Vec::new();
        loop {
            let head = http1::read_head(&mut reader).expect("a head").expect("a response");
            if (100..200).contains(&head.status()) {
                interim.push(head.status());
                continue;
            }
            let message = Message { interim, ..head };
            return http1::read_body(&mut reader, message, http1::Framing::Close).expect("a body");
        }
    }
}
