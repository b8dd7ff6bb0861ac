//! Where the clients and servers of others are. `tests/setup/install.sh` brings them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The scripts and protocol files of the suites.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// A program that was installed by the setup script.
///
/// # Panics
/// If it is missing.
pub fn go_tool(name: &str) -> Command {
    let path = cache().join("bin").join(name);
    assert!(path.exists(), "{} is missing: run tests/setup/install.sh", path.display());
    Command::new(path)
}

/// Node with a script of the suites.
///
/// # Panics
/// If the packages of the scripts are missing.
pub fn node(script: &str) -> Command {
    let modules = cache().join("node/node_modules");
    assert!(modules.exists(), "{} is missing: run tests/setup/install.sh", modules.display());
    let mut command = Command::new("node");
    // `require` looks there; imports of modules would not.
    command.env("NODE_PATH", modules).arg(clients().join(script));
    command
}

/// Where the setup script keeps what it installs.
///
/// # Panics
/// If there is no home directory.
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home directory")).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("lockstep")
}
