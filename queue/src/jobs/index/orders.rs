//! The orders in which jobs are looked for: who is next, what becomes ready, which lease expires, what is to be
//! forgotten, and each state in order of generation. A record that changes leaves all orders and enters them anew.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::record::{Place, Record};
use crate::jobs::job::{Generation, JobState, StorageTime};

/// A moment, and whose.
type Timed = BTreeSet<(StorageTime, Generation)>;

/// Orders over the records of one queue. They hold numbers only.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Waiting jobs: by priority, then since when, then by generation.
    pub(super) ready: BTreeSet<(Reverse<i32>, StorageTime, Generation)>,
    /// Delayed ones, by when they become ready. Those whose time came move at the next step.
    pub(super) delayed: Timed,
    /// Active ones, by when their lease expires.
    pub(super) leases: Timed,
    /// Ended ones, by when they are forgotten.
    pub(super) expiry: Timed,
    waiting_list: BTreeSet<Generation>,
    delayed_list: BTreeSet<Generation>,
    active_list: BTreeSet<Generation>,
    completed_list: BTreeSet<Generation>,
    dead_list: BTreeSet<Generation>,
}

impl Orders {
    /// Enters a record, as it stands at a moment.
    pub(super) fn enter(&mut self, record: &Record, now: StorageTime) {
        let state = record.state(now);
        match (&record.place, state) {
            (Place::Line, JobState::Waiting) => {
                self.ready.insert(ready_key(record));
            }
            (Place::Line, _) => {
                self.delayed.insert((record.ready_at, record.generation));
            }
            (Place::Active { until, .. }, _) => {
                self.leases.insert((*until, record.generation));
            }
            (Place::Completed { .. } | Place::Dead { .. }, _) => {
                if let Some(at) = record.expires_at() {
                    self.expiry.insert((at, record.generation));
                }
            }
        }
        self.list_mut(state).insert(record.generation);
    }

    /// Takes out what [`enter`](Self::enter) entered; the record must not have changed since.
    pub(super) fn leave(&mut self, record: &Record) {
        let state = match &record.place {
            // Entered as waiting or delayed; which it is now does not tell which it was then.
            Place::Line if self.ready.remove(&ready_key(record)) => JobState::Waiting,
            Place::Line => {
                self.delayed.remove(&(record.ready_at, record.generation));
                JobState::Delayed
            }
            Place::Active { until, .. } => {
                self.leases.remove(&(*until, record.generation));
                JobState::Active
            }
            Place::Completed { .. } | Place::Dead { .. } => {
                if let Some(at) = record.expires_at() {
                    self.expiry.remove(&(at, record.generation));
                }
                record.state(StorageTime::default())
            }
        };
        self.list_mut(state).remove(&record.generation);
    }

    /// The jobs in a state, by generation.
    pub(super) const fn list(&self, state: JobState) -> &BTreeSet<Generation> {
        match state {
            JobState::Waiting => &self.waiting_list,
            JobState::Delayed => &self.delayed_list,
            JobState::Active => &self.active_list,
            JobState::Completed => &self.completed_list,
            JobState::Dead => &self.dead_list,
        }
    }

    const fn list_mut(&mut self, state: JobState) -> &mut BTreeSet<Generation> {
        match state {
            JobState::Waiting => &mut self.waiting_list,
            JobState::Delayed => &mut self.delayed_list,
            JobState::Active => &mut self.active_list,
            JobState::Completed => &mut self.completed_list,
            JobState::Dead => &mut self.dead_list,
        }
    }
}

const fn ready_key(record: &Record) -> (Reverse<i32>, StorageTime, Generation) {
    (Reverse(record.options.priority), record.ready_at, record.generation)
}
