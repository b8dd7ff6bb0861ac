//! Upkeep: what time does to jobs.

use bytes::Bytes;

use super::queue::QueueIndex;
use super::record::Place;
use crate::jobs::job::{Generation, StorageTime};
use crate::jobs::name::JobId;
use crate::jobs::storage::Reaped;

/// What upkeep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// What the storage tells its caller.
    pub reaped: Reaped,
    /// Jobs whose lease had expired and whose end was wanted: they are gone.
    pub cancelled: Vec<JobId>,
    /// Ended jobs that were forgotten.
    pub forgotten: Vec<JobId>,
    /// How many delayed jobs became ready.
    pub promoted: usize,
}

impl QueueIndex {
    /// Does upkeep; see [`Storage::reap`](crate::jobs::Storage::reap).
    pub fn reap(&mut self, now: StorageTime, limit: usize, lease_expired: &Bytes) -> Swept {
        let mut swept = Swept { promoted: self.promote(now), ..Swept::default() };
        let mut left = limit;
        while left > 0
            && let Some(&(until, generation)) = self.orders.leases.first()
            && until <= now
        {
            self.take_back(now, generation, lease_expired, &mut swept);
            left -= 1;
        }
        while left > 0
            && let Some(id) = self.forget_expired(now)
        {
            swept.forgotten.push(id);
            left -= 1;
        }
        swept.reaped.forgotten = swept.forgotten.len();
        swept.reaped.more = self.is_behind(now);
        swept
    }

    fn take_back(&mut self, now: StorageTime, generation: Generation, error: &Bytes, swept: &mut Swept) {
        let Some(record) = self.records.get(&generation) else { return };
        let id = record.id.clone();
        if record.cancel_requested {
            self.forget(&id);
            swept.cancelled.push(id);
        } else if record.deliveries >= record.options.max_deliveries.max(1) {
            self.change(generation, now, |record| {
                record.error = Some(error.clone());
                record.place = Place::Dead { at: now, expires_at: None };
            });
            swept.reaped.dead.push(id);
        } else {
            self.change(generation, now, |record| {
                record.ready_at = now;
                record.place = Place::Line;
            });
            swept.reaped.stalled.push(id);
        }
    }

    /// Forgets the job that expired first, if one has.
    pub(super) fn forget_expired(&mut self, now: StorageTime) -> Option<JobId> {
        let &(at, generation) = self.orders.expiry.first()?;
        let record = self.records.get(&generation).filter(|_| at <= now)?;
        let id = record.id.clone();
        self.forget(&id).map(|record| record.id)
    }

    /// Whether upkeep has something to do at this moment.
    #[must_use]
    pub fn is_behind(&self, now: StorageTime) -> bool {
        let orders = [&self.orders.leases, &self.orders.expiry, &self.orders.delayed];
        orders.iter().any(|order| order.first().is_some_and(|&(at, _)| at <= now))
    }
}
