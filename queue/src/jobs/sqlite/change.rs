//! What people and queues change about single jobs.

use super::error::Failure;
use super::step::{QueueRow, Shift, Step};
use crate::jobs::columns::{ACTIVE, DEAD, DELAYED, WAITING};
use crate::jobs::event::Event;
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::Cancelled;

const FIND: &str = "SELECT number, state FROM jobs
    WHERE queue = ?1 AND id = ?2 AND (expires_at IS NULL OR expires_at > ?3)";
const REVIVE: &str = "UPDATE jobs SET state = 0, deliveries = 0, ready_at = ?2, ended_at = NULL,
    expires_at = NULL, cancel = 0 WHERE number = ?1";
const KEEP: &str = "UPDATE jobs SET retention = ?2, expires_at = ?3 + ?2 WHERE number = ?1";

/// A job that has not expired.
struct Found {
    queue: QueueRow,
    number: i64,
    state: i16,
}

/// Ends a job, or notes that its end is wanted.
pub(super) fn cancel(step: &mut Step<'_>, queue: &QueueName, id: &JobId) -> Result<Cancelled, Failure> {
    let Some(job) = find(step, queue, id)? else { return Ok(Cancelled::NotFound) };
    match job.state {
        WAITING | DELAYED | DEAD => {
            forget(step, &job)?;
            step.job_event(queue, Event::Cancelled, id);
            Ok(Cancelled::Done)
        }
        ACTIVE => {
            step.change("UPDATE jobs SET cancel = 1 WHERE number = ?1", [job.number])?;
            Ok(Cancelled::Requested)
        }
        _ => Ok(Cancelled::Completed),
    }
}

/// Makes a dead job ready again.
pub(super) fn retry(step: &mut Step<'_>, queue: &QueueName, id: &JobId) -> Result<bool, Failure> {
    let Some(job) = find(step, queue, id)?.filter(|job| job.state == DEAD) else { return Ok(false) };
    step.change(REVIVE, (job.number, step.now))?;
    let mut shift = Shift::default();
    shift.moved(1, Some(DEAD), Some(WAITING));
    step.shift(&job.queue, shift)?;
    step.job_event(queue, Event::Enqueued, id);
    step.work(queue);
    Ok(true)
}

/// Forgets an ended job.
pub(super) fn remove(step: &mut Step<'_>, queue: &QueueName, id: &JobId) -> Result<bool, Failure> {
    let Some(job) = find_ended(step, queue, id)? else { return Ok(false) };
    forget(step, &job)?;
    Ok(true)
}

/// Keeps an ended job for `retention` milliseconds from now.
pub(super) fn set_retention(
    step: &mut Step<'_>,
    queue: &QueueName,
    id: &JobId,
    retention: i64,
) -> Result<bool, Failure> {
    let Some(job) = find_ended(step, queue, id)? else { return Ok(false) };
    step.change(KEEP, (job.number, retention, step.now))?;
    Ok(true)
}

fn find(step: &Step<'_>, queue: &QueueName, id: &JobId) -> Result<Option<Found>, Failure> {
    let Some(queue) = step.queue(queue)? else { return Ok(None) };
    step.one(FIND, (queue.number, id.as_str().as_bytes(), step.now), |row| {
        Ok(Found { queue, number: row.get(0)?, state: row.get(1)? })
    })
}

fn find_ended(step: &Step<'_>, queue: &QueueName, id: &JobId) -> Result<Option<Found>, Failure> {
    Ok(find(step, queue, id)?.filter(|job| !matches!(job.state, WAITING | DELAYED | ACTIVE)))
}

fn forget(step: &mut Step<'_>, job: &Found) -> Result<(), Failure> {
    step.forget(job.number)?;
    let mut shift = Shift::default();
    shift.moved(1, Some(job.state), None);
    step.shift(&job.queue, shift)
}
