//! The command line of the AI gateway bench.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::contender::Contender;
use super::shape::Shape;
use crate::cli::seconds;

/// What to run and for how long.
#[derive(Clone, Debug, Args)]
pub struct AiPlan {
    /// Times that each contender is visited with each shape of load.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds measured at each visit.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds of load before the measured ones.
    #[arg(long, default_value = "0.7", value_parser = seconds)]
    pub warm_up: Duration,
    /// Only these contenders.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Contender>,
    /// Only these shapes of load.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "prompt-2k,prompt-50k,prompt-400k,steady,first-byte,chunks-500,chunks-2500"
    )]
    pub shapes: Vec<Shape>,
    /// Open streams at which memory is measured, in growing order; 0 leaves that out.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    pub streams: Vec<usize>,
    /// Worker threads (or processes) of each contender.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// The lockstep binary [default: beside this program].
    #[arg(long)]
    pub lockstep: Option<PathBuf>,
    /// Where the contenders keep their files, on the disk that the audit syncs to [default: the
    /// temporary directory].
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// What the provider listens on.
#[derive(Clone, Debug, Args)]
pub struct ProviderOptions {
    /// The address; port 0 lets the system choose.
    #[arg(long)]
    pub listen: SocketAddr,
}

impl AiPlan {
    /// Whether a contender is to be measured.
    pub fn wants(&self, contender: Contender) -> bool {
        self.only.is_empty() || self.only.contains(&contender)
    }
}
