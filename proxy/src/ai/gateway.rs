//! The state that all calls share, and that outlives configurations.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use tokio_util::sync::CancellationToken;

use super::buffers::Buffers;
use super::keys::UseBook;
use super::ledger::Ledger;
use super::snapshot::{Healths, Snapshot};
use super::upstream::Client;
use super::upstream::resolve::Resolver;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::routing::{RoutingTable, host};
use crate::tls::authorities::AuthoritiesError;

/// The AI gateway of a process.
pub struct Gateway {
    snapshot: ArcSwapOption<Snapshot>,
    uses: UseBook,
    healths: Healths,
    resolver: Arc<Resolver>,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when what still runs is about to be cut.
    pub(crate) ending: CancellationToken,
}

/// The gateway as one worker uses it: with connections of its own.
pub struct Desk {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) client: Client,
}

impl Gateway {
    /// A gateway without a configuration.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, metrics: Arc<Metrics>, ending: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            snapshot: ArcSwapOption::empty(),
            uses: UseBook::default(),
            healths: Healths::default(),
            resolver: Arc::default(),
            buffers: Arc::default(),
            ledger,
            metrics,
            ending,
        })
    }

    /// Makes a configuration ready, without taking it over.
    ///
    /// # Errors
    /// If a file that it names can't be used.
    pub fn prepare(&self, config: &Config) -> Result<Option<Arc<Snapshot>>, AuthoritiesError> {
        let ready = |ai| Snapshot::new(Arc::clone(ai), &self.uses, &self.healths).map(Arc::new);
        config.ai.as_ref().map(ready).transpose()
    }

    /// Takes a configuration over; calls that run keep theirs.
    pub fn reconfigure(&self, snapshot: Option<Arc<Snapshot>>) {
        self.snapshot.store(snapshot);
    }

    /// What requests are served by at the moment.
    #[must_use]
    pub fn snapshot(&self) -> Guard<Option<Arc<Snapshot>>> {
        self.snapshot.load()
    }

    /// What a request is served by, if it is the gateway's.
    #[must_use]
    pub fn owner(&self, table: &RoutingTable, authority: Option<&str>, path: &str) -> Option<Arc<Snapshot>> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref().filter(|snapshot| snapshot.prefix.owns(path))?;
        let host = authority.and_then(host::normalize).unwrap_or_default();
        let hosts = &snapshot.config.hosts;
        let ours = if hosts.is_empty() {
            !table.names(&host)
        } else {
            hosts.iter().any(|pattern| pattern.matches(&host))
        };
        ours.then(|| Arc::clone(snapshot))
    }

    /// The gateway for one more worker.
    #[must_use]
    pub fn desk(self: &Arc<Self>) -> Arc<Desk> {
        Arc::new(Desk { gateway: Arc::clone(self), client: Client::new(Arc::clone(&self.resolver)) })
    }
}
