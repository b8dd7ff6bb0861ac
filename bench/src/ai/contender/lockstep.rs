//! Lockstep: one provider for all models, no keys, no access log. Records are compressed as by default, and shipped
//! to a directory within a second.

use std::process::Command;

use super::Setup;
use crate::contender::lockstep::{server, start};
use crate::error::Result;

pub(super) fn command(setup: &Setup<'_>, durability: &str) -> Result<Command> {
    start(setup.program, setup.dir, &yaml(setup, durability))
}

fn yaml(setup: &Setup<'_>, durability: &str) -> String {
    format!(
        "{server}ai:
  auth: none
  providers:
    bench: {{kind: openai, base_url: \"http://{provider}/v1\", http2: {http2}}}
  models:
    \"*\": {{targets: [{{provider: bench}}]}}
audit:
  durability: {durability}
  batch: {{interval: 1s}}
",
        server = server(setup.dir, setup.threads, setup.listen),
        provider = setup.provider.address,
        http2 = setup.provider.http2,
    )
}
