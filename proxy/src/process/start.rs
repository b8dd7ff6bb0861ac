//! Starts what was built: first the states, then the table, then the tasks around it, and only then
//! the first connection.

use std::sync::Arc;
use std::time::Duration;

use lockstep_controller::{Handle, VersionSnapshot};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::contents::Contents;
use super::reload::Reloader;
use super::shutdown::{Outcome, Running, Worked};
use super::signals::Signals;
use super::supervisor::Supervisor;
use super::{Process, Shared, StartError, cluster, follow, watch as watcher};
use crate::admin;
use crate::config::model::Threads;
use crate::edge::Edge;
use crate::endpoints::health;
use crate::front::accept::Acceptor;
use crate::front::workers::Workers;
use crate::front::{BoundListener, Limiter};
use crate::problems::Source;
use crate::routing::compile::CompileError;

/// How long the start waits for health checks before it serves what it has.
const SETTLE: Duration = Duration::from_secs(5);

impl Process {
    /// Serves until a signal ends it.
    ///
    /// # Errors
    /// If the system gives no thread or signal handler.
    pub async fn run(self) -> Result<Outcome, StartError> {
        let mut signals = Signals::listen()?;
        let Self {
            shared,
            controller,
            observer,
            listeners,
            admin,
            access_log,
            tee,
            audit,
            log_writer,
            contents,
            data_dir,
        } = self;
        let reloader = Arc::new(Reloader::new(shared.clone(), access_log.clone(), &listeners, &admin));
        let (draining, drained) = watch::channel(false);
        let (plane, metrics) = (Arc::clone(&shared.plane), Arc::clone(&shared.metrics));
        let edge = Edge::new(plane, metrics, access_log, tee, shared.ai.desk());
        let workers = Arc::new(start_workers(&shared, &edge, &drained)?);

        let mut supervisor = Supervisor::new(Arc::clone(&shared.metrics));
        let stop = supervisor.stopping();
        let mut controller = controller;
        supervisor.spawn_essential("controller", stop.clone(), {
            let stop = stop.clone();
            async move { controller.run(stop.cancelled()).await }
        });
        route_first(&shared).await;
        spawn_routing(&mut supervisor, &shared);
        cluster::spawn(&mut supervisor, &shared, &observer);
        spawn_health(&mut supervisor, &shared);
        spawn_follower(&mut supervisor, reloader, contents);
        spawn_watch(&mut supervisor, &shared);
        spawn_background(&mut supervisor, &shared);
        let recording = match audit {
            Some(opened) => Some(Box::pin(opened.start(&shared)).await?),
            None => None,
        };
        let admin_until = CancellationToken::new();
        supervisor.spawn_essential(
            "admin",
            admin_until.clone(),
            admin::serve(admin, shared.clone(), admin_until.clone()),
        );
        settled(&shared.controller).await;
        let accepting = CancellationToken::new();
        let accepted = spawn_accept(&mut supervisor, &shared, &workers, listeners, &accepting);
        ready_without_cluster(&shared);
        let running = Running { shared, supervisor, workers, draining, accepting, accepted, admin_until };
        let worked = running.until_ended(&mut signals).await;
        if let Worked::Through(_) = worked {
            log_writer.finish();
            if let Some(recording) = recording {
                recording.close().await;
            }
        }
        drop(data_dir);
        Ok(worked.outcome())
    }
}

/// With apps of a cluster, that is for those who see it to say.
fn ready_without_cluster(shared: &Shared) {
    if shared.cluster.is_none() {
        shared.plane.set_ready();
    }
}

fn start_workers(
    shared: &Shared,
    edge: &Edge,
    drained: &watch::Receiver<bool>,
) -> Result<Workers, StartError> {
    let config = shared.plane.config();
    let count = match config.server.threads {
        Threads::Auto => std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        Threads::Fixed(count) => count.get(),
    };
    let limits = config.server.limits;
    Ok(Workers::start(count, edge, limits.header_bytes, limits.idle_timeout, drained, &shared.metrics)?)
}

/// Hands the apps to the controller and routes by what it makes of them.
async fn route_first(shared: &Shared) {
    let config = shared.plane.config();
    match shared.controller.apply(config.app_specs()).await {
        Ok(snapshot) => route(shared, &snapshot),
        Err(error) => tracing::error!(%error, "the controller does not answer"),
    }
}

fn route(shared: &Shared, snapshot: &Arc<VersionSnapshot>) {
    routed(shared, shared.plane.route(snapshot));
}

