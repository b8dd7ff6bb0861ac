//! Compiles a configuration and the controller's snapshot into a routing table, off the request
//! path. Pools, endpoints and counters are carried over, so that a compile that changes one version
//! costs the others nothing, and connections live on.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use lockstep_controller::cluster::claim::Claim;
use lockstep_controller::{AppId, AppSnapshot, VersionId, VersionSnapshot, VersionState, VersionStatus};
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::protocols::tls::CaType;
use thiserror::Error;

use super::cookies::Cookies;
use super::resolve::Resolver;
use super::table::{AppRoute, CanaryRoute, RoutingTable, VersionRoute};
use crate::config::Config;
use crate::config::model::{App, Bundle, Upstream};
use crate::endpoints::health::HttpCheck;
use crate::endpoints::{Pool, PoolSettings};
use crate::metrics::Metrics;
use crate::stats::VersionStats;
use crate::tls::authorities;

/// Draws are 32 bits wide.
const DRAWS: f64 = 4_294_967_296.0;

/// Makes routing tables, and keeps what outlives them.
pub struct Compiler {
    metrics: Arc<Metrics>,
    /// Connections for health checks.
    connector: Arc<Connector>,
    known: Mutex<HashMap<(AppId, VersionId), Known>>,
    /// What apps of the cluster get.
    resolver: Resolver,
    /// Routes of the last table, by what they were made of: what did not change is not made again.
    routes: Mutex<HashMap<AppId, Compiled>>,
}

/// A route with what it was made of.
#[derive(Clone)]
struct Compiled {
    app: Arc<App>,
    state: Arc<AppSnapshot>,
    route: Arc<AppRoute>,
}

/// Why no table could be made.
#[derive(Debug, Error)]
pub enum CompileError {
    /// A bundle of authorities can't be used.
    #[error("app {app}: {source}")]
    Authorities {
        /// The app that names it.
        app: AppId,
        /// What is wrong with it.
        source: authorities::AuthoritiesError,
    },
    /// A health check can't be made.
    #[error("app {app}: health check: {message}")]
    Health {
        /// The app that wants it.
        app: AppId,
        /// What is wrong with it.
        message: String,
    },
    /// A value can't be sent in a header, which validated ids and cookie names rule out.
    #[error("app {app}: version {version} can't be named in a header")]
    Header {
        /// The app.
        app: AppId,
        /// The version.
        version: VersionId,
    },
}

/// What is kept of one version between tables.
#[derive(Clone)]
struct Known {
    stats: Arc<VersionStats>,
    pool: Arc<Pool>,
}

type Authorities = HashMap<PathBuf, Arc<CaType>>;

