//! What an open stream holds: the resident memory of a fresh contender with many of them, over what it had
//! before.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use rustix::process::{Resource, getrlimit};

use super::contender::{Contender, Pace, Provider, Running};
use super::contract;
use super::options::AiPlan;
use super::streams::{self, Open};
use crate::cpu;
use crate::error::{Context as _, Result};
use crate::report::{self, known};

/// What a contender that is no native program is spared: it would take minutes.
const SCRIPT_STREAMS: usize = 1_000;
/// Open files of a proxy that are no streams.
const SPARE_FILES: usize = 400;
/// Until what opening needed has been let go.
const SETTLE: Duration = Duration::from_secs(2);

/// How the clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A connection for each stream.
    Http1,
    /// A hundred streams on a connection, and HTTP/1.1 to the provider.
    Http2,
    /// The same, and HTTP/2 to the provider too.
    Http2Both,
}

/// What was held with so many open streams.
pub struct Held {
    /// By whom.
    pub contender: Contender,
    /// How the clients spoke.
    pub protocol: Protocol,
    /// Open streams.
    pub streams: usize,
    /// Bytes beyond those without streams.
    bytes: u64,
}

impl Protocol {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http2Both => "HTTP/2, provider too",
        }
    }

    /// As many as the open files of one process allow, with a connection to the provider for each.
    fn most(self) -> usize {
        let files = getrlimit(Resource::Nofile)
            .current
            .map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let spare = files.saturating_sub(SPARE_FILES);
        if self == Self::Http1 { spare / 2 } else { spare }
    }

    fn suits(self, contender: Contender) -> bool {
        match self {
            Self::Http1 => true,
            Self::Http2 => contender.speaks_http2(),
            // nginx does not, to upstreams.
            Self::Http2Both => contender.speaks_http2() && contender != Contender::Nginx,
        }
    }
}

impl Held {
    /// KiB of each stream.
    pub fn kib_each(&self) -> f64 {
        self.bytes as f64 / 1024.0 / self.streams as f64
    }
}

/// Measures every contender, one after the other.
///
/// # Errors
/// If memory cannot be read.
pub async fn run(
    contenders: &[Contender],
    plan: &AiPlan,
    provider: SocketAddr,
    dir: &Path,
) -> Result<Vec<Held>> {
    let mut all = Vec::new();
    for contender in contenders.iter().copied().filter(|contender| *contender != Contender::Direct) {
        for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Http2Both] {
            if !protocol.suits(contender) {
                continue;
            }
            let dir = dir.join(format!("memory-{}-{protocol:?}", contender.name()));
            let provider = Provider { address: provider, http2: protocol == Protocol::Http2Both };
            let running = Running::start(contender, plan, provider, dir).await?;
            if let Err(failure) = hold(&running, protocol, plan, &mut all).await {
                report::say(&format!("  {} {}: {failure}", contender.name(), protocol.name()));
            }
        }
    }
    Ok(all)
}

async fn hold(running: &Running, protocol: Protocol, plan: &AiPlan, all: &mut Vec<Held>) -> Result<()> {
    contract::check(running).await?;
    tokio::time::sleep(SETTLE).await;
    let before = resident(running)?;
    let mut open: Vec<Open> = Vec::new();
    for streams in plan.streams.iter().copied() {
        if running.contender.pace() != Pace::Native && streams > SCRIPT_STREAMS {
            continue;
        }
        let streams = streams.min(protocol.most());
        streams::open(running, protocol, streams, &mut open).await?;
        tokio::time::sleep(SETTLE).await;
        let bytes = resident(running)?.saturating_sub(before);
        all.push(Held { contender: running.contender, protocol, streams, bytes });
    }
    Ok(())
}

/// Resident bytes of the contender's processes.
fn resident(running: &Running) -> Result<u64> {
    let pids = running.id().map_or(Ok(Vec::new()), cpu::pids)?;
    let pages = |pid: u32| {
        let text =
            fs::read_to_string(format!("/proc/{pid}/statm")).context(|| format!("no memory of {pid}"))?;
        let resident = text.split_ascii_whitespace().nth(1).unwrap_or_default();
        resident.parse::<u64>().context(|| format!("no memory of {pid}"))
    };
    let pages: u64 = pids.into_iter().map(pages).sum::<Result<u64>>()?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Prints what was held.
pub(super) fn print(all: &[Held]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["contender", "clients", "open streams", "KiB each"]);
    for held in all {
        let (name, protocol) = (held.contender.name().to_owned(), held.protocol.name().to_owned());
        table.add_row([name, protocol, held.streams.to_string(), known(held.kib_each())]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    report::say(&format!("\nMemory of open streams\n{table}"));
}
