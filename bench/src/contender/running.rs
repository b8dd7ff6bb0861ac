//! A contender that runs, with its origin behind it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Setup, command, name};
use crate::cli::Kind;
use crate::error::{Context as _, Failure, Result};
use crate::layout::Layout;
use crate::load::{Connection, request};
use crate::origin::ACCEPTED;
use crate::process::{Process, free_address};

/// How long a contender may take to read its configuration and listen.
const START: Duration = Duration::from_secs(60);
/// Endpoints behind each contender; versions beyond start over.
const ENDPOINTS: usize = 10;

/// A contender and its origin. Dropping it ends both.
pub struct Running {
    /// The contender's process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it routes to.
    pub layout: Layout,
    origin: SocketAddr,
    _origin: Process,
}

impl Running {
    /// Starts both and waits until the contender listens.
    pub async fn start(
        kind: Kind,
        program: &Path,
        layout: Layout,
        threads: usize,
        dir: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(dir).context(|| format!("cannot make {}", dir.display()))?;
        let (origin_process, origins) = start_origin(layout.versions.min(ENDPOINTS))?;
        let listen = free_address()?;
        let setup = Setup { layout, threads, listen, origins: &origins, dir, program };
        let mut process = Process::start(command(kind, &setup)?, name(kind), dir)?;
        let origin = *origins.first().ok_or_else(|| Failure::new("the origin gave no address"))?;
        process.listens(listen, START).await.context(|| name(kind).to_owned())?;
        Ok(Self { process, address: listen, layout, origin, _origin: origin_process })
    }

    /// The connections that its origin has accepted.
    pub async fn upstream_connections(&self) -> Result<u64> {
        let context = || "cannot ask the origin".to_owned();
        let mut connection = Connection::open(self.origin).await.context(context)?;
        let answer = connection.ask(&request("origin", ACCEPTED, None)).await.context(context)?;
        String::from_utf8_lossy(answer.body).parse().context(context)
    }
}

fn start_origin(addresses: usize) -> Result<(Process, Vec<SocketAddr>)> {
    let own = std::env::current_exe().context(|| "cannot find this program".to_owned())?;
    let mut command = Command::new(own);
    command.arg("origin");
    for _ in 0..addresses {
        command.args(["--addr", "127.0.0.1:0"]);
    }
    let (process, lines) = Process::start_talking(command, "the origin", addresses)?;
    let addresses: std::result::Result<Vec<_>, _> = lines.iter().map(|line| line.parse()).collect();
    Ok((process, addresses.context(|| "the origin gave no address".to_owned())?))
}
