//! Ends the process in order: unready first, then no new connections, then the last request, then
//! what records them. A second signal ends it at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use super::signals::{Ending, Signals};
use super::supervisor::Supervisor;
use crate::front::workers::Workers;

/// How long clients of the admin API may take for what they have begun.
const ADMIN: Duration = Duration::from_secs(2);

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked to, and everything was done in order.
    Ended,
    /// It was asked twice, and dropped everything.
    Killed,
    /// An essential part of it failed.
    Failed,
}

/// A process that serves.
pub(super) struct Running {
    pub(super) shared: Shared,
    pub(super) supervisor: Supervisor,
    pub(super) workers: Arc<Workers>,
    /// Tells connections to come to an end.
    pub(super) draining: watch::Sender<bool>,
    /// Ends the accept loops.
    pub(super) accepting: CancellationToken,
    /// Waits for them.
    pub(super) accepted: TaskTracker,
    /// Ends the admin API, last of all.
    pub(super) admin_until: CancellationToken,
}

/// Whether the end was worked through.
pub(super) enum Worked {
    Through(Outcome),
    Aborted,
}

impl Running {
    /// Serves until it is asked to end, then ends.
    pub(super) async fn until_ended(self, signals: &mut Signals) -> Worked {
        let failure = self.supervisor.failure();
        let asked = tokio::select! {
            ending = signals.ending() => Some(ending),
            () = failure.cancelled() => None,
        };
        self.shared.plane.set_draining();
        self.shared.ai.set_draining();
        let why = match asked {
            Some(Ending::Terminate) => "SIGTERM",
            Some(Ending::Interrupt) => "SIGINT",
            None => "an essential task failed",
        };
        tracing::info!(why, "shutting down");
        let outcome = if asked.is_some() { Outcome::Ended } else { Outcome::Failed };
        tokio::select! {
            biased;
            () = self.end(asked) => Worked::Through(outcome),
            _ = signals.ending() => {
                tracing::warn!("asked twice: everything that still runs is dropped");
                Worked::Aborted
            }
        }
    }

    async fn end(self, asked: Option<Ending>) {
        let shutdown = self.shared.plane.config().server.shutdown;
        if asked == Some(Ending::Terminate) {
            tokio::time::sleep(shutdown.lame_duck).await;
        }
        // Connections that are queued are still taken: whoever is in the queue has connected.
        self.accepting.cancel();
        self.accepted.wait().await;
        self.draining.send_replace(true);
        let cut = self.workers.drain(shutdown.grace, self.shared.ai.end_calls()).await;
        // A connection of HTTP/2 may be over before the calls on its streams have ended and left their records.
        self.shared.ai.end_calls().await;
        if cut > 0 {
            tracing::warn!(connections = cut, "cut at the end of the shutdown grace");
        }
        self.admin_until.cancel();
        if tokio::time::timeout(ADMIN, self.supervisor.finish()).await.is_err() {
            tracing::warn!("clients of the admin API were cut");
        }
        match Arc::into_inner(self.workers) {
            Some(workers) => workers.stop(),
            None => tracing::error!("the worker threads are still in use"),
        }
        tracing::info!("ended");
    }
}

impl Worked {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Through(outcome) => *outcome,
            Self::Aborted => Outcome::Killed,
        }
    }
}
