//! What people do to jobs and queues.

use std::time::Duration;

use super::queue::QueueIndex;
use super::record::Place;
use crate::jobs::job::StorageTime;
use crate::jobs::name::JobId;
use crate::jobs::storage::{Cancelled, Settings};

impl QueueIndex {
    /// Ends a job, or asks for it; see [`Storage::cancel`](crate::jobs::Storage::cancel).
    pub fn cancel(&mut self, now: StorageTime, id: &JobId) -> Cancelled {
        let Some(record) = self.living(id, now) else { return Cancelled::NotFound };
        let generation = record.generation;
        match record.place {
            Place::Completed { .. } => Cancelled::Completed,
            Place::Line | Place::Dead { .. } => {
                self.forget(id);
                Cancelled::Done
            }
            Place::Active { .. } => {
                self.change(generation, now, |record| record.cancel_requested = true);
                Cancelled::Requested
            }
        }
    }

    /// Makes a dead job ready again; see [`Storage::retry`](crate::jobs::Storage::retry).
    pub fn retry(&mut self, now: StorageTime, id: &JobId) -> bool {
        let Some(record) = self.living(id, now) else { return false };
        if !matches!(record.place, Place::Dead { .. }) {
            return false;
        }
        let retry = self.change(record.generation, now, |record| {
            record.deliveries = 0;
            record.cancel_requested = false;
            record.ready_at = now;
            record.place = Place::Line;
        });
        retry.is_some()
    }

    /// Removes an ended job; see [`Storage::remove`](crate::jobs::Storage::remove).
    pub fn remove(&mut self, now: StorageTime, id: &JobId) -> bool {
        let is_ended = self.living(id, now).is_some_and(|record| record.state(now).is_ended());
        is_ended && self.forget(id).is_some()
    }

    /// Keeps an ended job for so long from now; see
    /// [`Storage::set_retention`](crate::jobs::Storage::set_retention).
    pub fn set_retention(&mut self, now: StorageTime, id: &JobId, retention: Duration) -> bool {
        let Some(record) = self.living(id, now) else { return false };
        if !record.state(now).is_ended() {
            return false;
        }
        let expiry = now.after(retention);
        let set = self.change(record.generation, now, |record| {
            record.options.retention = retention;
            match &mut record.place {
                Place::Completed { expires_at, .. } => *expires_at = expiry,
                Place::Dead { expires_at, .. } => *expires_at = Some(expiry),
                Place::Line | Place::Active { .. } => {}
            }
        });
        set.is_some()
    }

    /// Sets what holds for the whole queue, and tells what held before.
    pub const fn configure(&mut self, settings: Settings) -> Settings {
        std::mem::replace(&mut self.settings, settings)
    }
}
