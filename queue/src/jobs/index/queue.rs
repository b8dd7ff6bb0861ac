//! One queue of the index: its records, found by generation or id, and the orders over them. The steps are in the
//! modules beside this one; here is what they are made of.

use std::collections::HashMap;

use super::orders::Orders;
use super::record::{Place, Record};
use super::weight::Weight;
use crate::jobs::job::{Generation, StorageTime, Token};
use crate::jobs::name::JobId;
use crate::jobs::storage::Settings;

/// Delayed jobs that one step makes ready at most, so that none takes long. The next step takes more.
const PROMOTIONS: usize = 1024;

/// The jobs of one queue and what holds for all of them.
#[derive(Debug, Default)]
pub struct QueueIndex {
    pub(super) records: HashMap<Generation, Record>,
    pub(super) ids: HashMap<JobId, Generation>,
    pub(super) orders: Orders,
    pub(super) settings: Settings,
    weight: Weight,
    counter: u64,
}

impl QueueIndex {
    /// The job that holds an id, also if it has expired and was not forgotten yet.
    #[must_use]
    pub fn record(&self, id: &JobId) -> Option<&Record> {
        self.records.get(self.ids.get(id)?)
    }

    /// The job of a generation.
    #[must_use]
    pub fn at(&self, generation: Generation) -> Option<&Record> {
        self.records.get(&generation)
    }

    /// All records, in no order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// How much a log has to hold of the records.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        self.weight
    }

    /// The last generation or token that was given out.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// Makes sure that generations and tokens from now on are larger than this.
    pub fn advance_counter(&mut self, past: u64) {
        self.counter = self.counter.max(past);
    }

    /// Puts a record as it is, instead of any other with its id. To rebuild the index; what is consistent before
    /// is so after it, whatever the record says.
    pub fn put(&mut self, record: Record, now: StorageTime) {
        self.forget(&record.id);
        let token = if let Place::Active { token: Token(token), .. } = record.place { token } else { 0 };
        self.advance_counter(token.max(record.generation.0));
        self.enter(record, now);
    }

    /// Takes the record with this id out, whatever its state.
    pub fn forget(&mut self, id: &JobId) -> Option<Record> {
        let generation = self.ids.remove(id)?;
        let record = self.records.remove(&generation)?;
        self.orders.leave(&record);
        self.weight.take(&record);
        Some(record)
    }

    /// Enters a record whose id and generation are free.
    pub(super) fn enter(&mut self, record: Record, now: StorageTime) {
        self.orders.enter(&record, now);
        self.weight.add(&record);
        self.ids.insert(record.id.clone(), record.generation);
        self.records.insert(record.generation, record);
    }

    /// Changes a record and moves it to where it then belongs. None if there is no such record.
    pub(super) fn change<T>(
        &mut self,
        generation: Generation,
        now: StorageTime,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        let record = self.records.get_mut(&generation)?;
        self.orders.leave(record);
        self.weight.take(record);
        let result = change(record);
        self.weight.add(record);
        self.orders.enter(record, now);
        Some(result)
    }

    /// The living job with this id: not one that expired.
    pub(super) fn living(&self, id: &JobId, now: StorageTime) -> Option<&Record> {
        self.record(id).filter(|record| !record.is_expired(now))
    }

    /// Makes delayed jobs ready whose time came. Every step that looks for waiting jobs begins with it.
    pub(super) fn promote(&mut self, now: StorageTime) -> usize {
        let mut promoted = 0;
        while promoted < PROMOTIONS {
            let Some(&(at, generation)) = self.orders.delayed.first() else { break };
            if at > now || self.change(generation, now, |_| ()).is_none() {
                break;
            }
            promoted += 1;
        }
        promoted
    }

    /// The next generation or token.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}
