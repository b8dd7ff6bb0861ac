//! Open connections as shutdown sees them: whether a request runs, and a way to end each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// One open connection.
#[derive(Debug, Default)]
pub struct Tracked {
    requests: AtomicUsize,
    /// Ends the connection's task; there once it was spawned.
    task: OnceCell<AbortHandle>,
}

/// A request that runs on a connection, until dropped.
#[derive(Debug)]
pub struct Running(Arc<Tracked>);

/// All open connections.
#[derive(Debug, Default)]
pub struct Registry {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Tracked>>>,
}

/// Keeps a connection in the registry until dropped.
#[derive(Debug)]
pub struct Entry {
    registry: Arc<Registry>,
    key: u64,
}

impl Tracked {
    /// Notes that a request runs.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Running {
        self.requests.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// Names the task that serves the connection.
    pub fn served_by(&self, task: AbortHandle) {
        // Set once, by whoever spawns it.
        let _first = self.task.set(task);
    }

    /// Ends the connection at once.
    pub fn cut(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }
}

impl Registry {
    /// Adds a connection.
    #[must_use]
    pub fn add(self: &Arc<Self>, connection: &Arc<Tracked>) -> Entry {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().insert(key, Arc::clone(connection));
        Entry { registry: Arc::clone(self), key }
    }

    /// The connections on which no request runs.
    #[must_use]
    pub fn idle(&self) -> HashMap<u64, Arc<Tracked>> {
        let open = self.open.lock();
        open.iter().filter(|(_, c)| c.is_idle()).map(|(key, c)| (*key, Arc::clone(c))).collect()
    }

    /// Ends all connections.
    pub fn cut_all(&self) {
        self.open.lock().values().for_each(|connection| connection.cut());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.open.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_means_that_no_request_runs() {
        let registry = Arc::new(Registry::default());
        let (one, two) = (Arc::new(Tracked::default()), Arc::new(Tracked::default()));
        let _one = registry.add(&one);
        let entry = registry.add(&two);
        let running = one.begin();
        assert_eq!(registry.idle().len(), 1);
        drop(running);
        assert_eq!(registry.idle().len(), 2);
        drop(entry);
        assert_eq!(registry.idle().len(), 1);
    }

    #[tokio::test]
    async fn a_cut_ends_the_task() {
        let registry = Arc::new(Registry::default());
        let connection = Arc::new(Tracked::default());
        let _entry = registry.add(&connection);
        let mut tasks = tokio::task::JoinSet::new();
        connection.served_by(tasks.spawn(std::future::pending::<()>()));
        registry.cut_all();
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    }
}
