//! Open connections as shutdown sees them: whether a request runs, and a way to end each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// One open connection.
#[derive(Debug, Default)]
pub struct Tracked {
    requests: AtomicUsize,
    /// Ends the connection when cancelled.
    cut: CancellationToken,
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

    /// Cancelled when the connection should end at once.
    #[must_use]
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
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
        self.open.lock().values().for_each(|connection| connection.cut.cancel());
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
        registry.cut_all();
        assert!(one.cut().is_cancelled() && !two.cut().is_cancelled());
    }
}
