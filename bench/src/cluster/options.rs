//! The command line of the cluster bench.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::seconds;
use crate::layout::Layout;

/// How large the cluster is, and how long it is watched.
#[derive(Clone, Debug, Args)]
pub struct ClusterPlan {
    /// Apps, each with a host of its own.
    #[arg(long, default_value_t = 1000)]
    pub apps: usize,
    /// Versions of each app, all deployed.
    #[arg(long, default_value_t = 10)]
    pub versions: usize,
    /// Namespaces that the apps are spread over.
    #[arg(long, default_value_t = 20)]
    pub namespaces: usize,
    /// Seconds of the steady state that are measured.
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub seconds: Duration,
    /// Connections by which the objects are written.
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// The lockstep binary [default: beside this program].
    #[arg(long)]
    pub lockstep: Option<PathBuf>,
}

impl ClusterPlan {
    /// Its apps and versions.
    pub fn layout(&self) -> Layout {
        Layout { apps: self.apps.max(1), versions: self.versions.max(1) }
    }
}
