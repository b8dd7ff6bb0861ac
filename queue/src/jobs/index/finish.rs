//! Workers report: how deliveries ended, and that they still work on others.

use std::time::Duration;

use super::queue::QueueIndex;
use super::record::{Place, Record};
use crate::jobs::job::{Generation, StorageTime, Token};
use crate::jobs::name::JobId;
use crate::jobs::storage::{Claim, End, EndOutcome, Extended, Finish, Finished};

impl QueueIndex {
    /// Ends deliveries and claims more; see [`Storage::finish`](crate::jobs::Storage::finish).
    pub fn finish(&mut self, now: StorageTime, ends: &[Finish], next: Option<&Claim>) -> Finished {
        let outcomes = ends.iter().map(|finish| self.finish_one(now, finish)).collect();
        let (claimed, next_in) = next.map_or((Vec::new(), None), |claim| self.claim(now, claim));
        Finished { outcomes, claimed, next_in }
    }

    /// Extends leases; see [`Storage::extend`](crate::jobs::Storage::extend).
    pub fn extend(&mut self, now: StorageTime, leases: &[(JobId, Token)], lease: Duration) -> Vec<Extended> {
        leases.iter().map(|(id, token)| self.extend_one(now, id, *token, lease)).collect()
    }

    fn extend_one(&mut self, now: StorageTime, id: &JobId, proof: Token, lease: Duration) -> Extended {
        let Some(generation) = self.leased(id, proof) else { return Extended::Lost };
        let is_cancelled = self.change(generation, now, |record| {
            if let Place::Active { until, .. } = &mut record.place {
                *until = now.after(lease);
            }
            record.cancel_requested
        });
        match is_cancelled {
            Some(true) => Extended::CancelWanted,
            Some(false) => Extended::Held,
            None => Extended::Lost,
        }
    }

    fn finish_one(&mut self, now: StorageTime, finish: &Finish) -> EndOutcome {
        let Some(generation) = self.leased(&finish.id, finish.token) else { return EndOutcome::Lost };
        let is_unwanted = self.record(&finish.id).is_some_and(|record| record.cancel_requested);
        match &finish.end {
            End::Cancelled => {
                self.forget(&finish.id);
                EndOutcome::Done
            }
            End::Retry { .. } | End::Dead { .. } | End::Release if is_unwanted => {
                self.forget(&finish.id);
                EndOutcome::Cancelled
            }
            end => {
                self.change(generation, now, |record| record.end(now, end));
                EndOutcome::Done
            }
        }
    }

    /// The job whose lease this token proves.
    fn leased(&self, id: &JobId, proof: Token) -> Option<Generation> {
        let record = self.record(id)?;
        matches!(record.place, Place::Active { token, .. } if token == proof).then_some(record.generation)
    }
}

impl Record {
    fn end(&mut self, now: StorageTime, end: &End) {
        match end {
            End::Complete { output, retention } => {
                self.options.retention = *retention;
                let (output, expires_at) = (output.clone(), now.after(*retention));
                self.place = Place::Completed { output, at: now, expires_at };
            }
            End::Retry { delay, error } => {
                self.error = Some(error.clone());
                self.ready_at = now.after(*delay);
                self.place = Place::Line;
            }
            End::Dead { error } => {
                self.error = Some(error.clone());
                self.place = Place::Dead { at: now, expires_at: None };
            }
            // It keeps its place in line, which was the front when it was claimed.
            End::Release => {
                self.deliveries = self.deliveries.saturating_sub(1);
                self.place = Place::Line;
            }
            End::Cancelled => {}
        }
    }
}
