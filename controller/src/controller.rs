//! The loop that owns the records: it takes specifications and commands, lets time pass, keeps the
//! outcome on disk and publishes it. There is one, so that no two steps ever interleave.

mod apps;
mod handle;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

pub use handle::Handle;

use crate::machine::command::{Command, CommandError};
use crate::record::Transition;
use crate::store::{Records, Store, StoreError};
use crate::view::{AppView, HistoryView};
use crate::{AppId, AppSpec, DataPlane, VersionSnapshot};
use apps::Apps;

/// How often time is looked at. Changes that something else brings about are not waited for.
const TICK: Duration = Duration::from_millis(250);
/// Requests that may wait for the loop; whoever asks beyond that waits too.
const QUEUE: usize = 64;

/// Is told of every transition, once.
pub trait Observer: Send + Sync {
    /// A version changed its state.
    fn transitioned(&self, app: &AppId, transition: &Transition);
    /// The pod template of a version changed under its id, in a cluster.
    fn template_changed(&self, app: &AppId);
    /// The states could not be kept: a restart would forget what was done since.
    fn not_kept(&self, error: &StoreError);
    /// The states are on disk (again).
    fn kept(&self);
}

/// The controller of static apps.
pub struct Controller {
    apps: Apps,
    store: Store,
    data_plane: Arc<dyn DataPlane>,
    observer: Arc<dyn Observer>,
    requests: mpsc::Receiver<Request>,
    snapshots: watch::Sender<Arc<VersionSnapshot>>,
    /// Whether the disk lacks the last change.
    unsaved: bool,
}

/// What the loop is asked for.
pub(crate) enum Request {
    Apply(Vec<AppSpec>, oneshot::Sender<Arc<VersionSnapshot>>),
    Command { app: String, version: String, command: Command, actor: String, reply: Reply<AppView> },
    Apps(oneshot::Sender<Vec<AppView>>),
    App(String, Reply<AppView>),
    History(String, Reply<HistoryView>),
    Poke,
}

type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

/// The snapshot that a controller would publish first, without one.
#[must_use]
pub fn preview(records: Records, specs: Vec<AppSpec>, data_plane: &dyn DataPlane) -> VersionSnapshot {
    let mut apps = Apps::new(records);
    apps.apply(specs, data_plane);
    apps.snapshot()
}

impl Controller {
    /// A controller that goes on where its store left off.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn new(
        store: Store,
        data_plane: Arc<dyn DataPlane>,
        observer: Arc<dyn Observer>,
    ) -> Result<(Self, Handle), StoreError> {
        let apps = Apps::new(store.load()?);
        let (sender, requests) = mpsc::channel(QUEUE);
        let (snapshots, receiver) = watch::channel(Arc::new(apps.snapshot()));
        let handle = Handle::new(sender, receiver);
        Ok((Self { apps, store, data_plane, observer, requests, snapshots, unsaved: false }, handle))
    }

    /// Runs until `stop` is done or nobody can ask any more.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => break,
                request = self.requests.recv() => match request {
                    Some(request) => self.handle(request).await,
                    None => break,
                },
                _ = ticks.tick() => self.advance().await,
            }
        }
    }

    async fn handle(&mut self, request: Request) {
        // Whoever asked may be gone; what was asked for is done all the same.
        match request {
            Request::Apply(specs, reply) => {
                let made = self.apps.apply(specs, &*self.data_plane);
                self.settle(made).await;
                let _gone = reply.send(Arc::clone(&self.snapshots.borrow()));
            }
            Request::Command { app, version, command, actor, reply } => {
                let done = self.apps.command(&app, &version, command, &actor, &*self.data_plane);
                let answer = match done {
                    Ok(made) => {
                        self.settle(made).await;
                        self.apps.view(&app, &*self.data_plane)
                    }
                    Err(error) => Err(error),
                };
                let _gone = reply.send(answer);
            }
            Request::Apps(reply) => {
                let _gone = reply.send(self.apps.views(&*self.data_plane));
            }
            Request::App(app, reply) => {
                let _gone = reply.send(self.apps.view(&app, &*self.data_plane));
            }
            Request::History(app, reply) => {
                let _gone = reply.send(self.apps.history(&app));
            }
            Request::Poke => self.advance().await,
        }
    }

    async fn advance(&mut self) {
        let made = self.apps.advance(&*self.data_plane);
        self.settle(made).await;
    }

    /// Keeps and publishes what changed, in that order: what others see survives a restart. A disk
    /// that does not take it holds nobody up; the next step tries again.
    async fn settle(&mut self, made: Vec<(AppId, Transition)>) {
        let changed = self.apps.take_changed();
        if changed || self.unsaved {
            self.keep().await;
        }
        if changed {
            self.snapshots.send_replace(Arc::new(self.apps.snapshot()));
        }
        for (app, transition) in made {
            tracing::info!(
                %app, version = %transition.version, from = transition.from.map(|state| state.as_str()),
                to = transition.to.as_str(), reason = transition.reason.as_str(), actor = transition.actor,
                "version changed its state",
            );
            self.observer.transitioned(&app, &transition);
        }
    }

    async fn keep(&mut self) {
        let store = self.store.clone();
        let records = self.apps.records();
        let Ok(saved) = tokio::task::spawn_blocking(move || store.save(records)).await else { return };
        match saved {
            Ok(()) if self.unsaved => self.observer.kept(),
            Ok(()) => {}
            Err(error) => {
                if !self.unsaved {
                    tracing::error!(%error, "version states can't be kept");
                    self.observer.not_kept(&error);
                }
                self.unsaved = true;
                return;
            }
        }
        self.unsaved = false;
    }
}

#[cfg(test)]
mod tests;
