//! What people ask. Nothing here changes the index.

use std::ops::Bound;

use super::queue::QueueIndex;
use crate::jobs::job::{Generation, Job, JobState, StorageTime};
use crate::jobs::name::JobId;
use crate::jobs::storage::{Counts, Settings};

/// Delayed jobs whose time came that are counted and listed as waiting before a step made them so; more of them are
/// counted as delayed for a moment, and not listed, so that neither takes long.
const COUNTED: usize = 10_000;

impl QueueIndex {
    /// The job as it stands.
    #[must_use]
    pub fn get(&self, now: StorageTime, id: &JobId) -> Option<Job> {
        self.living(id, now).map(|record| record.job(now))
    }

    /// A page of jobs; see [`Storage::list`](crate::jobs::Storage::list).
    #[must_use]
    pub fn list(
        &self,
        now: StorageTime,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Vec<Job> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let records = self.orders.list(state).range((from, Bound::Unbounded));
        let records = records.filter_map(|generation| self.records.get(generation));
        let living = records.filter(|record| !record.is_expired(now) && record.state(now) == state);
        let mut page: Vec<_> = living.take(limit).collect();
        if state == JobState::Waiting {
            let due = self.due(now).filter(|generation| after.is_none_or(|after| *generation > after));
            page.extend(due.filter_map(|generation| self.records.get(&generation)));
            page.sort_unstable_by_key(|record| record.generation);
            page.truncate(limit);
        }
        page.into_iter().map(|record| record.job(now)).collect()
    }

    /// Delayed jobs whose time came.
    fn due(&self, now: StorageTime) -> impl Iterator<Item = Generation> {
        let due = self.orders.delayed.iter().take_while(move |&&(at, _)| at <= now);
        due.take(COUNTED).map(|&(_, generation)| generation)
    }

    /// How many jobs are in each state.
    #[must_use]
    pub fn counts(&self, now: StorageTime) -> Counts {
        let count = |state| to_u64(self.orders.list(state).len());
        let due = self.due(now).count();
        Counts {
            waiting: count(JobState::Waiting) + to_u64(due),
            delayed: count(JobState::Delayed) - to_u64(due),
            active: count(JobState::Active),
            completed: count(JobState::Completed),
            dead: count(JobState::Dead),
        }
    }

    /// What holds for the whole queue.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// Whether it holds neither a job nor a setting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.settings == Settings::default()
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
