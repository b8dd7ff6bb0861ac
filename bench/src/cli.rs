//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::ai::options::{AiPlan, ProviderOptions};
use crate::cluster::options::ClusterPlan;
use crate::journal::JournalPlan;
use crate::queue::options::{CellOptions, QueuePlan};

/// Compares proxies that pin visitors to versions, AI gateways, and job queues, and measures a large cluster.
#[derive(Debug, Parser)]
#[command(name = "lockstep-bench")]
pub struct Arguments {
    /// What to run and for how long.
    #[command(flatten)]
    pub plan: Plan,
    /// Another run, or a part that a run starts as a process of its own.
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// Other runs, and the parts that a run starts as processes of their own.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Compares job queues.
    Queue(QueuePlan),
    /// Compares the journal with a loop that writes and syncs the same bytes.
    Journal(JournalPlan),
    /// Our queue in one cell of that.
    QueueCell(CellOptions),
    /// Compares AI gateways.
    Ai(AiPlan),
    /// Measures a replica in a large Kubernetes cluster.
    Cluster(ClusterPlan),
    /// The provider behind them: prints the address that it got.
    Provider(ProviderOptions),
    /// The origin: prints the addresses that it got, one a line.
    Origin(OriginOptions),
    /// The smallest proxy on plain Pingora.
    Bare(BareOptions),
}

/// What to run and for how long.
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// Times that each contender is visited.
    #[arg(long, default_value_t = 7)]
    pub rounds: usize,
    /// Seconds measured at each visit.
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds of load before the measured ones.
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub warm_up: Duration,
    /// Only these contenders.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Kind>,
    /// Only the first table: all contenders at --apps times --versions.
    #[arg(long, conflicts_with = "scale")]
    pub pinned: bool,
    /// Only the second table: the cost at 10, 1 000 and 10 000 versions.
    #[arg(long)]
    pub scale: bool,
    /// Keep-alive connections of the load generator.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Worker threads (or processes) of each contender.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Apps in the first table.
    #[arg(long, default_value_t = 100)]
    pub apps: usize,
    /// Versions of each app in the first table.
    #[arg(long, default_value_t = 10)]
    pub versions: usize,
    /// The lockstep binary [default: beside this program].
    #[arg(long)]
    pub lockstep: Option<PathBuf>,
}

/// Who can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Plain Pingora with a cookie map.
    Bare,
    /// The same without work stealing: each worker keeps its connections, as Lockstep's do.
    #[value(name = "bare-nosteal")]
    BareNosteal,
    /// Lockstep itself.
    Lockstep,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy.
    Envoy,
}

/// What the origin listens on.
#[derive(Clone, Debug, Args)]
pub struct OriginOptions {
    /// The address of v1, v2 and so on; port 0 lets the system choose.
    #[arg(long = "addr", required = true)]
    pub addresses: Vec<SocketAddr>,
}

/// What the bare proxy serves.
#[derive(Clone, Debug, Args)]
pub struct BareOptions {
    /// The address to listen on.
    #[arg(long)]
    pub listen: SocketAddr,
    /// Worker threads.
    #[arg(long)]
    pub threads: usize,
    /// Workers keep their connections instead of taking each other's work.
    #[arg(long)]
    pub no_stealing: bool,
    /// Takes HTTP/2 without TLS too.
    #[arg(long)]
    pub h2c: bool,
    /// Apps.
    #[arg(long)]
    pub apps: usize,
    /// Versions of each app.
    #[arg(long)]
    pub versions: usize,
    /// The endpoints of v1, v2 and so on; they start over when there are fewer than versions.
    #[arg(long = "origin", required = true)]
    pub origins: Vec<SocketAddr>,
    /// Speaks HTTP/2 to the endpoints, without TLS.
    #[arg(long)]
    pub origin_http2: bool,
}

/// Parses a number of seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
