//! Background tasks that never vanish: each is joined at the end, and one that panics or ends
//! unasked is logged, counted and either started again or takes the process down.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// The wait before a task that panicked is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// The tasks of the process.
pub(super) struct Supervisor {
    tasks: JoinSet<()>,
    /// Asks all tasks to end.
    stop: CancellationToken,
    /// Says that an essential task failed.
    failed: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Supervisor {
    /// A supervisor without tasks.
    #[must_use]
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
            failed: CancellationToken::new(),
            metrics,
        }
    }

    /// Cancelled when tasks should end.
    #[must_use]
    pub(super) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Cancelled when a task failed that nothing works without.
    #[must_use]
    pub(super) fn failure(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// Starts a task that may be started again when it panics: all that it needs outlives it.
    pub(super) fn spawn_restarting<F>(
        &mut self,
        name: &'static str,
        mut task: impl FnMut() -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, metrics) = (self.stop.clone(), Arc::clone(&self.metrics));
        self.tasks.spawn(async move {
            loop {
                run(name, &metrics, &stop, async { task().await }).await;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RESTART_AFTER) => {}
                }
            }
        });
    }

    /// Starts a task that nothing works without. If it ends before `until` is cancelled, the
    /// process does, in order.
    pub(super) fn spawn_essential(
        &mut self,
        name: &'static str,
        until: CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let (failed, metrics) = (self.failed.clone(), Arc::clone(&self.metrics));
        self.tasks.spawn(async move {
            run(name, &metrics, &until, task).await;
            if !until.is_cancelled() {
                failed.cancel();
            }
        });
    }

    /// Starts a task that can't be started again, and that the process goes on without.
    pub(super) fn spawn_once(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (stop, metrics) = (self.stop.clone(), Arc::clone(&self.metrics));
        self.tasks.spawn(async move { run(name, &metrics, &stop, task).await });
    }

    /// Asks all tasks to end and waits for them.
    pub(super) async fn finish(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a background task could not be joined");
            }
        }
    }
}

/// Runs a task to its end, and says so if it was not asked to end.
async fn run(
    name: &'static str,
    metrics: &Metrics,
    asked: &CancellationToken,
    task: impl Future<Output = ()>,
) {
    let ended = AssertUnwindSafe(task).catch_unwind().await;
    if ended.is_err() {
        metrics.task_panics.with_label_values(&[name]).inc();
        tracing::error!(task = name, "a background task panicked");
    } else if !asked.is_cancelled() {
        tracing::error!(task = name, "a background task ended unasked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_and_started_again() {
        let metrics = Metrics::new().unwrap();
        let mut supervisor = Supervisor::new(Arc::clone(&metrics));
        let runs = Arc::new(AtomicUsize::new(0));
        let (stop, counted) = (supervisor.stopping(), Arc::clone(&runs));
        supervisor.spawn_restarting("fragile", move || {
            let (stop, run) = (stop.clone(), counted.fetch_add(1, Ordering::Relaxed));
            async move {
                assert!(run >= 2, "panics twice");
                stop.cancelled().await;
            }
        });
        while runs.load(Ordering::Relaxed) < 3 {
            tokio::time::advance(RESTART_AFTER).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(metrics.task_panics.with_label_values(&["fragile"]).get(), 2);
        assert!(!supervisor.failure().is_cancelled());
        supervisor.finish().await;
    }

    #[tokio::test]
    async fn an_essential_task_takes_the_process_down() {
        let mut supervisor = Supervisor::new(Metrics::new().unwrap());
        supervisor.spawn_essential("essential", supervisor.stopping(), async {});
        supervisor.failure().cancelled().await;
        supervisor.finish().await;
    }
}
