//! All jobs of a storage that lives in one process, ordered so that every step costs a logarithm at most. Pure
//! state: no clock, no locks, no input or output. Every step is told what time it is and, given the same steps at
//! the same times, always does the same; a storage may therefore keep a log of steps, or of [`Record`]s, and
//! rebuild the index from it.

mod change;
mod claim;
mod enqueue;
mod finish;
mod orders;
mod queue;
mod read;
mod reap;
mod record;
mod roles;
mod weight;

#[cfg(test)]
mod tests;

pub use claim::Outlook;
pub use queue::QueueIndex;
pub use reap::Swept;
pub use record::{Place, Record};
pub use roles::Roles;
pub use weight::Weight;

use std::collections::HashMap;

use super::job::StorageTime;
use super::name::QueueName;

/// The queues of a storage and the roles taken in it.
#[derive(Debug, Default)]
pub struct Index {
    queues: HashMap<QueueName, QueueIndex>,
    /// Who leads what.
    pub roles: Roles,
}

impl Index {
    /// The queue, if anything was ever done to it.
    #[must_use]
    pub fn queue(&self, name: &QueueName) -> Option<&QueueIndex> {
        self.queues.get(name)
    }

    /// The queue; an empty one if it is new.
    pub fn queue_mut(&mut self, name: &QueueName) -> &mut QueueIndex {
        self.queues.entry(name.clone()).or_default()
    }

    /// Makes all delayed jobs ready whose time came.
    pub fn promote_all(&mut self, now: StorageTime) {
        self.queues.values_mut().for_each(|queue| while queue.promote(now) > 0 {});
    }

    /// Forgets all jobs that have expired.
    pub fn forget_expired(&mut self, now: StorageTime) {
        self.queues.values_mut().for_each(|queue| while queue.forget_expired(now).is_some() {});
    }

    /// How much a log has to hold of all records.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.queues.values().map(QueueIndex::weight).sum()
    }

    /// All queues, in no order.
    pub fn queues(&self) -> impl Iterator<Item = (&QueueName, &QueueIndex)> {
        self.queues.iter()
    }
}
