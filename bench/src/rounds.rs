//! Visits the contenders in turn, round after round, so that what else the machine does meets all.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::cli::Plan;
use crate::contender::Running;
use crate::cpu;
use crate::error::{Failure, Result};
use crate::load::{Load, Pins, Tally};

/// A contender under one kind of load, with what was measured.
pub struct Entrant {
    /// Its name in the table.
    pub label: String,
    /// The names of the entrants that its CPU time is compared with.
    pub against: Vec<String>,
    /// The running contender.
    pub running: Running,
    /// The load.
    pub pins: Rc<Pins>,
    /// One sample for each round.
    pub samples: Vec<Sample>,
}

/// What one visit showed.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// CPU time of the contender.
    pub cpu: Duration,
    /// The time measured.
    pub elapsed: Duration,
    /// What the clients saw.
    pub tally: Tally,
    /// Connections that the contender made to its origin.
    pub connects: u64,
    /// CPU time of what has nothing to do with the run.
    pub others: Duration,
}

impl Sample {
    /// CPU microseconds per request.
    pub fn cpu_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tally.right as f64
    }

    /// Requests per second.
    pub fn throughput(&self) -> f64 {
        self.tally.right as f64 / self.elapsed.as_secs_f64()
    }

    /// The cores that others kept busy.
    pub fn cores_of_others(&self) -> f64 {
        self.others.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// Connections to the origin per thousand requests.
    pub fn connects_per_thousand(&self) -> f64 {
        self.connects as f64 * 1e3 / self.tally.right as f64
    }
}

/// Visits every entrant once in each round; each round begins with another one.
///
/// # Errors
/// If an entrant ends, or answers nothing.
pub async fn run(entrants: &mut [Entrant], plan: &Plan, mut progress: impl FnMut(usize)) -> Result<()> {
    let count = entrants.len();
    for round in 0..plan.rounds {
        progress(round);
        for turn in 0..count {
            if let Some(entrant) = entrants.get_mut((round + turn) % count) {
                let sample = visit(entrant, plan).await?;
                entrant.samples.push(sample);
            }
        }
    }
    Ok(())
}

async fn visit(entrant: &Entrant, plan: &Plan) -> Result<Sample> {
    let running = &entrant.running;
    let load = Load::start(running.address, &entrant.pins, plan.connections);
    tokio::time::sleep(plan.warm_up).await;
    let connects = running.upstream_connections().await?;
    load.reset();
    let (began, cpu, others) = (Instant::now(), cpu::time(running.process.id())?, others()?);
    tokio::time::sleep(plan.seconds).await;
    let (elapsed, tally) = (began.elapsed(), load.tally());
    let cpu = cpu::time(running.process.id())?.saturating_sub(cpu);
    let others = self::others()?.saturating_sub(others);
    // Asking the origin is a connection too.
    let connects = running.upstream_connections().await?.saturating_sub(connects + 1);
    if tally.right == 0 {
        return Err(Failure::new(format!("{} gave no right answer: {tally:?}", entrant.label)));
    }
    Ok(Sample { cpu, elapsed, tally, connects, others })
}

/// What the machine did beside this program and its children.
fn others() -> Result<Duration> {
    Ok(cpu::machine()?.saturating_sub(cpu::time(std::process::id())?))
}
