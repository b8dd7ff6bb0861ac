//! Jobs go out to workers.

use std::time::Duration;

use super::queue::QueueIndex;
use super::record::Place;
use crate::jobs::job::{Claimed, Generation, JobState, StorageTime, Token};
use crate::jobs::storage::Claim;

/// What a worker that waits should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outlook {
    /// There is something to claim now.
    Work,
    /// There may be in so long, if nothing is told before.
    In(Duration),
    /// Only when something is told.
    #[default]
    Nothing,
    /// The storage was closed.
    Closed,
}

impl QueueIndex {
    /// Claims the next jobs in line, and tells when more will be due if there were fewer than wanted.
    pub fn claim(&mut self, now: StorageTime, claim: &Claim) -> (Vec<Claimed>, Option<Duration>) {
        self.promote(now);
        let mut claimed = Vec::new();
        while claimed.len() < claim.max && self.may_claim() {
            let Some(&(_, _, generation)) = self.orders.ready.first() else { break };
            let Some(job) = self.claim_one(now, generation, claim) else { break };
            claimed.push(job);
        }
        let next_in = if claimed.len() < claim.max { self.next_in(now) } else { None };
        (claimed, next_in)
    }

    /// In how long something will change by itself: a delayed job becomes ready or a lease expires.
    #[must_use]
    pub fn next_in(&self, now: StorageTime) -> Option<Duration> {
        let delayed = self.orders.delayed.first().map(|&(at, _)| at);
        let lease = self.orders.leases.first().map(|&(at, _)| at);
        delayed.into_iter().chain(lease).min().map(|at| at.since(now))
    }

    /// What a worker that waits for something to claim can expect.
    #[must_use]
    pub fn outlook(&self, now: StorageTime) -> Outlook {
        if !self.may_claim() {
            return Outlook::Nothing;
        }
        if !self.orders.ready.is_empty() {
            return Outlook::Work;
        }
        match self.orders.delayed.first() {
            Some(&(at, _)) if at <= now => Outlook::Work,
            Some(&(at, _)) => Outlook::In(at.since(now)),
            None => Outlook::Nothing,
        }
    }

    fn may_claim(&self) -> bool {
        let active = self.orders.list(JobState::Active).len();
        let has_room = |limit| usize::try_from(limit).is_ok_and(|limit| active < limit);
        !self.settings.paused && self.settings.concurrency.is_none_or(has_room)
    }

    fn claim_one(&mut self, now: StorageTime, generation: Generation, claim: &Claim) -> Option<Claimed> {
        let token = Token(self.next_number());
        self.change(generation, now, |record| {
            record.deliveries = record.deliveries.saturating_add(1);
            let until = now.after(claim.lease);
            record.place = Place::Active { worker: claim.worker.clone(), token, until };
            Claimed {
                id: record.id.clone(),
                token,
                payload: record.payload.clone(),
                options: record.options.clone(),
                delivery: record.deliveries,
                created_at: record.created_at,
            }
        })
    }
}
