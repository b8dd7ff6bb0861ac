//! The leases that a worker holds: known to the pump, which ends them, and to the renewal, which extends them and
//! tells the handlers if their end is wanted or the lease is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::jobs::job::Token;
use crate::jobs::name::JobId;

const HELD: u8 = 0;
const END_WANTED: u8 = 1;
const LOST: u8 = 2;

/// The leases of one worker. The lock is held for single look-ups only.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<Token, Arc<Lease>>>);

/// The lease of one delivery.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: JobId,
    pub(super) token: Token,
    /// When it has surely expired, by this machine's clock.
    until: Mutex<Instant>,
    state: AtomicU8,
    changed: Notify,
}

impl Leases {
    pub(super) fn add(&self, id: JobId, token: Token, until: Instant) -> Arc<Lease> {
        let lease =
            Lease { id, token, until: Mutex::new(until), state: AtomicU8::new(HELD), changed: Notify::new() };
        let lease = Arc::new(lease);
        self.0.lock().insert(token, Arc::clone(&lease));
        lease
    }

    pub(super) fn remove(&self, token: Token) {
        self.0.lock().remove(&token);
    }

    /// Those that are not known to be lost.
    pub(super) fn held(&self) -> Vec<Arc<Lease>> {
        self.0.lock().values().filter(|lease| !lease.is_lost()).cloned().collect()
    }
}

impl Lease {
    pub(super) fn is_lost(&self) -> bool {
        self.state.load(Ordering::Acquire) == LOST
    }

    pub(super) fn is_end_wanted(&self) -> bool {
        self.state.load(Ordering::Acquire) == END_WANTED
    }

    /// Whether others surely could have the job by now.
    pub(super) fn has_expired(&self) -> bool {
        *self.until.lock() <= Instant::now()
    }

    pub(super) fn extend(&self, until: Instant) {
        *self.until.lock() = until;
    }

    pub(super) fn want_end(&self) {
        self.raise(END_WANTED);
    }

    pub(super) fn lose(&self) {
        self.raise(LOST);
    }

    /// Returns once the end of the job is wanted, or the lease lost.
    pub(super) async fn end_wanted(&self) {
        self.reaches(END_WANTED).await;
    }

    /// Returns once the lease is lost.
    pub(super) async fn lost(&self) {
        self.reaches(LOST).await;
    }

    fn raise(&self, state: u8) {
        if self.state.fetch_max(state, Ordering::AcqRel) < state {
            self.changed.notify_waiters();
        }
    }

    async fn reaches(&self, state: u8) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state.load(Ordering::Acquire) >= state {
                return;
            }
            changed.await;
        }
    }
}
