//! Follows the cluster: takes in what watches report, and whenever something changed, looks again at
//! the namespaces that it touches and publishes what came of it. What was last published stays
//! while the API is gone.

mod picture;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch as channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

use super::claim::Settings;
use super::contact::{ConnectError, Contact};
use super::discovery::Options;
use super::kept::{Kept, KeptError, Memory};
use super::state::{ClusterState, Health};
use super::watch::{Change, Kind, Report, Scope, watch};
use super::world::World;
use crate::VersionSnapshot;
use picture::Picture;

/// Changes that come within this time are taken together.
const TOGETHER: Duration = Duration::from_millis(20);
/// Looking takes at most this part of the time.
const SHARE: u32 = 5;
/// The longest time for which changes are taken together.
const AT_MOST: Duration = Duration::from_secs(1);
/// Reports that may wait; watches wait beyond that.
const QUEUE: usize = 1024;
/// How often staleness is looked at, and what is kept is brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// After this long without contact the snapshot may be behind.
pub const STALE: Duration = Duration::from_secs(30);
/// After this long without contact the API is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(10);
/// The wait before the way to the API is looked for again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes {
    /// Namespaces; all, if empty.
    pub namespaces: Vec<String>,
    /// What is taken for a version.
    pub options: Options,
}

/// The cluster as this replica sees it. Clones are of one.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    scopes: Scopes,
    settings: Arc<dyn Settings>,
    kept: Kept,
    /// Whether something was kept.
    remembers: bool,
    contact: Contact,
    snapshots: channel::Sender<Arc<VersionSnapshot>>,
    states: channel::Sender<Arc<ClusterState>>,
    health: Mutex<Arc<Health>>,
    /// The settings are others.
    changed: Notify,
    /// Survives a run that panicked.
    picture: Mutex<Option<Picture>>,
}

impl Cluster {
    /// A cluster that goes on where the last process left off, until it has seen more.
    ///
    /// # Errors
    /// If what was kept can't be read.
    pub fn new(scopes: Scopes, settings: Arc<dyn Settings>, kept: Kept) -> Result<Self, KeptError> {
        let memory = kept.load()?;
        let remembers = memory.is_some();
        let picture = Picture::new(memory, &*settings);
        let (snapshots, _) = channel::channel(Arc::new(picture.snapshot(true)));
        let (states, _) = channel::channel(Arc::default());
        Ok(Self {
            inner: Arc::new(Inner {
                scopes,
                settings,
                kept,
                remembers,
                contact: Contact::default(),
                snapshots,
                states,
                health: Mutex::default(),
                changed: Notify::new(),
                picture: Mutex::new(Some(picture)),
            }),
        })
    }

    /// The snapshots, the one of the moment first. The first generation is what was kept; without
    /// anything kept it is empty.
    #[must_use]
    pub fn snapshots(&self) -> channel::Receiver<Arc<VersionSnapshot>> {
        self.inner.snapshots.subscribe()
    }

    /// What is watched.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.inner.scopes
    }

    /// What is known of the cluster.
    #[must_use]
    pub fn states(&self) -> channel::Receiver<Arc<ClusterState>> {
        self.inner.states.subscribe()
    }

    /// Whether something was kept, so that the first snapshot is worth routing by.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.inner.remembers
    }

    /// When the API was last heard.
    #[must_use]
    pub fn contact(&self) -> &Contact {
        &self.inner.contact
    }

    /// How this replica fares with the API.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.inner.health.lock())
    }

    /// The settings are others: everything is settled again.
    pub fn settings_changed(&self) {
        self.inner.changed.notify_one();
    }

    /// A client whose answers count as contact.
    ///
    /// # Errors
    /// If there is no way to the API.
    pub async fn client(&self) -> Result<Client, ConnectError> {
        self.inner.contact.client().await
    }

    /// Follows the cluster until `stop` is done.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let client = tokio::select! {
            () = &mut stop => return,
            client = self.connect() => client,
        };
        let (reports, received) = mpsc::channel(QUEUE);
        let mut watches = JoinSet::new();
        let scopes = self.inner.scopes.spread();
        for scope in &scopes {
            start(&mut watches, &client, scope.clone(), &reports);
        }
        watches.spawn(listen(client, self.inner.contact.clone()));
        drop(reports);
        tokio::select! {
            () = &mut stop => {}
            () = self.follow(World::new(scopes, self.inner.remembers), received) => {}
            // Beside the others: a disk that is slow holds no route up.
            () = self.keep_up() => {}
            _ended = watches.join_next() => tracing::error!("a watch ended unasked"),
        }
        watches.shutdown().await;
        self.inner.keep().await;
    }

    async fn keep_up(&self) {
        loop {
            sleep(TICK).await;
            self.inner.keep().await;
        }
    }

    async fn connect(&self) -> Client {
        loop {
            match self.client().await {
                Ok(client) => return client,
                Err(error) => {
                    tracing::error!(%error, "no way to the Kubernetes API");
                    let failures = vec![error.to_string()];
                    *self.inner.health.lock() = Arc::new(Health { failures, ..Health::default() });
                    sleep(PATIENCE).await;
                }
            }
        }
    }

    async fn follow(&self, mut world: World, mut reports: mpsc::Receiver<Report>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut together = TOGETHER;
        loop {
            let mut resettle = false;
            tokio::select! {
                report = reports.recv() => {
                    let Some(report) = report else { return };
                    world.take(report);
                    let until = Instant::now() + together;
                    while let Ok(Some(report)) = timeout_at(until, reports.recv()).await {
                        world.take(report);
                    }
                }
                () = self.inner.changed.notified() => resettle = true,
                _ = ticks.tick() => {}
            }
            let started = Instant::now();
            self.inner.look(&mut world, resettle);
            together = (started.elapsed() * SHARE).clamp(TOGETHER, AT_MOST);
        }
    }
}

