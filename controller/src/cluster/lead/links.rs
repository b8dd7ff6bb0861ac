//! What leading and commanding share.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::Instant;

use super::election::Term;
use super::events::Events;
use super::trouble::Troubles;
use crate::DataPlane;
use crate::cluster::discovery::Options;
use crate::cluster::state::ClusterState;
use crate::controller::Observer;

/// The ways to the cluster, the data plane, and those who are told. Clones are of the same.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) client: Client,
    pub(super) cluster: watch::Receiver<Arc<ClusterState>>,
    /// What is taken for a version.
    pub(super) options: Arc<Options>,
    pub(super) term: watch::Receiver<Option<Term>>,
    pub(super) data_plane: Arc<dyn DataPlane>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) events: Events,
    pub(super) troubles: Troubles,
    /// How long a write may take: it is over before another replica may lead.
    pub(super) patience: Duration,
}

impl Links {
    /// Whether this replica leads at this moment.
    pub(super) fn leads(&self) -> bool {
        self.term.borrow().is_some_and(|term| term.lasts(Instant::now()))
    }
}
