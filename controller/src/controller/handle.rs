//! The way to ask the controller for something.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::Request;
use crate::machine::command::{Command, CommandError};
use crate::view::{AppView, HistoryView};
use crate::{AppSpec, VersionSnapshot};

/// Asks the controller. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    snapshots: watch::Receiver<Arc<VersionSnapshot>>,
}

impl Handle {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        snapshots: watch::Receiver<Arc<VersionSnapshot>>,
    ) -> Self {
        Self { requests, snapshots }
    }

    /// The snapshots that the controller publishes, the one of the moment first.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Arc<VersionSnapshot>> {
        self.snapshots.clone()
    }

    /// Follows a new specification and returns the snapshot that came of it.
    ///
    /// # Errors
    /// If the controller is ending.
    pub async fn apply(&self, specs: Vec<AppSpec>) -> Result<Arc<VersionSnapshot>, CommandError> {
        self.ask(|reply| Request::Apply(specs, reply)).await
    }

    /// Carries a command out in the name of `actor`.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn command(
        &self,
        app: &str,
        version: &str,
        command: Command,
        actor: &str,
    ) -> Result<AppView, CommandError> {
        let (app, version, actor) = (app.to_owned(), version.to_owned(), actor.to_owned());
        self.ask(|reply| Request::Command { app, version, command, actor, reply }).await?
    }

    /// All apps.
    ///
    /// # Errors
    /// If the controller is ending.
    pub async fn apps(&self) -> Result<Vec<AppView>, CommandError> {
        self.ask(Request::Apps).await
    }

    /// One app, by `namespace/name`, or by its name if only one namespace has it.
    ///
    /// # Errors
    /// If there is no such app, or more than one.
    pub async fn app(&self, app: &str) -> Result<AppView, CommandError> {
        self.ask(|reply| Request::App(app.to_owned(), reply)).await?
    }

    /// The last transitions of an app.
    ///
    /// # Errors
    /// If there is no such app, or more than one.
    pub async fn history(&self, app: &str) -> Result<HistoryView, CommandError> {
        self.ask(|reply| Request::History(app.to_owned(), reply)).await?
    }

    /// Something changed that time would have shown a moment later, such as the health of an
    /// endpoint. Never waits: a full queue means that the controller is about to look anyway.
    pub fn poke(&self) {
        let _full = self.requests.try_send(Request::Poke);
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| CommandError::ShuttingDown)?;
        answer.await.map_err(|_| CommandError::ShuttingDown)
    }
}