impl Inner {
    /// Looks at what changed and publishes what came of it.
    fn look(&self, world: &mut World, resettle: bool) {
        world.pass(Instant::now());
        let health = Health {
            complete: world.is_complete(),
            failures: world.failures(),
            objects: Kind::ALL.map(|kind| (kind, world.count(kind))).into(),
            restarts: Kind::ALL.map(|kind| (kind, world.restarts(kind))).into(),
        };
        let complete = health.complete;
        if **self.health.lock() != health {
            for failure in health.failures.iter().filter(|new| !self.health.lock().failures.contains(new)) {
                tracing::warn!(%failure, "Kubernetes");
            }
            *self.health.lock() = Arc::new(health);
        }
        let mut picture = self.picture.lock();
        // A run that panicked took it away: everything is seen again then.
        let mut taken = picture.take().unwrap_or_else(|| {
            // What is routed stays until more is seen.
            let apps = self.snapshots.borrow().apps.clone();
            Picture::new(Some(Memory { apps, minted: BTreeMap::new() }), &*self.settings)
        });
        if resettle {
            taken.resettle(&*self.settings);
        }
        let dirty = world.take_dirty();
        // Half of the cluster is no picture of it: until all was seen, the last one stays.
        let behind = world.is_behind();
        if complete {
            let looked = taken.look(world, &dirty, &self.scopes.options, &*self.settings);
            if looked || self.states.borrow().behind != behind {
                self.states.send_replace(Arc::new(ClusterState { behind, ..taken.state(world.is_stored()) }));
            }
        } else {
            taken.remember_dirty(dirty);
        }
        self.publish(&mut taken, world.behind_for(Instant::now()));
        *picture = Some(taken);
    }

    fn publish(&self, picture: &mut Picture, behind_for: Duration) {
        let stale = !picture.is_seen() || self.contact.age().max(behind_for) > STALE;
        let published = Arc::clone(&self.snapshots.borrow());
        if published.stale != stale || picture.take_changed() {
            let generation = published.generation + 1;
            self.snapshots.send_replace(Arc::new(VersionSnapshot { generation, ..picture.snapshot(stale) }));
        }
    }

    /// Writes down what a restart without the API needs.
    async fn keep(&self) {
        let memory = self.picture.lock().as_mut().and_then(Picture::take_unkept);
        let Some(memory) = memory else { return };
        let kept = self.kept.clone();
        let Ok(saved) = tokio::task::spawn_blocking(move || kept.save(&memory)).await else { return };
        if let Err(error) = saved {
            tracing::error!(%error, "what is known of the cluster can't be kept");
            if let Some(picture) = self.picture.lock().as_mut() {
                picture.not_kept();
            }
        }
    }
}

impl Scopes {
    fn spread(&self) -> Vec<Scope> {
        let namespaces = match self.namespaces.as_slice() {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let of =
            |namespace: Option<String>| Kind::ALL.map(|kind| Scope { kind, namespace: namespace.clone() });
        namespaces.into_iter().flat_map(of).collect()
    }
}

fn start(watches: &mut JoinSet<()>, client: &Client, scope: Scope, reports: &mpsc::Sender<Report>) {
    fn api<K>(client: &Client, scope: &Scope) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &scope.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }
    let reports = reports.clone();
    match scope.kind {
        Kind::Deployments => watches.spawn(watch(api(client, &scope), scope, reports, Change::Deployments)),
        Kind::Services => watches.spawn(watch(api(client, &scope), scope, reports, Change::Services)),
        Kind::EndpointSlices => watches.spawn(watch(api(client, &scope), scope, reports, Change::Slices)),
        Kind::Pods => watches.spawn(watch(api(client, &scope), scope, reports, Change::Pods)),
        Kind::VersionedApps => watches.spawn(watch(api(client, &scope), scope, reports, Change::Apps)),
    };
}

/// Asks the API for a sign of life when it has been quiet: watches of a cluster in which nothing
/// happens say nothing.
async fn listen(client: Client, contact: Contact) {
    loop {
        sleep(QUIET.saturating_sub(contact.age()).max(TICK)).await;
        if contact.age() >= QUIET {
            // An answer is contact; what it says is of no interest.
            let _answer = timeout(QUIET, client.apiserver_version().map(drop)).await;
        }
    }
}
