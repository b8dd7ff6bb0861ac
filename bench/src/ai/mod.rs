//! Side-by-side runs of the AI gateway against plain proxies and gateways of others.
//!
//! All contenders run at once, as processes of their own on loopback, before one provider; one load
//! generator visits them in turn, round after round. "Direct" is the provider without anything before it:
//! what a gateway adds to a delay is the difference to that in the same round.

pub mod contender;
pub mod contract;
pub mod goals;
pub mod load;
pub mod mark;
pub mod memory;
pub mod meter;
pub mod model;
pub mod options;
pub mod prompt;
pub mod provider;
pub mod rounds;
pub mod shape;
pub mod shipping;
pub mod streams;
pub mod table;
pub mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum as _;
use tokio::task::LocalSet;

use contender::{Contender, Provider, Running};
use options::AiPlan;
use table::Results;

use crate::error::{Context as _, Failure, Result};
use crate::process::{self, Process};
use crate::report;

/// Runs the plan: a table for each shape of load, one of memory, and the goals.
///
/// # Errors
/// If a contender that is there cannot be measured.
pub fn run(plan: &AiPlan) -> Result<()> {
    process::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(|| "no runtime".to_owned())?;
    LocalSet::new().block_on(&runtime, measure(plan))
}

async fn measure(plan: &AiPlan) -> Result<()> {
    report::say(&format!(
        "{} rounds of {:?} after {:?} of warm-up, {} worker threads each, {} cores for all",
        plan.rounds,
        plan.seconds,
        plan.warm_up,
        plan.threads,
        std::thread::available_parallelism().map_or(0, usize::from),
    ));
    let dir = plan.dir.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in);
    let dir = dir.context(|| "no temporary directory".to_owned())?;
    let (_provider, address) = start_provider()?;
    let (contenders, left_out) = start(plan, address, dir.path()).await?;
    let results = rounds::run(&contenders, plan, |round| report::progress(round + 1, plan.rounds)).await?;
    let results = Results(results);
    plan.shapes.iter().for_each(|shape| results.print(*shape));
    let measured: Vec<Contender> = contenders.iter().map(|running| running.contender).collect();
    drop(contenders);
    let mut held = Vec::new();
    if plan.streams.iter().any(|streams| *streams > 0) {
        held = memory::run(&measured, plan, address, dir.path()).await?;
        memory::print(&held);
    }
    goals::print(&results, &held);
    if left_out.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("could not be measured: {}", left_out.join(", "))))
}

/// Starts all that are on this machine. Returns what was left out although it was there.
async fn start(plan: &AiPlan, provider: SocketAddr, dir: &Path) -> Result<(Vec<Running>, Vec<&'static str>)> {
    let (mut contenders, mut left_out) = (Vec::new(), Vec::new());
    let wanted = Contender::value_variants().iter().copied().filter(|contender| plan.wants(*contender));
    for contender in wanted {
        let name = contender.name();
        if contender.program(plan.lockstep.as_deref()).is_none() {
            report::say(&format!("  {name}: LEFT OUT, its program is not on this machine"));
            continue;
        }
        match enter(contender, plan, provider, dir).await {
            Ok(running) => contenders.push(running),
            Err(failure) => {
                report::say(&format!("  {name}: LEFT OUT, {failure}"));
                left_out.push(name);
            }
        }
    }
    if contenders.is_empty() {
        return Err(Failure::new("nothing to measure"));
    }
    Ok((contenders, left_out))
}

async fn enter(contender: Contender, plan: &AiPlan, provider: SocketAddr, dir: &Path) -> Result<Running> {
    let provider = Provider { address: provider, http2: false };
    let running = Running::start(contender, plan, provider, dir.join(contender.name())).await?;
    let checked = contract::check(&running).await;
    checked.map_err(|failure| Failure::new(format!("{failure}; it said: {}", running.last_words())))?;
    Ok(running)
}

fn start_provider() -> Result<(Process, SocketAddr)> {
    let own = std::env::current_exe().context(|| "cannot find this program".to_owned())?;
    let mut command = Command::new(own);
    command.args(["provider", "--listen", "127.0.0.1:0"]);
    let (process, lines) = Process::start_talking(command, "the provider", 1)?;
    let address = lines.first().ok_or_else(|| Failure::new("the provider gave no address"))?;
    let address = address.parse().context(|| "the provider gave no address".to_owned())?;
    Ok((process, address))
}
