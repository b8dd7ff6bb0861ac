//! The configuration: one YAML file, read as a whole, with every mistake reported in one run.
//!
//! The text becomes a tree of values that know their place; the sections read it through cursors,
//! which collect mistakes; what comes out is a [`Config`], in which nothing can be invalid. Scalars
//! are read as they are written, so the version `1.10` stays `1.10`.
//!
//! Paths of certificates, keys, authorities and secrets are relative to the directory of the
//! configuration file, beside which they lie. `data_dir` is relative to the working directory, as
//! the directory of the file is often mounted read-only.

mod admin;
pub mod ai;
mod app;
pub mod audit;
mod claims;
mod context;
mod cookie;
mod cursor;
mod derived;
mod error;
mod kubernetes;
mod listen;
mod mapping;
mod masked;
pub mod model;
mod names;
mod overlay;
mod places;
mod policy;
mod restart;
pub mod secret;
mod server;
mod skew;
mod tree;
mod upstream;
pub mod value;
mod versions;

use std::collections::HashMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

pub use error::{ConfigError, ConfigErrors};
pub use model::Config;
pub use overlay::ClusterApps;
pub use places::{data_dir, refuse};
pub use restart::needs_restart;

use context::Context;
use cursor::Cursor;

/// The largest file that is read; ten thousand versions take a tenth of it.
const MAX_FILE: u64 = 16 << 20;

/// Where secrets of the form `{env: NAME}` come from.
pub trait Environment {
    /// The value of a variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// Why an address can't be listened on, where that is asked at all.
    fn refuses(&self, _addr: SocketAddr) -> Option<String> {
        None
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

/// The environment of this process, and its ports: each address is tried.
#[derive(Clone, Copy)]
struct Ports<'p> {
    bind: &'p dyn Fn(SocketAddr) -> Result<(), String>,
}

/// Reads and checks a configuration file and all that it names.
///
/// # Errors
/// All mistakes, each with its place.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    load_from(path, &ProcessEnvironment)
}

/// As [`load`], and tries every address with `bind`, so that a port in use is told together with
/// all else that is wrong.
///
/// # Errors
/// All mistakes, each with its place.
pub fn load_with_ports(
    path: &Path,
    bind: &dyn Fn(SocketAddr) -> Result<(), String>,
) -> Result<Config, ConfigErrors> {
    load_from(path, &Ports { bind })
}

fn load_from(path: &Path, environment: &dyn Environment) -> Result<Config, ConfigErrors> {
    let refuse = |message| ConfigErrors::single(ConfigError::whole_file(path, message));
    let bytes = read_file(path).map_err(refuse)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.split(|byte| *byte == b'\n').count();
        refuse(format!("is not UTF-8 in line {line}"))
    })?;
    parse(&text, path, environment)
}

/// Checks the text of a configuration; `file` names it in messages, and its directory is where
/// relative paths begin.
///
/// # Errors
/// All mistakes, each with its place.
pub fn parse(text: &str, file: &Path, environment: &dyn Environment) -> Result<Config, ConfigErrors> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(ConfigErrors::single(ConfigError::whole_file(file, too_large())));
    }
    let root = tree::parse(text)
        .map_err(|error| ConfigErrors::single(ConfigError::at(file, error.place, "", error.message)))?;
    let context = Context::new(file, environment);
    let config = config(&context.root(&root), file);
    context.finish(config)
}

fn config(root: &Cursor<'_>, file: &Path) -> Option<Config> {
    let map = root.mapping(&[&["server", "skew", "apps", "kubernetes", "ai", "audit"]]);
    let server = server::read(&map.section("server", &[server::KEYS]));
    let defaults = skew::read(&map.section("skew", &[skew::KEYS]), &skew::Defaults::built_in());
    let kubernetes = kubernetes::read(&map.section("kubernetes", &[kubernetes::KEYS]));
    let app::Apps { fixed: apps, of_cluster: entries } =
        app::read_all(&map.list("apps"), &defaults, kubernetes.enabled);
    let cluster_apps = Arc::new(ClusterApps { file: file.to_owned(), defaults, entries });
    let listen = server.as_ref().map(|server| server.listen.as_slice()).unwrap_or_default();
    let ai = map.get("ai").map(|at| Arc::new(ai::read(&at.mapping(&[ai::KEYS]), listen)));
    let audit = Arc::new(audit::read(&map.section("audit", &[audit::KEYS])));
    Some(Config { server: server?, apps, kubernetes, cluster_apps, ai, audit })
}

/// Reads a whole file, if it is one of a sensible size: pipes would be waited for, devices never end.
///
/// # Errors
/// What is wrong with it.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("cannot be read: it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> String {
    format!("is larger than {}", value::size_text(MAX_FILE))
}

// === impl Environment ===

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Environment for Ports<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        ProcessEnvironment.variable(name)
    }

    fn refuses(&self, addr: SocketAddr) -> Option<String> {
        (self.bind)(addr).err()
    }
}

impl<S: std::hash::BuildHasher> Environment for HashMap<String, String, S> {
    fn variable(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

#[cfg(test)]
mod tests;
