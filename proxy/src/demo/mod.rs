//! `lockstep demo`: a small web app in two versions behind the proxy, all in one process on
//! loopback, from a configuration that people may edit while it runs.

mod app;
mod launch;
mod provider;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use thiserror::Error;

use crate::cli::{Failure, serve};
use crate::logging;
use crate::process::Process;

/// Run a small app in two versions behind the proxy, all on loopback.
#[derive(Debug, Args)]
pub struct Demo {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Run one version of the demo app alone, to put it behind a proxy of your own.
    App {
        /// The version that it shows.
        #[arg(long, default_value = "v1")]
        version: String,
        /// Where it listens; port 0 lets the system choose.
        #[arg(long, default_value = "127.0.0.1:9101")]
        addr: SocketAddr,
    },
}

/// Why the demo did not start.
#[derive(Debug, Error)]
pub enum DemoError {
    /// Another one runs, whose files must not be touched.
    #[error("demo: one runs already in {directory}; end it first, or start this one in another folder")]
    Running {
        /// Its directory.
        directory: &'static str,
    },
    /// A file or a socket can't be had.
    #[error("demo: {what}: {source}")]
    Io {
        /// What it was for.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Runs the demo, or a part of it, until Ctrl-C.
///
/// # Errors
/// If it does not start.
pub fn run(demo: &Demo) -> Result<ExitCode, Failure> {
    match &demo.part {
        Some(Part::App { version, addr }) => app_alone(version, *addr),
        None => whole(),
    }
}

fn whole() -> Result<ExitCode, Failure> {
    logging::start_quiet();
    let launched = launch::launch().map_err(|error| Failure::Other(error.to_string()))?;
    let process = Process::build(&launched.config, std::io::sink())?;
    launch::greet(&launched, &process);
    let code = serve(process);
    // The apps outlive the proxy, so that its last requests are answered.
    launched.apps.into_iter().for_each(app::Running::stop);
    code
}

fn app_alone(version: &str, addr: SocketAddr) -> Result<ExitCode, Failure> {
    let app = app::start(version, addr).map_err(|error| Failure::Other(error.to_string()))?;
    crate::cli::line(&format!("listening addr={}", app.addr));
    app.until_interrupted();
    Ok(ExitCode::SUCCESS)
}
