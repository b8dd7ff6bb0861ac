//! Roles that one holder has at a time, for as long as it keeps renewing.

use std::collections::HashMap;
use std::time::Duration;

use crate::jobs::job::StorageTime;
use crate::jobs::name::{QueueName, WorkerId};

/// Who has which role, and until when.
#[derive(Debug, Default)]
pub struct Roles(HashMap<QueueName, (WorkerId, StorageTime)>);

impl Roles {
    /// Takes or keeps a role; see [`Storage::lead`](crate::jobs::Storage::lead).
    pub fn lead(&mut self, now: StorageTime, role: &QueueName, holder: &WorkerId, ttl: Duration) -> bool {
        let is_others = self.0.get(role).is_some_and(|(leader, until)| leader != holder && *until > now);
        if !is_others {
            self.0.insert(role.clone(), (holder.clone(), now.after(ttl)));
        }
        !is_others
    }

    /// Gives a role up, if the holder has it.
    pub fn resign(&mut self, role: &QueueName, holder: &WorkerId) {
        if self.0.get(role).is_some_and(|(leader, _)| leader == holder) {
            self.0.remove(role);
        }
    }
}
