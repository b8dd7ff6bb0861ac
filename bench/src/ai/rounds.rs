//! Visits the contenders in turn, shape after shape, round after round, so that what else the machine does
//! meets all.

use std::time::{Duration, Instant};

use super::contender::{Contender, Running};
use super::load::Load;
use super::meter::Tally;
use super::options::AiPlan;
use super::shape::Shape;
use super::shipping::{Shipping, shipped};
use crate::cpu;
use crate::error::Result;

/// What a contender did under one shape of load.
pub struct Series {
    /// Who.
    pub contender: Contender,
    /// The load.
    pub shape: Shape,
    /// One for each round in which it answered.
    pub samples: Vec<Sample>,
}

/// What one visit showed.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The round.
    pub round: usize,
    /// CPU time of the contender, without that of shipping records.
    pub cpu: Duration,
    /// CPU time of shipping, until all records since the beginning of the load were shipped.
    pub shipping: Duration,
    /// The time measured.
    pub elapsed: Duration,
    /// What the clients saw.
    pub tally: Tally,
    /// CPU time of what has nothing to do with the run.
    pub others: Duration,
}

impl Sample {
    /// CPU microseconds for each of what is counted, shipping included.
    pub fn cpu_each(&self) -> f64 {
        self.path_each() + self.shipping_each()
    }

    /// CPU microseconds for each of what is counted, without shipping.
    pub fn path_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tally.right as f64
    }

    /// CPU microseconds that shipping took for each of what is counted.
    pub fn shipping_each(&self) -> f64 {
        self.shipping.as_secs_f64() * 1e6 / self.tally.since_begin as f64
    }

    /// So many a second.
    pub fn rate(&self) -> f64 {
        self.tally.right as f64 / self.elapsed.as_secs_f64()
    }

    /// The median delay in milliseconds.
    pub fn p50(&self) -> f64 {
        self.tally.p50.as_secs_f64() * 1e3
    }

    /// The delay that 99 % stay below, in milliseconds.
    pub fn p99(&self) -> f64 {
        self.tally.p99.as_secs_f64() * 1e3
    }

    /// The cores that others kept busy.
    pub fn cores_of_others(&self) -> f64 {
        self.others.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// Visits every contender once in each round with each shape that it can bear; each round begins with
/// another one.
///
/// # Errors
/// If a contender ends.
pub async fn run(
    contenders: &[Running],
    plan: &AiPlan,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for shape in &plan.shapes {
        let able = contenders.iter().filter(|running| shape.suits(running.contender.pace()));
        let empty =
            |running: &Running| Series { contender: running.contender, shape: *shape, samples: Vec::new() };
        all.extend(able.map(empty));
    }
    for round in 0..plan.rounds {
        progress(round);
        for shape in &plan.shapes {
            for turn in 0..contenders.len() {
                let Some(running) = contenders.get((round + turn) % contenders.len()) else { continue };
                let own =
                    |series: &&mut Series| series.shape == *shape && series.contender == running.contender;
                if let Some(series) = all.iter_mut().find(own) {
                    series.samples.push(visit(running, *shape, round, plan).await?);
                }
            }
        }
    }
    Ok(all)
}

async fn visit(running: &Running, shape: Shape, round: usize, plan: &AiPlan) -> Result<Sample> {
    let begin = Shipping::now(running)?;
    let load = Load::start(running, shape);
    tokio::time::sleep(plan.warm_up).await;
    load.reset();
    let (began, before, others) = (Instant::now(), spent(running)?, others()?);
    let shipping = Shipping::now(running)?;
    tokio::time::sleep(plan.seconds).await;
    let (elapsed, tally) = (began.elapsed(), load.tally());
    let cpu = spent(running)?.saturating_sub(before);
    let cpu = cpu.saturating_sub(Shipping::now(running)?.since(&shipping));
    let others = self::others()?.saturating_sub(others);
    drop(load);
    let shipping = shipped(running, &begin).await?;
    Ok(Sample { round, cpu, shipping, elapsed, tally, others })
}

fn spent(running: &Running) -> Result<Duration> {
    running.id().map_or(Ok(Duration::ZERO), cpu::time)
}

/// What the machine did beside this program and its children.
fn others() -> Result<Duration> {
    Ok(cpu::machine()?.saturating_sub(cpu::time(std::process::id())?))
}
