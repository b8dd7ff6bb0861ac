//! Visits the contenders in turn, cell after cell, round after round.

use std::fs;

use super::cell::Cell;
use super::contender::{Contender, Family};
use super::options::{CellOptions, QueuePlan};
use super::server::Server;
use super::visit::{Sample, visit};
use crate::error::{Context as _, Result};
use crate::report;

/// A contender in one cell, with what was measured.
pub(super) struct Entrant {
    pub(super) contender: Contender,
    pub(super) cell: Cell,
    pub(super) jobs: usize,
    /// One for each round that it finished.
    pub(super) samples: Vec<Sample>,
    /// Why it is not visited any more.
    failed: Option<String>,
}

impl Entrant {
    pub(super) fn new(contender: Contender, cell: Cell, plan: &QueuePlan) -> Self {
        Self { contender, cell, jobs: cell.jobs(contender, plan.percent), samples: Vec::new(), failed: None }
    }

    /// What went wrong, if something did.
    pub(super) fn failure(&self) -> Option<String> {
        let why = self.failed.as_ref()?;
        Some(format!("{} at {} ({why})", self.contender.name(), self.cell.label()))
    }
}

/// Visits every entrant once in each round. In each, another contender of a cell is the first.
pub(super) async fn run(entrants: &mut [Entrant], plan: &QueuePlan, family: Family) -> Result<()> {
    let dir = directory(plan)?;
    let server = Server::of(family, dir.path())?;
    for round in 0..plan.rounds {
        report::progress(round + 1, plan.rounds);
        for of_cell in entrants.chunk_by_mut(|one, next| one.cell == next.cell) {
            let count = of_cell.len();
            for turn in 0..count {
                if let Some(entrant) = of_cell.get_mut((round + turn) % count) {
                    take_turn(entrant, plan, server.as_ref()).await?;
                }
            }
        }
    }
    Ok(())
}

async fn take_turn(entrant: &mut Entrant, plan: &QueuePlan, server: Option<&Server>) -> Result<()> {
    if entrant.failed.is_some() {
        return Ok(());
    }
    let dir = directory(plan)?;
    let data = dir.path().join("data");
    fs::create_dir(&data).context(|| format!("cannot make {}", data.display()))?;
    server.map_or(Ok(()), Server::empty)?;
    let options = CellOptions {
        contender: entrant.contender,
        at: server.map_or_else(|| data.display().to_string(), Server::address),
        shape: entrant.cell.shape,
        concurrency: entrant.cell.concurrency,
        jobs: entrant.jobs,
        warm_up: entrant.contender.warm_up(),
        payload: plan.payload,
    };
    match visit(&options, server.map(Server::id), dir.path()).await {
        Ok(sample) => entrant.samples.push(sample),
        Err(failure) => entrant.failed = Some(failure.to_string()),
    }
    Ok(())
}

fn directory(plan: &QueuePlan) -> Result<tempfile::TempDir> {
    let dir = plan.dir.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in);
    dir.context(|| "no temporary directory".to_owned())
}
