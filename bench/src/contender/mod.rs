//! The proxies that are compared: how each is configured and started.

mod bare;
mod envoy;
mod haproxy;
pub mod lockstep;
pub mod nginx;
mod running;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use running::Running;

use crate::cli::Kind;
use crate::error::Result;
use crate::layout::Layout;

/// What a contender is started with.
pub struct Setup<'a> {
    /// The apps and versions it routes to.
    pub layout: Layout,
    /// Its worker threads or processes.
    pub threads: usize,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The endpoint of v1, v2 and so on.
    pub origins: &'a [SocketAddr],
    /// A directory of its own.
    pub dir: &'a Path,
    /// Its program.
    pub program: &'a Path,
}

impl Setup<'_> {
    /// The endpoint of a version.
    fn endpoint(&self, version: usize) -> Result<SocketAddr> {
        let endpoint = self.origins.iter().cycle().nth(version % self.origins.len().max(1));
        endpoint.copied().ok_or_else(|| crate::Failure::new("no origin"))
    }
}

/// The name in tables and file names.
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bare => "bare",
        Kind::BareNosteal => "bare-nosteal",
        Kind::Lockstep => "lockstep",
        Kind::Nginx => "nginx",
        Kind::Haproxy => "haproxy",
        Kind::Envoy => "envoy",
    }
}

/// The program of a contender, if this machine has it.
pub fn program(kind: Kind, lockstep: Option<&Path>) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    match kind {
        Kind::Bare | Kind::BareNosteal => Some(own),
        Kind::Lockstep => Some(lockstep.map_or_else(|| own.with_file_name("lockstep"), Path::to_owned))
            .filter(|path| path.is_file()),
        kind => search(name(kind)),
    }
}

/// Writes the configuration and says how to start the contender.
fn command(kind: Kind, setup: &Setup<'_>) -> Result<Command> {
    match kind {
        Kind::Bare => bare::command(setup, true),
        Kind::BareNosteal => bare::command(setup, false),
        Kind::Lockstep => lockstep::command(setup),
        Kind::Nginx => nginx::command(setup),
        Kind::Haproxy => haproxy::command(setup),
        Kind::Envoy => envoy::command(setup),
    }
}

/// Looks in `PATH`, where daemons are, and where `setup.sh` puts things.
pub fn search(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let peers = cache().map(|cache| cache.join("peers"));
    let places = std::env::split_paths(&path).chain(daemons).chain(peers);
    places.map(|place| place.join(name)).find(|program| program.is_file())
}

/// Where `setup.sh` puts things.
pub fn cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    cache.map(|cache| cache.join("lockstep"))
}
