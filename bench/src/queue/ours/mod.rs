//! Our queue as a contender: the process that does one cell. It says `ready`, begins at the next line on its
//! standard input, prints one line of JSON, and ends when its standard input does.

mod bench;
mod shapes;
mod storage;

use std::io::stdin;
use std::time::{Duration, Instant};

use bench::Bench;

use super::options::CellOptions;
use crate::error::{Context as _, Result};
use crate::report;

/// Does a cell.
///
/// # Errors
/// If the storage fails.
pub fn run(options: &CellOptions) -> Result<()> {
    // As `#[tokio::main]` makes it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context(|| "no runtime".to_owned())?;
    let mut lines = stdin().lines();
    let mut bench = runtime.block_on(async {
        let storage = storage::open(options).await?;
        let mut warm = Bench::prepare(&storage, "warm", options.warm_up, options).await?;
        warm.run().await?;
        warm.close().await?;
        Bench::prepare(&storage, "bench", options.jobs, options).await
    })?;
    report::say("ready");
    lines.next();
    let began = Instant::now();
    let latencies = runtime.block_on(bench.run())?;
    report::say(&result(options.jobs, began.elapsed(), latencies).to_string());
    lines.next();
    runtime.block_on(bench.close())
}

fn result(jobs: usize, elapsed: Duration, mut latencies: Vec<Duration>) -> serde_json::Value {
    latencies.sort_unstable();
    let at = |percent: usize| {
        let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
        latencies.get(index).map(|latency| latency.as_secs_f64() * 1e3)
    };
    serde_json::json!({
        "jobs": jobs,
        "seconds": elapsed.as_secs_f64(),
        "p50_ms": at(50),
        "p95_ms": at(95),
    })
}
