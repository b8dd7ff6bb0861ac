//! Origins that are not ours: nginx and Node.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::poll::{eventually, until};
use crate::process::Process;
use crate::raw::Request;
use crate::tools;

/// A server process with its address.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub addr: SocketAddr,
    dir: Option<TempDir>,
}

impl Server {
    /// A script that prints `listening PORT`.
    pub fn node(script: &str, arguments: &[&str]) -> Self {
        let process = Process::start(script, tools::node(script).args(arguments));
        let addr = eventually("the script listens", || {
            let line = process.stdout.find("listening ")?;
            let port: u16 = line.rsplit(' ').next()?.parse().ok()?;
            Some(SocketAddr::from(([127, 0, 0, 1], port)))
        });
        Self { process, addr, dir: None }
    }

    /// nginx with `body` as the body of its `server` block.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn nginx(body: &str) -> Self {
        // Nginx can't tell the port that the system chose for it, so that one is asked for before.
        // Whoever takes it in between makes nginx fail, and the next try begins.
        (0..5).find_map(|_| Self::try_nginx(body)).expect("nginx starts")
    }

    fn try_nginx(body: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let addr = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
        std::fs::write(dir.path().join("nginx.conf"), nginx_conf(dir.path(), addr, body)).expect("its file");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(dir.path().join("nginx.conf")).arg("-p").arg(dir.path());
        let mut process = Process::start("nginx", command.args(["-g", "daemon off;"]));
        until("nginx answers or ends", || {
            process.exited().is_some() || Request::get("/").try_send(addr).is_ok()
        });
        process.exited().is_none().then(|| Self { process, addr, dir: Some(dir) })
    }

    /// The directory of nginx, with the files of its root in `html`.
    ///
    /// # Panics
    /// If it is no nginx.
    pub fn html(&self) -> std::path::PathBuf {
        self.dir.as_ref().expect("nginx has a directory").path().join("html")
    }
}

fn nginx_conf(dir: &Path, addr: SocketAddr, body: &str) -> String {
    let dir = dir.display();
    std::fs::create_dir_all(format!("{dir}/html")).expect("a directory");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {dir}/{name};\n"))
        .collect();
    format!(
        "worker_processes 1;\npid {dir}/nginx.pid;\nerror_log stderr;\nuser root;\n\
         events {{ worker_connections 512; }}\n\
         http {{\naccess_log off;\nclient_max_body_size 64m;\n{temporary}\
         server {{\nlisten {addr};\nroot {dir}/html;\n{body}\n}}\n}}\n"
    )
}
