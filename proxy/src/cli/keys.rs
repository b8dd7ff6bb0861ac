//! `lockstep keys`: keys for callers of the AI gateway.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Failure, Outcome, render};
use crate::ai::keys;

/// Bytes of chance in a key: nobody guesses one.
const LENGTH: usize = 32;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a key. It is shown once; the configuration gets its digest.
    New(New),
}

/// Make a key.
#[derive(Debug, Args)]
pub(super) struct New {
    /// What records and metrics call it.
    #[arg(long, value_name = "ID", default_value = "my-team")]
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Keys) -> Outcome {
    let Keys::New(new) = command;
    let valid = (1..=63).contains(&new.id.len())
        && new.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !valid {
        return Err(Failure::Other(format!("{:?} is not an id; write 1 to 63 of A-Z a-z 0-9 . _ -", new.id)));
    }
    let key = format!("lsk-{}", hex::encode(rand::random::<[u8; LENGTH]>()));
    let sha256 = hex::encode(keys::digest(&key));
    if new.json {
        render::json(&serde_json::json!({"key": key, "id": new.id, "sha256": sha256}));
    } else {
        render::line(&format!(
            "Key, for the caller; it is not shown again:\n\n  {key}\n\nEntry of ai.keys, for the configuration:\n\n  - {{id: {}, sha256: \"{sha256}\"}}",
            new.id
        ));
    }
    Ok(ExitCode::SUCCESS)
}
