//! The command line: what it takes, and what each command's exit code means.

mod audit;
mod check;
mod client;
mod explain;
mod keys;
mod render;
mod run;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use thiserror::Error;

pub(crate) use render::line;
pub(crate) use run::serve;

use crate::config::ConfigErrors;

/// The configuration that is used where none is named.
const DEFAULT_CONFIG: &str = "lockstep.yaml";

/// Edge proxy that keeps every visitor on the version of the app that they loaded.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve.
    Run(ConfigFile),
    /// Check, watch and ship audit records.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Check a configuration file and all that it names; exit code 64 if it can't be used.
    Check(check::Check),
    /// Run a small app in two versions behind the proxy, all on loopback.
    Demo(crate::demo::Demo),
    /// Say where a request would go, and why.
    Explain(explain::Explain),
    /// Make keys for callers of the AI gateway.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// See and change the versions of apps.
    #[command(subcommand)]
    Versions(versions::Versions),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Which running instance is asked.
#[derive(Debug, Args)]
struct Instance {
    /// The admin API to ask; else the one that LOCKSTEP_ADMIN names.
    #[arg(long, value_name = "URL", global = true)]
    admin: Option<String>,
    /// The configuration file whose admin address is asked.
    #[arg(long, short, value_name = "FILE", global = true, conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// Roots for an admin API whose certificate is a private one, in PEM; else those that LOCKSTEP_ADMIN_CA names.
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// The configuration can't be used.
    #[error("{0}")]
    Config(ConfigErrors),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// A command's result: what its process ends with.
type Outcome = Result<ExitCode, Failure>;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are printed to standard output and are no failure.
            let printed = error.print();
            return if error.use_stderr() || printed.is_err() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    install_crypto();
    let outcome = match cli.command {
        Command::Run(file) => run::run(&file.config),
        Command::Audit(command) => audit::run(&command),
        Command::Check(check) => check::check(&check),
        Command::Demo(demo) => crate::demo::run(&demo),
        Command::Explain(explain) => explain::run(&explain),
        Command::Keys(command) => keys::run(&command),
        Command::Versions(versions) => versions::run(&versions),
    };
    outcome.unwrap_or_else(|failure| {
        render::error(&failure.to_string());
        failure.code()
    })
}

/// Every TLS library in the process uses this provider; a second one would be an error later.
fn install_crypto() {
    // Fails only if there is one already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

impl Failure {
    /// 64 is EX_USAGE of sysexits(3), as other proxies use it for their configuration.
    fn code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(64),
            Self::Other(_) => ExitCode::FAILURE,
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Other(message)
    }
}
