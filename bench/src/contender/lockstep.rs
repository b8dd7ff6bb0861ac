//! Lockstep: static versions, no access log, no health checks, as the others have none.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Setup;
use crate::error::{Context as _, Result};
use crate::layout::{host, version};

pub(super) fn command(setup: &Setup<'_>) -> Result<Command> {
    start(setup.program, setup.dir, &yaml(setup)?)
}

/// Starts Lockstep with a configuration.
///
/// # Errors
/// If that cannot be written.
pub fn start(program: &Path, dir: &Path, yaml: &str) -> Result<Command> {
    let config = dir.join("lockstep.yaml");
    fs::write(&config, yaml).context(|| "cannot write Lockstep's configuration".to_owned())?;
    let mut command = Command::new(program);
    command.arg("run").arg("--config").arg(config).env_remove("LOCKSTEP_LOG");
    Ok(command)
}

/// The section of the process itself.
pub fn server(dir: &Path, threads: usize, listen: SocketAddr) -> String {
    format!(
        "server:
  data_dir: {data}
  threads: {threads}
  listen:
    - addr: {listen}
  admin:
    addr: 127.0.0.1:0
  shutdown: {{lame_duck: 0s, grace: 1s}}
  access_log: {{format: off}}
",
        data = dir.join("data").display(),
    )
}

fn yaml(setup: &Setup<'_>) -> Result<String> {
    let mut yaml = server(setup.dir, setup.threads, setup.listen);
    yaml += "skew:
  grace: 24h
  max_alive: 48h
apps:
";
    for app in setup.layout.apps() {
        let written = writeln!(yaml, "  - name: app{app}\n    hosts: [{}]\n    versions:", host(app));
        written.context(|| "cannot write".to_owned())?;
        for number in setup.layout.versions() {
            let (id, endpoint) = (version(number), setup.endpoint(number)?);
            writeln!(yaml, "      - {{id: {id}, endpoints: [\"{endpoint}\"]}}")
                .context(|| "cannot write".to_owned())?;
        }
    }
    Ok(yaml)
}
