//! The routing table: an immutable snapshot of what every host, path and version id leads to,
//! loaded once per request. All header values that a response may need are made here, so that the
//! request path formats nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderValue;
use lockstep_controller::{AppId, VersionId, VersionState};

use super::compile::CompileError;
use crate::config::model::{App, Limits, Skew};
use crate::endpoints::Pool;
use crate::stats::VersionStats;

/// Where every request goes.
pub struct RoutingTable {
    /// The snapshot of the configuration's apps that it was compiled from.
    pub(super) generation: u64,
    /// The snapshot of the cluster's apps that it was compiled from.
    pub(super) cluster_generation: u64,
    /// Whether that snapshot is stale.
    pub(super) stale: bool,
    /// What one client may use.
    pub(super) limits: Limits,
    pub(super) exact: HashMap<Box<str>, Prefixes>,
    /// By the part behind `*.`.
    pub(super) wildcard: HashMap<Box<str>, Prefixes>,
    pub(super) any: Prefixes,
    pub(super) apps: Vec<Arc<AppRoute>>,
    pub(super) by_id: HashMap<AppId, Arc<AppRoute>>,
    /// Why apps of the cluster have the routes of before, or none.
    pub(super) failures: Vec<CompileError>,
}

/// The apps of one host, by path prefix.
#[derive(Default)]
pub struct Prefixes {
    by_prefix: HashMap<Box<str>, Arc<AppRoute>>,
    longest: usize,
}

/// One app as requests see it.
pub struct AppRoute {
    pub(super) config: Arc<App>,
    pub(super) versions: HashMap<VersionId, Arc<VersionRoute>>,
    /// Versions that are served no more, but remembered.
    pub(super) gone: HashSet<VersionId>,
    pub(super) active: Option<Arc<VersionRoute>>,
    pub(super) canary: Option<CanaryRoute>,
}

/// What a version id means to an app.
#[derive(Debug, Clone, Copy)]
pub enum Named<'t> {
    /// A version that may be served.
    Served(&'t Arc<VersionRoute>),
    /// One that is expiring or has expired.
    Gone(&'t VersionId),
    /// Nothing.
    Unknown,
}

/// The canary of an app.
pub(super) struct CanaryRoute {
    pub(super) version: Arc<VersionRoute>,
    /// Draws below it are the canary's.
    pub(super) below: u64,
}

/// One version as requests see it.
pub struct VersionRoute {
    pub(super) id: VersionId,
    pub(super) state: VersionState,
    pub(super) pool: Arc<Pool>,
    pub(super) stats: Arc<VersionStats>,
    pub(super) headers: VersionHeaders,
}

/// Header values that name a version.
#[derive(Debug, Clone)]
pub struct VersionHeaders {
    /// The id alone.
    pub id: HeaderValue,
    /// `Set-Cookie` for a client that came by http.
    pub cookie: HeaderValue,
    /// `Set-Cookie` for a client that came by https.
    pub cookie_https: HeaderValue,
}

impl RoutingTable {
    /// A table that leads nowhere.
    #[must_use]
    pub fn empty(limits: Limits) -> Self {
        Self {
            generation: 0,
            cluster_generation: 0,
            stale: false,
            limits,
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: Prefixes::default(),
            apps: Vec::new(),
            by_id: HashMap::new(),
            failures: Vec::new(),
        }
    }

    /// Why apps of the cluster have the routes of before, or none.
    #[must_use]
    pub fn failures(&self) -> &[CompileError] {
        &self.failures
    }

    /// The app that answers for a host (normalized) and a path. Exact hosts come before
    /// wildcards, longer wildcards before shorter ones, apps without hosts last; within a host the
    /// longest prefix wins.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Option<&Arc<AppRoute>> {
        self.prefixes(host).find(path)
    }

    /// Whether an app names a host (normalized), exactly or by a wildcard.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        let parents = std::iter::successors(host.split_once('.'), |(_, rest)| rest.split_once('.'));
        self.exact.contains_key(host)
            || (!self.wildcard.is_empty()
                && parents.into_iter().any(|(_, parent)| self.wildcard.contains_key(parent)))
    }

    fn prefixes(&self, host: &str) -> &Prefixes {
        if let Some(prefixes) = self.exact.get(host) {
            return prefixes;
        }
        if !self.wildcard.is_empty() {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(prefixes) = self.wildcard.get(parent) {
                    return prefixes;
                }
                rest = parent;
            }
        }
        &self.any
    }

    /// The generation of what it was compiled from: grows with each new snapshot of either kind.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation + self.cluster_generation
    }

    /// The generation of the snapshot of the configuration's apps.
    #[must_use]
    pub fn static_generation(&self) -> u64 {
        self.generation
    }

    /// The generation of the snapshot of the cluster's apps.
    #[must_use]
    pub fn cluster_generation(&self) -> u64 {
        self.cluster_generation
    }

    /// The app of that identity.
    #[must_use]
    pub fn app(&self, id: &AppId) -> Option<&Arc<AppRoute>> {
        self.by_id.get(id)
    }

    /// Whether that snapshot is stale.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// What one client may use.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Its apps: those of the configuration in its order, then those of the cluster.
    #[must_use]
    pub fn apps(&self) -> &[Arc<AppRoute>] {
        &self.apps
    }
}

