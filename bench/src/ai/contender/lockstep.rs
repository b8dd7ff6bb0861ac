//! Lockstep: one provider for all models, no keys, no access log. Records are compressed as by default, and shipped
//! to a directory within a second.

use std::fs;
use std::process::Command;

use super::Setup;
use crate::error::{Context as _, Result};

pub(super) fn command(setup: &Setup<'_>, durability: &str) -> Result<Command> {
    let config = setup.dir.join("lockstep.yaml");
    fs::write(&config, yaml(setup, durability))
        .context(|| "cannot write Lockstep's configuration".to_owned())?;
    let mut command = Command::new(setup.program);
    command.arg("run").arg("--config").arg(config).env_remove("LOCKSTEP_LOG");
    Ok(command)
}

fn yaml(setup: &Setup<'_>, durability: &str) -> String {
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
ai:
  auth: none
  providers:
    bench: {{kind: openai, base_url: \"http://{provider}/v1\"}}
  models:
    \"*\": {{targets: [{{provider: bench}}]}}
audit:
  durability: {durability}
  batch: {{interval: 1s}}
",
        data = setup.dir.join("data").display(),
        threads = setup.threads,
        listen = setup.listen,
        provider = setup.provider,
    )
}
