//! The state that requests read and that everything else changes: the configuration and the
//! routing table compiled from it and from the controller's snapshot. Both are replaced whole; a
//! replacement that can't be made leaves what was there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use lockstep_controller::cluster::claim::Claim;
use lockstep_controller::{AppId, DataPlane, Traffic, VersionId, VersionSnapshot, VersionState};
use parking_lot::Mutex;

use crate::clock;
use crate::config::Config;
use crate::config::model::App;
use crate::endpoints::Pool;
use crate::metrics::Metrics;
use crate::routing::RoutingTable;
use crate::routing::compile::{CompileError, Compiler};
use crate::routing::table::Named;

/// The shared state of the data plane.
pub struct Plane {
    config: ArcSwap<Config>,
    table: ArcSwap<RoutingTable>,
    compiler: Compiler,
    /// What the table is compiled from. Locked while it is, so that an older table never follows a
    /// newer one.
    sources: Mutex<Sources>,
    compiled_at: AtomicU64,
    ready: AtomicBool,
    draining: AtomicBool,
    metrics: Arc<Metrics>,
}

/// The snapshots that are routed by.
#[derive(Clone, Default)]
struct Sources {
    /// Of the configuration's apps.
    fixed: Arc<VersionSnapshot>,
    /// Of the cluster's apps.
    cluster: Arc<VersionSnapshot>,
}

impl Plane {
    /// A plane that routes nothing yet.
    #[must_use]
    pub fn new(config: Config, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::from_pointee(RoutingTable::empty(config.server.limits)),
            config: ArcSwap::from_pointee(config),
            compiler: Compiler::new(Arc::clone(&metrics)),
            sources: Mutex::default(),
            compiled_at: AtomicU64::new(clock::now_ms()),
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            metrics,
        })
    }

    /// The configuration of the moment.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The routing table of the moment, without touching the count that all cores would share.
    #[must_use]
    pub fn table_for_request(&self) -> Guard<Arc<RoutingTable>> {
        self.table.load()
    }

    /// The routing table of the moment.
    #[must_use]
    pub fn table(&self) -> Arc<RoutingTable> {
        self.table.load_full()
    }

    /// Routes by a new snapshot of the configuration's apps.
    ///
    /// # Errors
    /// If no table can be made of it: the last one stays.
    pub fn route(&self, snapshot: &Arc<VersionSnapshot>) -> Result<(), CompileError> {
        let mut sources = self.sources.lock();
        if snapshot.generation < sources.fixed.generation {
            return Ok(());
        }
        let new = Sources { fixed: Arc::clone(snapshot), ..sources.clone() };
        self.compile(&self.config(), &mut sources, new)
    }

    /// Routes by a new snapshot of the cluster's apps.
    ///
    /// # Errors
    /// If no table can be made of it: the last one stays.
    pub fn route_cluster(&self, snapshot: &Arc<VersionSnapshot>) -> Result<(), CompileError> {
        let mut sources = self.sources.lock();
        if snapshot.generation < sources.cluster.generation {
            return Ok(());
        }
        let new = Sources { cluster: Arc::clone(snapshot), ..sources.clone() };
        self.compile(&self.config(), &mut sources, new)
    }

    /// What an app of the cluster gets by the configuration of the moment.
    ///
    /// # Errors
    /// All that is wrong with what it asks for.
    pub fn resolve(&self, claim: &Arc<Claim>) -> Result<Arc<App>, Vec<String>> {
        self.compiler.resolve(&self.config(), claim)
    }

    /// Checks whether a table could be made of a new configuration.
    ///
    /// # Errors
    /// What keeps it from being made.
    pub fn prepare(&self, config: &Config) -> Result<(), CompileError> {
        self.compiler.check(config)
    }

    /// Takes a new configuration over, with the snapshot that followed from it, so that both take
    /// effect in one table.
    ///
    /// # Errors
    /// If no table can be made of it: configuration and table stay.
    pub fn reconfigure(&self, config: Config, snapshot: &Arc<VersionSnapshot>) -> Result<(), CompileError> {
        let mut sources = self.sources.lock();
        let config = Arc::new(config);
        // The controller may have gone on since, and that have been routed by: then it knows this configuration.
        let fixed = if snapshot.generation < sources.fixed.generation { &sources.fixed } else { snapshot };
        let new = Sources { fixed: Arc::clone(fixed), ..sources.clone() };
        self.compile(&config, &mut sources, new)?;
        self.config.store(config);
        Ok(())
    }

    fn compile(&self, config: &Config, sources: &mut Sources, new: Sources) -> Result<(), CompileError> {
        let began = Instant::now();
        let compiled = self.compiler.compile(config, &new.fixed, &new.cluster);
        self.metrics.table_compile.observe(began.elapsed().as_secs_f64());
        match compiled {
            Ok(table) => {
                *sources = new;
                self.metrics.table_compiles.with_label_values(&["success"]).inc();
                self.metrics.snapshot_generation.set(i64::try_from(table.generation()).unwrap_or(i64::MAX));
                self.table.store(Arc::new(table));
                self.compiled_at.store(clock::now_ms(), Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.metrics.table_compiles.with_label_values(&["error"]).inc();
                Err(error)
            }
        }
    }

    /// The pools that have health checks.
    #[must_use]
    pub fn checked_pools(&self) -> Vec<Arc<Pool>> {
        let table = self.table.load();
        let versions = table.apps().iter().flat_map(|app| app.versions());
        versions
            .map(|version| version.pool())
            .filter(|pool| pool.settings().health.is_some())
            .cloned()
            .collect()
    }

    /// Says that the process is able to serve what it has.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether new requests should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_draining()
    }

    /// Says that the process is about to end.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the process is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Brings the gauges up to date that nothing else maintains.
    pub fn refresh_gauges(&self) {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let age = clock::now_ms().saturating_sub(self.compiled_at.load(Ordering::Relaxed)) / 1000;
        self.metrics.snapshot_age.set(signed(age));
        // What the table holds no more must not go on being told.
        self.metrics.versions.reset();
        self.metrics.in_flight.reset();
        self.metrics.endpoints.reset();
        for app in self.table.load().apps() {
            let id = app.config().id.to_string();
            for version in app.versions() {
                let labels = [id.as_str(), version.id().as_str()];
                self.metrics.in_flight.with_label_values(&labels).set(signed(version.stats().in_flight()));
                self.metrics.versions.with_label_values(&[&id, version.state().as_str()]).inc();
                // Others may well have none yet, which is nothing to be alarmed at.
                if matches!(version.state(), VersionState::Active | VersionState::Draining) {
                    let usable = signed(version.pool().available() as u64);
                    self.metrics.endpoints.with_label_values(&labels).set(usable);
                }
            }
        }
    }
}