impl Compiler {
    /// A compiler that knows nothing yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            connector: Arc::new(Connector::new(None)),
            known: Mutex::default(),
            resolver: Resolver::default(),
            routes: Mutex::default(),
        }
    }

    /// Compiles a table of the apps of the configuration and of those of the cluster.
    ///
    /// # Errors
    /// If something that the configuration names can't be used; the caller keeps its last table.
    pub fn compile(
        &self,
        config: &Config,
        fixed: &VersionSnapshot,
        cluster: &VersionSnapshot,
    ) -> Result<RoutingTable, CompileError> {
        let snapshots: HashMap<&AppId, &Arc<AppSnapshot>> =
            fixed.apps.iter().map(|app| (&app.id, app)).collect();
        let mut authorities = Authorities::new();
        let mut failures = Vec::new();
        let mut table = RoutingTable {
            generation: fixed.generation,
            cluster_generation: cluster.generation,
            stale: fixed.stale || cluster.stale,
            ..RoutingTable::empty(config.server.limits)
        };
        for app in &config.apps {
            let Some(state) = snapshots.get(&app.id) else {
                insert(&mut table, &Arc::new(AppRoute::empty(app)));
                continue;
            };
            let (route, failure) = self.route(app, state, &mut authorities);
            match (route, failure) {
                (None, Some(error)) => return Err(error),
                (route, failure) => {
                    route.iter().for_each(|route| insert(&mut table, route));
                    failures.extend(failure);
                }
            }
        }
        for state in &cluster.apps {
            let grant = state.grant.as_ref();
            let granted = grant.and_then(|grant| self.resolver.grant(&config.cluster_apps, grant));
            let Some(app) = granted else { continue };
            let (route, failure) = self.route(&app, state, &mut authorities);
            route.iter().for_each(|route| insert(&mut table, route));
            failures.extend(failure);
        }
        self.sweep(config, fixed, cluster);
        Ok(RoutingTable { failures, ..table })
    }

    /// The route of an app. One that can't be made concerns no other app: it keeps what it had, and it is told why.
    fn route(
        &self,
        app: &Arc<App>,
        state: &Arc<AppSnapshot>,
        authorities: &mut Authorities,
    ) -> (Option<Arc<AppRoute>>, Option<CompileError>) {
        let last = self.routes.lock().get(&state.id).cloned();
        if let Some(last) = &last
            && Arc::ptr_eq(&last.app, app)
            && Arc::ptr_eq(&last.state, state)
        {
            return (Some(Arc::clone(&last.route)), None);
        }
        match self.app(app, state, authorities) {
            Ok(route) => {
                let (app, state, route) = (Arc::clone(app), Arc::clone(state), Arc::new(route));
                let compiled = Compiled { app, state, route: Arc::clone(&route) };
                self.routes.lock().insert(compiled.state.id.clone(), compiled);
                (Some(route), None)
            }
            Err(error) => (last.map(|last| last.route), Some(error)),
        }
    }

    /// What a claim comes to.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn resolve(&self, config: &Config, claim: &Arc<Claim>) -> Result<Arc<App>, Vec<String>> {
        self.resolver.resolve(&config.cluster_apps, claim)
    }

    /// Checks what a configuration names, without making anything of it.
    ///
    /// # Errors
    /// If something can't be used.
    pub fn check(&self, config: &Config) -> Result<(), CompileError> {
        let mut authorities = Authorities::new();
        config
            .every_app()
            .try_for_each(|app| self.authorities(&app.id, &app.upstream, &mut authorities).map(|_| ()))
    }

    /// The pool of a version.
    #[must_use]
    pub fn pool(&self, app: &AppId, version: &VersionId) -> Option<Arc<Pool>> {
        self.known.lock().get(&(app.clone(), version.clone())).map(|known| Arc::clone(&known.pool))
    }

    /// The counters of a version.
    #[must_use]
    pub fn stats(&self, app: &AppId, version: &VersionId) -> Option<Arc<VersionStats>> {
        self.known.lock().get(&(app.clone(), version.clone())).map(|known| Arc::clone(&known.stats))
    }

    fn app(
        &self,
        app: &Arc<App>,
        state: &AppSnapshot,
        authorities: &mut Authorities,
    ) -> Result<AppRoute, CompileError> {
        let mut route = AppRoute::empty(app);
        let host: Arc<str> =
            app.hosts.first().map_or("localhost", |host| host.as_str().trim_start_matches("*.")).into();
        let cookies = Cookies::new(&app.skew.cookie, app.path.as_str());
        for version in &state.versions {
            if matches!(version.state, VersionState::Expiring | VersionState::Expired) {
                route.gone.insert(version.id.clone());
                continue;
            }
            let version = Arc::new(self.version(app, version, &host, &cookies, authorities)?);
            route.versions.insert(version.id.clone(), version);
        }
        route.active = state.active.as_ref().and_then(|id| route.versions.get(id)).cloned();
        route.canary = state.canary.as_ref().and_then(|canary| {
            let version = Arc::clone(route.versions.get(&canary.version)?);
            Some(CanaryRoute { version, below: below(canary.share.as_fraction()) })
        });
        Ok(route)
    }

    fn version(
        &self,
        app: &App,
        version: &VersionStatus,
        host: &Arc<str>,
        cookies: &Cookies,
        authorities: &mut Authorities,
    ) -> Result<VersionRoute, CompileError> {
        let settings = PoolSettings {
            app: app.id.clone(),
            version: version.id.clone(),
            endpoints: Arc::clone(&version.endpoints),
            balance: app.balance,
            upstream: Upstream { http2: app.upstream.http2 || version.http2, ..app.upstream.clone() },
            health: app.health.clone(),
            ejection: app.ejection,
            host: Arc::clone(host),
        };
        let known = self.known(settings, authorities)?;
        let headers = cookies
            .headers(&version.id)
            .ok_or_else(|| CompileError::Header { app: app.id.clone(), version: version.id.clone() })?;
        Ok(VersionRoute {
            id: version.id.clone(),
            state: version.state,
            pool: known.pool,
            stats: known.stats,
            headers,
        })
    }

    /// What is known of a version, with a new pool if its settings changed. Only that needs the authorities again.
    fn known(&self, settings: PoolSettings, authorities: &mut Authorities) -> Result<Known, CompileError> {
        let key = (settings.app.clone(), settings.version.clone());
        let old = self.known.lock().get(&key).cloned();
        if let Some(known) = &old
            && *known.pool.settings() == settings
        {
            return Ok(known.clone());
        }
        let authorities = self.authorities(&settings.app, &settings.upstream, authorities)?;
        let authorities = authorities.as_ref();
        let check = settings
            .health
            .as_ref()
            .map(|health| HttpCheck::new(&settings, health, Arc::clone(&self.connector), authorities))
            .transpose()
            .map_err(|error| CompileError::Health { app: key.0.clone(), message: error.to_string() })?;
        let stats = old.as_ref().map_or_else(
            || Arc::new(VersionStats::new(&key.0, key.1.clone(), Arc::clone(&self.metrics))),
            |known| Arc::clone(&known.stats),
        );
        let pool = Arc::new(Pool::new(settings, old.as_ref().map(|known| &*known.pool), check, authorities));
        let known = Known { stats, pool };
        self.known.lock().insert(key, known.clone());
        Ok(known)
    }

    fn authorities(
        &self,
        app: &AppId,
        upstream: &Upstream,
        loaded: &mut Authorities,
    ) -> Result<Option<Arc<CaType>>, CompileError> {
        let Some(Bundle { path, .. }) = &upstream.ca else { return Ok(None) };
        if let Some(known) = loaded.get(path) {
            return Ok(Some(Arc::clone(known)));
        }
        let bundle = authorities::load(path)
            .map_err(|source| CompileError::Authorities { app: app.clone(), source })?;
        loaded.insert(path.clone(), Arc::clone(&bundle));
        Ok(Some(bundle))
    }

    /// Forgets what no snapshot names any more, or what has expired, once nothing runs on it: its app may have lost
    /// its route for a moment only.
    fn sweep(&self, config: &Config, fixed: &VersionSnapshot, cluster: &VersionSnapshot) {
        let configured: HashSet<&AppId> = config.apps.iter().map(|app| &app.id).collect();
        let of_cluster: HashSet<&AppId> = cluster.apps.iter().map(|app| &app.id).collect();
        let fixed = fixed.apps.iter().filter(|app| configured.contains(&app.id));
        let alive: HashSet<(&AppId, &VersionId)> = fixed
            .chain(&cluster.apps)
            .flat_map(|app| app.versions.iter().map(move |version| (&app.id, version)))
            .filter(|(_, version)| version.state != VersionState::Expired)
            .map(|(app, version)| (app, &version.id))
            .collect();
        self.known
            .lock()
            .retain(|(app, version), known| alive.contains(&(app, version)) || known.stats.in_flight() > 0);
        self.routes.lock().retain(|app, _| of_cluster.contains(app) || configured.contains(app));
        self.resolver.retain(&of_cluster);
    }
}

fn insert(table: &mut RoutingTable, route: &Arc<AppRoute>) {
    let prefix = route.config.path.as_str();
    if route.config.hosts.is_empty() {
        table.any.insert(prefix, Arc::clone(route));
    }
    for host in &route.config.hosts {
        let (hosts, name) = match host.as_str().strip_prefix("*.") {
            Some(parent) => (&mut table.wildcard, parent),
            None => (&mut table.exact, host.as_str()),
        };
        hosts.entry(name.into()).or_default().insert(prefix, Arc::clone(route));
    }
    table.apps.push(Arc::clone(route));
    table.by_id.entry(route.config.id.clone()).or_insert_with(|| Arc::clone(route));
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction of 2^32 is between 0 and 2^32"
)]
fn below(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * DRAWS) as u64
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
