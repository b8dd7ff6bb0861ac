//! `lockstep run`.

use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::Builder;

use super::{Failure, Outcome};
use crate::logging;
use crate::process::{self, Process, StartError};

/// Threads for everything but requests: states, files, health checks, the admin API.
const CONTROL_THREADS: usize = 2;

pub(super) fn run(file: &Path) -> Outcome {
    logging::start();
    let process = Process::build(file, std::io::stdout())?;
    serve(process)
}

/// Runs a process to its end.
pub(crate) fn serve(process: Process) -> Outcome {
    let runtime = Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| format!("the system gives no runtime: {error}"))?;
    let outcome = runtime.block_on(process.run())?;
    // After an orderly end nothing is left; after a second signal nobody waits.
    runtime.shutdown_background();
    Ok(match outcome {
        process::Outcome::Ended => ExitCode::SUCCESS,
        process::Outcome::Killed | process::Outcome::Failed => ExitCode::FAILURE,
    })
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(errors) => Self::Config(errors),
            other => Self::Other(other.to_string()),
        }
    }
}