impl DataPlane for Plane {
    fn routed_generation(&self) -> u64 {
        self.table.load().static_generation()
    }

    fn routed(&self, app: &AppId, version: &VersionId) -> Option<usize> {
        let table = self.table.load();
        match table.app(app)?.find(version.as_str()) {
            Named::Served(version) => Some(version.pool().endpoints().len()),
            Named::Gone(_) | Named::Unknown => None,
        }
    }

    fn reached(&self, app: &AppId, version: &VersionId) -> Option<usize> {
        let table = self.table.load();
        let app = table.app(app)?;
        let Named::Served(version) = app.find(version.as_str()) else { return None };
        app.honours(version).then(|| version.pool().endpoints().len())
    }

    fn ready_endpoints(&self, app: &AppId, version: &VersionId) -> usize {
        self.compiler.pool(app, version).map_or(0, |pool| pool.ready().min(pool.available()))
    }

    fn traffic(&self, app: &AppId, version: &VersionId) -> Option<Traffic> {
        self.compiler.stats(app, version).map(|stats| stats.traffic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::fixture::{config, states};

    /// The label sets of a gauge, as they are scraped: `v1=2`.
    fn told(plane: &Plane, gauge: &str) -> Vec<String> {
        plane.refresh_gauges();
        let text = String::from_utf8(plane.metrics.render()).unwrap();
        let prefix = format!("lockstep_{gauge}{{app=\"shop\",version=\"");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines.map(|line| line.replace("\"} ", "=")).collect()
    }

    #[test]
    fn a_reload_that_is_late_does_not_route_by_what_was_before() {
        use VersionState::{Active, Draining, Staged};
        let config = config(&["{name: shop, versions: [{id: v1, endpoints: ['127.0.0.1:9001']}]}"]);
        let plane = Plane::new(config.clone(), Metrics::new().unwrap());
        let of = |generation, versions: &[_]| {
            Arc::new(VersionSnapshot { generation, ..states(&config, versions, &[]) })
        };
        let (before, after) =
            (of(1, &[("v1", Active), ("v2", Staged)]), of(2, &[("v1", Draining), ("v2", Active)]));
        plane.route(&after).unwrap();
        plane.reconfigure(config.clone(), &before).unwrap();
        let app = plane.table().apps()[0].clone();
        assert_eq!(app.active().map(|version| version.id().as_str().to_owned()).as_deref(), Some("v2"));
        assert_eq!(plane.routed_generation(), 2);
    }

    #[test]
    fn gauges_tell_of_the_versions_that_are_routed_and_of_no_others() {
        use VersionState::{Active, Draining, Pending, Staged};
        let config = config(&["{name: shop, versions: [{id: v1, endpoints: ['127.0.0.1:9001']}]}"]);
        let plane = Plane::new(config.clone(), Metrics::new().unwrap());
        let all = [("v1", Draining), ("v2", Active), ("v3", Pending), ("v4", Staged)];
        plane.route(&Arc::new(states(&config, &all, &["v1", "v3"]))).unwrap();
        assert_eq!(told(&plane, "endpoints_usable"), ["v1=0", "v2=1"]);
        assert_eq!(told(&plane, "requests_in_flight"), ["v1=0", "v2=0", "v3=0", "v4=0"]);

        let fewer = states(&config, &[("v2", Draining), ("v3", Active)], &[]);
        plane.route(&Arc::new(fewer)).unwrap();
        assert_eq!(told(&plane, "endpoints_usable"), ["v2=1", "v3=1"]);
        assert_eq!(told(&plane, "requests_in_flight"), ["v2=0", "v3=0"]);
    }
}