impl Prefixes {
    pub(super) fn insert(&mut self, prefix: &str, app: Arc<AppRoute>) {
        self.longest = self.longest.max(prefix.len());
        // A conflict was refused with the configuration.
        self.by_prefix.entry(prefix.into()).or_insert(app);
    }

    /// Walks from the longest prefix that could match down to `/`, one segment at a time.
    fn find(&self, path: &str) -> Option<&Arc<AppRoute>> {
        if self.longest <= 1 {
            return self.by_prefix.get("/");
        }
        let mut prefix = path.strip_suffix('/').unwrap_or(path);
        loop {
            if prefix.len() <= self.longest
                && let Some(app) = self.by_prefix.get(prefix)
            {
                return Some(app);
            }
            match prefix.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => prefix = parent,
                _ => return self.by_prefix.get("/"),
            }
        }
    }
}

impl AppRoute {
    /// An app without versions.
    pub(super) fn empty(app: &Arc<App>) -> Self {
        Self {
            config: Arc::clone(app),
            versions: HashMap::new(),
            gone: HashSet::new(),
            active: None,
            canary: None,
        }
    }

    /// The app's configuration.
    #[must_use]
    pub fn config(&self) -> &Arc<App> {
        &self.config
    }

    /// How it chooses versions.
    #[must_use]
    pub fn skew(&self) -> &Skew {
        &self.config.skew
    }

    /// What the id means to this app.
    #[must_use]
    pub fn find(&self, id: &str) -> Named<'_> {
        if let Some(version) = self.versions.get(id) {
            return Named::Served(version);
        }
        self.gone.get(id).map_or(Named::Unknown, Named::Gone)
    }

    /// The version that unpinned visitors get.
    #[must_use]
    pub fn active(&self) -> Option<&Arc<VersionRoute>> {
        self.active.as_ref()
    }

    /// The versions that may be served, in no order.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<VersionRoute>> {
        self.versions.values()
    }

    /// Whether `version` is the canary.
    #[must_use]
    pub fn is_canary(&self, version: &VersionRoute) -> bool {
        self.canary.as_ref().is_some_and(|canary| canary.version.id == version.id)
    }

    /// Whether the pins of its visitors lead to `version`, as long as it has endpoints.
    #[must_use]
    pub fn honours(&self, version: &VersionRoute) -> bool {
        match version.state {
            VersionState::Active | VersionState::Draining | VersionState::Pending => true,
            VersionState::Staged => self.is_canary(version),
            VersionState::Expiring | VersionState::Expired => false,
        }
    }

    /// The canary, and its share of new visitors in percent, rounded to hundredths.
    #[must_use]
    pub fn canary(&self) -> Option<(&VersionId, f64)> {
        let canary = self.canary.as_ref()?;
        let draws = f64::from(u32::MAX) + 1.0;
        // Draws are 32 bits: no precision is lost.
        let below = f64::from(u32::try_from(canary.below).unwrap_or(u32::MAX));
        Some((canary.version.id(), (below / draws * 10_000.0).round() / 100.0))
    }

    /// Whether the app has a canary.
    #[must_use]
    pub fn has_canary(&self) -> bool {
        self.canary.is_some()
    }

    /// The canary, if this draw falls into its share and it can serve.
    #[must_use]
    pub fn canary_for(&self, draw: u32) -> Option<&Arc<VersionRoute>> {
        let canary = self.canary.as_ref()?;
        (u64::from(draw) < canary.below && canary.version.pool.is_usable()).then_some(&canary.version)
    }
}

impl VersionRoute {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &VersionId {
        &self.id
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> VersionState {
        self.state
    }

    /// Its endpoints.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<VersionStats> {
        &self.stats
    }

    /// The header values that name it.
    #[must_use]
    pub fn headers(&self) -> &VersionHeaders {
        &self.headers
    }
}

impl std::fmt::Debug for VersionRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.id, self.state)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
