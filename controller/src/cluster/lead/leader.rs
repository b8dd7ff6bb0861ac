//! What the leader does while it leads: looks at what was found and what replicas say, writes the
//! states that follow, and acts. One app after the other, each write guarded by the resourceVersion
//! that it was decided on: if somebody else wrote meanwhile, it is read and decided again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::election::Term;
use super::events::{Events, Told};
use super::fleet::Fleet;
use super::memo::Memo;
use super::trouble::Troubles;
use super::webhook::{Webhooks, ask};
use crate::cluster::found::Problem;
use crate::cluster::state::ClusterState;
use crate::controller::Observer;
use crate::{AppId, DataPlane, VersionId, Webhook};

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Changes that come together are looked at together.
const BREATH: Duration = Duration::from_millis(50);
/// Webhooks that are asked at the same time.
const ASKS: usize = 8;

/// A time of leading.
pub(super) struct Leader {
    pub(super) client: Client,
    pub(super) cluster: watch::Receiver<Arc<ClusterState>>,
    pub(super) fleet: watch::Receiver<Arc<Fleet>>,
    pub(super) term: watch::Receiver<Option<Term>>,
    pub(super) data_plane: Arc<dyn DataPlane>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) events: Events,
    pub(super) troubles: Troubles,
    pub(super) memos: HashMap<AppId, Memo>,
    pub(super) webhooks: Webhooks,
    /// Webhooks that are to be asked.
    pub(super) questions: Vec<(Webhook, AppId, VersionId)>,
    /// Since when it leads.
    pub(super) began: Instant,
    told: Told,
    problems: Vec<Problem>,
}

type Asks = JoinSet<(AppId, VersionId, bool)>;

impl Leader {
    pub(super) fn new(
        client: Client,
        cluster: watch::Receiver<Arc<ClusterState>>,
        fleet: watch::Receiver<Arc<Fleet>>,
        term: watch::Receiver<Option<Term>>,
        data_plane: Arc<dyn DataPlane>,
        observer: Arc<dyn Observer>,
        events: Events,
    ) -> Self {
        Self {
            client,
            cluster,
            fleet,
            term,
            data_plane,
            observer,
            events,
            troubles: Troubles::default(),
            memos: HashMap::new(),
            webhooks: Webhooks::default(),
            questions: Vec::new(),
            began: Instant::now(),
            told: Told::default(),
            problems: Vec::new(),
        }
    }

    /// Notes there what goes wrong.
    #[must_use]
    pub(super) fn noting(self, troubles: Troubles) -> Self {
        Self { troubles, ..self }
    }

    /// Leads until it is dropped, or nobody says what there is any more.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asks = Asks::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = self.cluster.changed() => if changed.is_err() { return },
                changed = self.fleet.changed() => if changed.is_err() { return },
                Some(Ok((app, version, idle))) = asks.join_next() => self.webhooks.note(&app, &version, idle),
            }
            self.pass().await;
            self.ask(&mut asks);
            sleep(BREATH).await;
        }
    }

    /// Whether this replica leads at this moment.
    pub(super) fn leads(&self) -> bool {
        self.term.borrow().is_some_and(|term| term.lasts(Instant::now()))
    }

    async fn pass(&mut self) {
        let cluster = Arc::clone(&self.cluster.borrow_and_update());
        let fleet = Arc::clone(&self.fleet.borrow_and_update());
        // A Deployment that is not seen while only its watch is behind is not gone.
        if !cluster.complete || !cluster.stored || cluster.behind {
            return;
        }
        self.events.problems(&mut self.told, &cluster.found.problems);
        if self.problems != cluster.found.problems {
            self.problems.clone_from(&cluster.found.problems);
            self.memos.values_mut().for_each(Memo::look_again);
        }
        let found: HashMap<_, _> = cluster.found.apps.iter().map(|found| (&found.id, found)).collect();
        let apps: BTreeSet<&AppId> = cluster.resources.keys().chain(found.keys().copied()).collect();
        self.memos.retain(|app, _| apps.contains(app));
        for app in apps {
            if !self.leads() {
                return;
            }
            self.step(&cluster, &fleet, app, found.get(app).copied()).await;
        }
    }

    fn ask(&mut self, asks: &mut Asks) {
        for (webhook, app, version) in self.questions.drain(..) {
            if asks.len() >= ASKS {
                break;
            }
            // Counts as a no until the answer is there, and is not asked twice.
            self.webhooks.note(&app, &version, false);
            asks.spawn(async move {
                let idle = ask(&webhook, &app, &version).await;
                (app, version, idle)
            });
        }
    }
}
