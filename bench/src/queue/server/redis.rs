//! Redis that writes nothing to the disk.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{PATIENCE, wait};
use crate::contender::search;
use crate::error::{Context as _, Failure, Result, demand};
use crate::process::{Process, free_address};

/// A running Redis server. Dropping it ends it.
pub(in crate::queue) struct Redis {
    process: Process,
    address: SocketAddr,
}

impl Redis {
    /// Starts one.
    pub(super) fn start(dir: &Path) -> Result<Self> {
        let program = program().ok_or_else(|| Failure::new("no redis-server"))?;
        let address = free_address()?;
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(address.port().to_string()).arg("--dir").arg(dir);
        let mut process = Process::start(command, "redis", dir)?;
        wait(&mut process, "Redis", || ask(address, "PING").is_ok())?;
        Ok(Self { process, address })
    }

    /// The id of its process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where clients find it.
    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Removes everything in it.
    pub(super) fn empty(&self) -> Result<()> {
        ask(self.address, "FLUSHALL")
    }
}

fn ask(address: SocketAddr, command: &str) -> Result<()> {
    let context = || "cannot ask Redis".to_owned();
    let mut stream = TcpStream::connect(address).context(context)?;
    stream.set_read_timeout(Some(PATIENCE)).context(context)?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).context(context)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context(context)?;
    demand(answer.starts_with('+'), || format!("Redis says {answer}"))
}

/// Its program, if this machine has it.
pub(super) fn program() -> Option<PathBuf> {
    search("redis-server")
}
