//! Notices when the configuration, or a file that it names, changes: by file events, also for the
//! symbolic links that Kubernetes swaps in a mounted ConfigMap, by SIGHUP, and by a slow look where
//! events get lost, as on network file systems.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::contents::Contents;
use super::reload::Reloader;
use super::signals;

/// Editors and deployers change a file in several steps, the first of which is often to empty it. Files are read
/// once they have been the same, and not empty, for so long.
const SETTLE: Duration = Duration::from_millis(50);
/// After so long they are read as they are.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often contents are compared without any event.
const LOOK: Duration = Duration::from_secs(10);

/// Follows the configuration until stopped; `known` are the contents that it was last read from.
pub(super) async fn run(reloader: Arc<Reloader>, mut known: Contents, stop: CancellationToken) {
    let mut hangup = match signals::hangup() {
        Ok(hangup) => Some(hangup),
        Err(error) => {
            tracing::warn!(%error, "SIGHUP can't be heard");
            None
        }
    };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Made anew each time: what is named may have moved. Contents are compared right after, so
        // that nothing is missed in between.
        let mut events = Events::watch(known.files());
        let mut asked = false;
        while !asked && !known.changed().await {
            asked = tokio::select! {
                () = stop.cancelled() => return,
                () = heard(&mut hangup) => true,
                () = events.next() => false,
                _ = looks.tick() => false,
            };
        }
        if !asked {
            // What has not settled by then is read as it is.
            let _waited = timeout(PATIENCE, settled(&known)).await;
        }
        known = reloader.reload(known).await;
    }
}

/// Waits until nobody seems to be writing.
async fn settled(known: &Contents) {
    let mut last = known.look().await;
    loop {
        sleep(SETTLE).await;
        let now = known.look().await;
        if now == last && !now.as_ref().is_some_and(Contents::has_empty) {
            return;
        }
        last = now;
    }
}

async fn heard(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// File events of the directories that hold the files.
struct Events {
    changes: mpsc::Receiver<()>,
    /// Ends with its last use; without one, only the slow look is left.
    _watcher: Option<RecommendedWatcher>,
}

impl Events {
    fn watch<'f>(files: impl Iterator<Item = &'f Path>) -> Self {
        // One pending event says all: something changed.
        let (sender, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                let _full = sender.try_send(());
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            for directory in files.flat_map(directories).collect::<BTreeSet<_>>() {
                watcher.watch(&directory, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "file events are not to be had; changes show within ten seconds");
        }
        Self { changes, _watcher: watcher.ok() }
    }

    async fn next(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The directory of a file as it is named, and of what it really is.
fn directories(file: &Path) -> impl Iterator<Item = PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    [Some(parent(file)), file.canonicalize().ok().map(|real| parent(&real))].into_iter().flatten()
}
