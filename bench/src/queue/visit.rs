//! One visit: a contender's process does one cell, and what that took is noted.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::options::CellOptions;
use super::peers;
use crate::cpu;
use crate::error::{Context as _, Failure, Result};

/// How long a contender may take to fill a backlog and be ready, and then to do a cell.
const PATIENCE: Duration = Duration::from_secs(180);

/// What one visit showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Jobs done.
    pub(super) jobs: f64,
    /// Seconds, by the contender's clock.
    pub(super) seconds: f64,
    /// CPU seconds of the contender.
    pub(super) client: f64,
    /// CPU seconds of its server.
    pub(super) server: f64,
    /// Milliseconds that half of the callers waited at most.
    pub(super) p50: f64,
    /// Milliseconds that 95 % of the callers waited at most.
    pub(super) p95: f64,
    /// Cores that other programs kept busy.
    pub(super) others: f64,
}

/// A contender's process.
struct Talk {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Runs a cell with a directory of its own.
pub(super) async fn visit(options: &CellOptions, server: Option<u32>, dir: &Path) -> Result<Sample> {
    let mut talk = Talk::start(options, dir)?;
    let ready = talk.line().await?;
    if ready != "ready" {
        return Err(Failure::new(format!("said {ready}")));
    }
    let id = talk.child.id().ok_or_else(|| Failure::new("has ended"))?;
    let of_server = || server.map_or(Ok(Duration::ZERO), cpu::time);
    let (began, machine, client, served) = (Instant::now(), cpu::machine()?, cpu::time(id)?, of_server()?);
    talk.input.write_all(b"go\n").await.context(|| "cannot begin".to_owned())?;
    let line = talk.line().await?;
    let client = cpu::time(id)?.saturating_sub(client);
    let served = of_server()?.saturating_sub(served);
    let others = cpu::machine()?.saturating_sub(machine).saturating_sub(client + served);
    let others = others.as_secs_f64() / began.elapsed().as_secs_f64();
    let said: serde_json::Value = serde_json::from_str(&line).context(|| format!("said {line}"))?;
    let number = |name: &str| said.get(name).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    Ok(Sample {
        jobs: number("jobs"),
        seconds: number("seconds"),
        client: client.as_secs_f64(),
        server: served.as_secs_f64(),
        p50: number("p50_ms"),
        p95: number("p95_ms"),
        others,
    })
}

impl Talk {
    fn start(options: &CellOptions, dir: &Path) -> Result<Self> {
        let mut command = command(options, dir)?;
        command.args(options.arguments()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().context(|| "cannot start".to_owned())?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("has no input and output"));
        };
        Ok(Self { child, input, output: BufReader::new(output).lines() })
    }

    async fn line(&mut self) -> Result<String> {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        let line = line.context(|| format!("said nothing for {PATIENCE:?}"))?;
        line.context(|| "cannot be heard".to_owned())?.ok_or_else(|| Failure::new("ended early"))
    }
}

fn command(options: &CellOptions, dir: &Path) -> Result<Command> {
    if options.contender.is_ours() {
        let own = std::env::current_exe().context(|| "cannot find this program".to_owned())?;
        let mut command = Command::new(own);
        command.arg("queue-cell");
        return Ok(command);
    }
    let mut command = Command::new(peers::node().ok_or_else(|| Failure::new("no Node"))?);
    command.arg(peers::scripts(dir)?);
    Ok(command)
}
