//! Side-by-side runs of the job queue against job queues of others.
//!
//! A cell is one shape of load at one concurrency. Every visit of a cell runs in a process of its own,
//! on a storage that is empty; the contenders of a storage take turns, round after round. A visit ends
//! when the last completion is stored. CPU time counts from the first job to the last, of the
//! contender's process and of the server that it uses.

pub mod cell;
pub mod contender;
pub mod options;
pub mod ours;
mod peers;
mod rounds;
mod server;
mod table;
mod visit;

use cell::Cell;
use contender::{Contender, Family};
use options::QueuePlan;
use rounds::Entrant;

use crate::error::{Context as _, Failure, Result};
use crate::report;

/// Runs the plan: a table for each kind of storage.
///
/// # Errors
/// If a contender that is there cannot be measured.
pub fn run(plan: &QueuePlan) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context(|| "no runtime".to_owned())?.block_on(tables(plan))
}

async fn tables(plan: &QueuePlan) -> Result<()> {
    report::say(&format!(
        "{} rounds, payloads of {} bytes, handlers that do nothing, {} cores for all",
        plan.rounds,
        plan.payload,
        std::thread::available_parallelism().map_or(0, usize::from),
    ));
    let mut failed = Vec::new();
    for family in Family::ALL {
        failed.extend(compare(plan, family).await?);
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("did not finish: {}", failed.join(", "))))
}

/// Measures the contenders of one kind of storage. Returns what did not finish.
async fn compare(plan: &QueuePlan, family: Family) -> Result<Vec<String>> {
    let mut contenders: Vec<Contender> = family.contenders().filter(|one| plan.wants(*one)).collect();
    if contenders.is_empty() {
        return Ok(Vec::new());
    }
    report::say(&format!("\n{}", family.title()));
    contenders.retain(|contender| {
        let missing = contender.missing();
        if let Some(why) = &missing {
            report::say(&format!("  {}: LEFT OUT, {why}", contender.name()));
        }
        missing.is_none()
    });
    let mut entrants = Vec::new();
    for cell in Cell::all(plan) {
        entrants.extend(contenders.iter().map(|contender| Entrant::new(*contender, cell, plan)));
    }
    rounds::run(&mut entrants, plan, family).await?;
    table::print(&entrants, family);
    Ok(entrants.iter().filter_map(Entrant::failure).collect())
}