/// Says what became of a new table.
pub(super) fn routed(shared: &Shared, result: Result<(), CompileError>) {
    let failures = match result {
        Ok(()) => shared.plane.table().failures().iter().map(unrouted).collect(),
        Err(error) => vec![format!("{error}; the last routing table stays")],
    };
    let (count, first) = (failures.len(), failures.first().cloned());
    if shared.problems.report(Source::Routing, failures) {
        // The list of problems has all of them.
        tracing::error!(count, first, "not everything is routed as it should be");
    }
}

fn unrouted(error: &CompileError) -> String {
    format!("{error}; until that is mended the app keeps the routes that it had, if any")
}

fn spawn_routing(supervisor: &mut Supervisor, shared: &Shared) {
    let (stop, shared) = (supervisor.stopping(), shared.clone());
    supervisor.spawn_restarting("routing", move || {
        let (stop, shared) = (stop.clone(), shared.clone());
        async move {
            let mut snapshots = shared.controller.snapshots();
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = snapshots.changed() => if changed.is_err() { return },
                }
                {
                    let _whole = shared.routing.lock().await;
                    let snapshot = Arc::clone(&snapshots.borrow_and_update());
                    route(&shared, &snapshot);
                }
                // Expiring versions wait for exactly this.
                shared.controller.poke();
            }
        }
    });
}

fn spawn_health(supervisor: &mut Supervisor, shared: &Shared) {
    let (stop, shared) = (supervisor.stopping(), shared.clone());
    supervisor.spawn_restarting("health", move || {
        let (stop, shared) = (stop.clone(), shared.clone());
        async move {
            let changed = |pool: &crate::endpoints::Pool| {
                let (settings, all) = (pool.settings(), pool.endpoints().len());
                tracing::info!(
                    app = %settings.app, version = %settings.version, ready = pool.ready(), of = all,
                    "health checks changed what is ready",
                );
                shared.controller.poke();
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = health::run(|| shared.plane.checked_pools(), changed) => {}
            }
        }
    });
}

fn spawn_watch(supervisor: &mut Supervisor, shared: &Shared) {
    let (stop, shared) = (supervisor.stopping(), shared.clone());
    supervisor.spawn_restarting("watch", move || watcher::run(shared.clone(), stop.clone()));
}

fn spawn_background(supervisor: &mut Supervisor, shared: &Shared) {
    if let Some(background) = shared.background.clone() {
        let stop = supervisor.stopping();
        supervisor.spawn_restarting("background", move || background.clone().run(stop.clone()));
    }
}

fn spawn_follower(supervisor: &mut Supervisor, reloader: Arc<Reloader>, contents: Contents) {
    let stop = supervisor.stopping();
    supervisor.spawn_restarting("follower", move || {
        follow::run(Arc::clone(&reloader), contents.clone(), stop.clone())
    });
}

/// Starts an accept loop for each listener. The token is cancelled once all of them have ended.
fn spawn_accept(
    supervisor: &mut Supervisor,
    shared: &Shared,
    workers: &Arc<Workers>,
    listeners: Vec<BoundListener>,
    accepting: &CancellationToken,
) -> tokio_util::task::TaskTracker {
    let acceptor = Arc::new(Acceptor {
        workers: Arc::clone(workers),
        limiter: Limiter::new(),
        plane: Arc::clone(&shared.plane),
        metrics: Arc::clone(&shared.metrics),
    });
    let accepted = tokio_util::task::TaskTracker::new();
    for listener in listeners {
        let (acceptor, stop) = (Arc::clone(&acceptor), accepting.clone());
        let (addr, accept) = (listener.addr, async move { acceptor.run(listener, stop).await });
        supervisor.spawn_essential(
            "accept",
            accepting.clone(),
            accepted.track_future(async move {
                if let Err(error) = accept.await {
                    tracing::error!(%addr, %error, "the listener can't be used");
                }
            }),
        );
    }
    accepted.close();
    accepted
}

/// Waits until each app has an active version, or health checks had their time.
async fn settled(controller: &Handle) {
    let mut snapshots = controller.snapshots();
    let complete = |snapshot: &Arc<VersionSnapshot>| snapshot.apps.iter().all(|app| app.active.is_some());
    let waited = tokio::time::timeout(SETTLE, snapshots.wait_for(complete)).await;
    if waited.is_err() {
        tracing::warn!("some apps have no active version yet; serving what there is");
    }
}
