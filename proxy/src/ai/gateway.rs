//! The state that all calls share, and that outlives configurations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use pingora::http::RequestHeader;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempts::cooldown::Standing;
use super::buffers::Buffers;
use super::keys::UseBook;
use super::ledger::Ledger;
use super::route::{Endpoint, Prefix};
use super::snapshot::{Healths, Snapshot};
use super::upstream::Client;
use super::upstream::resolve::Resolver;
use crate::config::Config;
use crate::config::ai::model::Ai;
use crate::metrics::Metrics;
use crate::routing::{RoutingTable, host};
use crate::tls::authorities::AuthoritiesError;

/// How long calls have to end once they are asked to.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The AI gateway of a process.
pub struct Gateway {
    snapshot: ArcSwapOption<Snapshot>,
    uses: UseBook,
    healths: Healths,
    resolver: Arc<Resolver>,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    draining: AtomicBool,
    /// Cancelled when what still runs is about to be cut.
    pub(crate) ending: CancellationToken,
    /// Calls that run.
    pub(crate) calls: TaskTracker,
}

/// The gateway as one worker uses it: with connections of its own.
pub struct Desk {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) client: Client,
}

impl Gateway {
    /// A gateway without a configuration.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            snapshot: ArcSwapOption::empty(),
            uses: UseBook::default(),
            healths: Healths::default(),
            resolver: Arc::default(),
            buffers: Arc::default(),
            ledger,
            metrics,
            draining: AtomicBool::new(false),
            ending: CancellationToken::new(),
            calls: TaskTracker::new(),
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
        let owns =
            |snapshot: &&Arc<Snapshot>| owns(&snapshot.config, &snapshot.prefix, table, authority, path);
        snapshot.as_ref().filter(owns).cloned()
    }

    /// What a request would be served by, if its path began as it should: base URLs of clients often lack that.
    #[must_use]
    pub fn missed(
        &self,
        table: &RoutingTable,
        authority: Option<&str>,
        request: &RequestHeader,
    ) -> Option<Arc<Snapshot>> {
        let prefix = self.snapshot.load().as_ref()?.config.path.to_string();
        let path = format!("{}{}", prefix.trim_end_matches('/'), request.uri.path());
        let snapshot = self.owner(table, authority, &path)?;
        let route = snapshot.prefix.route(&request.method, &path)?;
        (route.endpoint != Endpoint::Raw).then_some(snapshot)
    }

    /// Says that the process is about to end.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether connections should not be kept for another request.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Asks calls that still run to end: streams with an error, and each with its record. Waits for
    /// them, but not long.
    pub async fn end_calls(&self) {
        self.calls.close();
        self.ending.cancel();
        if tokio::time::timeout(LAST_WORDS, self.calls.wait()).await.is_err() {
            tracing::warn!(calls = self.calls.len(), "calls did not end when they were asked to");
        }
    }

    /// What providers refuse that only the operator can mend.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let snapshot = self.snapshot.load();
        let routes = snapshot.iter().flat_map(|snapshot| snapshot.routes());
        let refusals = routes.flat_map(|route| {
            route.targets.iter().filter_map(|to| {
                let (model, provider) = (&route.model.name, &to.target.provider.name);
                let what = to.health.refuses()?;
                Some(format!("ai.models.{model}: provider {provider} refuses {what} of the configuration"))
            })
        });
        refusals.collect()
    }

    /// Brings the gauges up to date that nothing else maintains.
    pub fn refresh_gauges(&self) {
        let metrics = &self.metrics.ai;
        metrics.buffered.set(i64::try_from(self.buffers.used()).unwrap_or(i64::MAX));
        metrics.cooling.reset();
        let snapshot = self.snapshot.load();
        let now = Instant::now();
        for route in snapshot.iter().flat_map(|snapshot| snapshot.routes()) {
            for to in &route.targets {
                let cooling = matches!(to.health.standing(now), Standing::Cooling(_));
                let labels = [route.model.name.as_str(), &*to.target.provider.name];
                let gauge = metrics.cooling.with_label_values(&labels);
                // A model may have several targets of one provider.
                gauge.set(gauge.get().max(i64::from(cooling)));
            }
        }
    }

    /// The gateway for one more worker.
    #[must_use]
    pub fn desk(self: &Arc<Self>) -> Arc<Desk> {
        Arc::new(Desk { gateway: Arc::clone(self), client: Client::new(Arc::clone(&self.resolver)) })
    }
}
/// Whether a request is the gateway's, by its host and path.
#[must_use]
pub fn owns(config: &Ai, prefix: &Prefix, table: &RoutingTable, authority: Option<&str>, path: &str) -> bool {
    if !prefix.owns(path) {
        return false;
    }
    let host = authority.and_then(host::normalize).unwrap_or_default();
    if config.hosts.is_empty() {
        return !table.names(&host);
    }
    config.hosts.iter().any(|pattern| pattern.matches(&host))
}
