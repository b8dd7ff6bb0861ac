//! The command line of the queue bench.

use std::path::PathBuf;

use clap::Args;

use super::cell::Shape;
use super::contender::Contender;

/// What to run.
#[derive(Clone, Debug, Args)]
pub struct QueuePlan {
    /// Times that each contender is visited for each cell.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Only these contenders.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Contender>,
    /// Only these shapes of load.
    #[arg(long, value_delimiter = ',', default_value = "enqueue,pipeline,wait,drain")]
    pub shapes: Vec<Shape>,
    /// Calls in flight, and jobs that a worker does at once. A backlog is drained at the last of them.
    #[arg(long, value_delimiter = ',', default_value = "1,10,50")]
    pub concurrency: Vec<usize>,
    /// Jobs of the backlogs to be drained.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    pub backlog: Vec<usize>,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 200)]
    pub payload: usize,
    /// How many of the usual number of jobs, but for backlogs; fewer make a quicker run and poorer figures.
    #[arg(long, default_value_t = 100)]
    pub percent: usize,
    /// Where to keep files, on the disk that is to be measured [default: the temporary directory].
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// One cell, for the process that runs it. Peers take the same options.
#[derive(Clone, Debug, Args)]
pub struct CellOptions {
    /// Whose queue.
    #[arg(long)]
    pub contender: Contender,
    /// The directory or the address of the server.
    #[arg(long)]
    pub at: String,
    /// The shape of load.
    #[arg(long)]
    pub shape: Shape,
    /// Calls in flight, and jobs that the worker does at once.
    #[arg(long)]
    pub concurrency: usize,
    /// Jobs to measure.
    #[arg(long)]
    pub jobs: usize,
    /// Jobs before them.
    #[arg(long)]
    pub warm_up: usize,
    /// Bytes of each payload.
    #[arg(long)]
    pub payload: usize,
}

impl QueuePlan {
    /// Whether a contender is to be measured.
    pub fn wants(&self, contender: Contender) -> bool {
        self.only.is_empty() || self.only.contains(&contender)
    }
}

impl CellOptions {
    /// The arguments that say this.
    pub fn arguments(&self) -> Vec<String> {
        let pairs = [
            ("--contender", self.contender.name().to_owned()),
            ("--at", self.at.clone()),
            ("--shape", self.shape.name().to_owned()),
            ("--concurrency", self.concurrency.to_string()),
            ("--jobs", self.jobs.to_string()),
            ("--warm-up", self.warm_up.to_string()),
            ("--payload", self.payload.to_string()),
        ];
        pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }
}
