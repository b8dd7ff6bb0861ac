//! The running process: everything is built and bound first, then started, then ended in order.
//! `build` has all the errors that a start can have; `run` only ends when it is asked to.

mod audit;
mod build;
mod cluster;
mod contents;
mod data_dir;
mod error;
mod follow;
mod observer;
mod reload;
mod shutdown;
mod signals;
mod start;
mod supervisor;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use lockstep_controller::cluster::Cluster;
use lockstep_controller::cluster::lead::LeadHandle;
use lockstep_controller::controller::Observer;
use lockstep_controller::{Controller, Handle};
use once_cell::sync::OnceCell;

use crate::access_log::{self, AccessLog};
use crate::ai::gateway::Gateway;
use crate::audit::watch::Watch;
use crate::background::Background;
use crate::front::BoundListener;
use crate::metrics::Metrics;
use crate::plane::Plane;
use crate::problems::Problems;
use crate::tee::Tee;

use contents::Contents;

pub use build::load_for_start;
pub use data_dir::DataDir;
pub use error::StartError;
pub use shutdown::Outcome;

/// What people may look at and change while the process runs.
#[derive(Clone)]
pub struct Shared {
    /// The configuration file.
    pub file: PathBuf,
    /// Configuration and routing table of the moment.
    pub plane: Arc<Plane>,
    /// The states of versions.
    pub controller: Handle,
    /// Held while a configuration is taken over: what the controller makes of it is not routed by the old one.
    pub routing: Arc<tokio::sync::Mutex<()>>,
    /// The apps of Kubernetes, if it is asked.
    pub cluster: Option<Cluster>,
    /// The way to command them, once there is a way to the API.
    pub lead: Arc<ArcSwapOption<LeadHandle>>,
    /// The AI gateway.
    pub ai: Arc<Gateway>,
    /// What the audit says of itself, once it runs; never, if it is off.
    pub audit: Arc<OnceCell<Watch>>,
    /// Jobs beside serving, if the configuration asks for any.
    pub background: Option<Background>,
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// What is wrong.
    pub problems: Arc<Problems>,
    /// When the process started.
    pub started: jiff::Timestamp,
}

/// A process that is ready to serve.
pub struct Process {
    shared: Shared,
    controller: Controller,
    /// Is told of every transition.
    observer: Arc<dyn Observer>,
    listeners: Vec<BoundListener>,
    admin: BoundListener,
    access_log: AccessLog,
    tee: Tee,
    audit: Option<audit::Opened>,
    log_writer: access_log::Writer,
    /// What the configuration was read from.
    contents: Contents,
    /// Held until the end, so that no other process uses the directory.
    data_dir: DataDir,
}

impl Process {
    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|listener| listener.addr)
    }

    /// Where its admin API listens.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.addr
    }
}
