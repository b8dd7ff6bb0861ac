//! A whole run: the tables that the plan asks for, one after the other.

use std::io::Write as _;

use tokio::task::LocalSet;

use crate::cli::Plan;
use crate::compare;
use crate::error::{Context as _, Failure, Result};
use crate::process;
use crate::report;

/// Runs the plan.
///
/// # Errors
/// If something cannot be measured, or a contender does not do what all must do.
pub fn run(plan: &Plan) -> Result<()> {
    process::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(|| "no runtime".to_owned())?;
    LocalSet::new().block_on(&runtime, tables(plan))
}

/// Tells the person at the terminal what went wrong.
pub fn complain(failure: &Failure) {
    // Nobody listens when it fails.
    let _closed = writeln!(std::io::stderr(), "lockstep-bench: {failure}");
}

async fn tables(plan: &Plan) -> Result<()> {
    report::say(&format!(
        "{} rounds of {:?} after {:?} of warm-up, {} connections, {} worker threads each, {} cores for all",
        plan.rounds,
        plan.seconds,
        plan.warm_up,
        plan.connections,
        plan.threads,
        std::thread::available_parallelism().map_or(0, usize::from),
    ));
    let mut left_out = Vec::new();
    if !plan.scale {
        left_out.extend(compare::pinned(plan).await?);
    }
    if !plan.pinned {
        left_out.extend(compare::scale(plan).await?);
    }
    if left_out.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("could not be measured: {}", left_out.join(", "))))
}
