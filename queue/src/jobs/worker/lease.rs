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

/// The leases of one worker. The lock is held for single look-ups only. Tokens alone don't tell them apart: after a
/// failover of the storage, one may come again with another job.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<Proof, Arc<Lease>>>);

/// What proves a lease to the storage.
pub(super) type Proof = (JobId, Token);

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
        let before = self.0.lock().insert(lease.proof(), Arc::clone(&lease));
        if let Some(before) = before {
            // The storage forgot it, and gave the same job by the same token once more.
            before.lose();
        }
        lease
    }

    pub(super) fn remove(&self, lease: &Lease) {
        let mut leases = self.0.lock();
        let proof = lease.proof();
        if leases.get(&proof).is_some_and(|held| std::ptr::eq(&raw const **held, lease)) {
            leases.remove(&proof);
        }
    }

    /// Those that are not known to be lost.
    pub(super) fn held(&self) -> Vec<Arc<Lease>> {
        self.0.lock().values().filter(|lease| !lease.is_lost()).cloned().collect()
    }
}

impl Lease {
    pub(super) fn proof(&self) -> Proof {
        (self.id.clone(), self.token)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_came_again_ends_the_one_before_and_stays() {
        let (leases, until) = (Leases::default(), Instant::now());
        let [first, second] = [(); 2].map(|()| leases.add(JobId::new("a").unwrap(), Token(7), until));
        assert!(first.is_lost() && !second.is_lost());
        leases.remove(&first);
        let held = leases.held();
        assert!(matches!(&held[..], [lease] if Arc::ptr_eq(lease, &second)), "{held:?}");
    }

    #[test]
    fn a_token_that_came_again_with_another_job_is_another_lease() {
        let (leases, until) = (Leases::default(), Instant::now());
        let [first, second] = ["a", "b"].map(|id| leases.add(JobId::new(id).unwrap(), Token(7), until));
        assert_eq!(leases.held().len(), 2);
        leases.remove(&first);
        let held = leases.held();
        assert!(matches!(&held[..], [lease] if Arc::ptr_eq(lease, &second)), "{held:?}");
    }
}
