//! Upkeep: takes back what has an expired lease, makes delayed jobs ready, forgets what was kept long enough.

use super::claim::make_ready;
use super::error::Failure;
use super::step::{QueueRow, Shift, Step};
use crate::jobs::columns::{ACTIVE, DEAD, WAITING, job_id, limit};
use crate::jobs::event::Event;
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::Reaped;

const STALLED: &str = "SELECT number, id, cancel, deliveries >= max_deliveries AS last FROM jobs
    WHERE queue = ?1 AND state = 2 AND lease_until <= ?2 ORDER BY lease_until LIMIT ?3";
const TAKE_BACK: &str = "UPDATE jobs SET state = 0, ready_at = ?2,
    token = NULL, worker = NULL, lease_until = NULL WHERE number = ?1";
const BURY: &str = "UPDATE jobs SET state = 4, ended_at = ?2, expires_at = NULL, error = ?3,
    token = NULL, worker = NULL, lease_until = NULL WHERE number = ?1";
const EXPIRED: &str = "SELECT number, state FROM jobs WHERE queue = ?1 AND expires_at IS NOT NULL
    AND expires_at <= ?2 ORDER BY expires_at LIMIT ?3";

/// What is asked of jobs here, for a test of its costs.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [STALLED, TAKE_BACK, BURY, EXPIRED];

/// A job whose lease has expired.
struct Stalled {
    number: i64,
    id: JobId,
    cancel: bool,
    last: bool,
}

/// Does all three, in this order, for at most `most` jobs.
pub(super) fn reap(
    step: &mut Step<'_>,
    queue: &QueueName,
    most: usize,
    error: &[u8],
) -> Result<Reaped, Failure> {
    let mut reaped = Reaped::default();
    let Some(queue) = step.queue(queue)? else { return Ok(reaped) };
    let mut left = most;
    left = left.saturating_sub(take_back(step, &queue, left, error, &mut reaped)?);
    let ready = make_ready(step, &queue, limit(left))?;
    left = left.saturating_sub(ready);
    if ready > 0 || !reaped.stalled.is_empty() {
        step.work(&queue.name);
    }
    reaped.forgotten = forget_expired(step, &queue, left)?;
    reaped.more = left == reaped.forgotten;
    Ok(reaped)
}

fn take_back(
    step: &mut Step<'_>,
    queue: &QueueRow,
    most: usize,
    error: &[u8],
    reaped: &mut Reaped,
) -> Result<usize, Failure> {
    let stalled = step.all(STALLED, (queue.number, step.now, limit(most)), |row| {
        let id = job_id(&row.get::<_, Vec<u8>>("id")?)?;
        let (cancel, last) = (row.get("cancel")?, row.get("last")?);
        Ok(Stalled { number: row.get("number")?, id, cancel, last })
    })?;
    let count = stalled.len();
    let mut shift = Shift::default();
    for job in stalled {
        take_back_one(step, queue, job, error, &mut shift, reaped)?;
    }
    step.shift(queue, shift)?;
    Ok(count)
}

fn take_back_one(
    step: &mut Step<'_>,
    queue: &QueueRow,
    job: Stalled,
    error: &[u8],
    shift: &mut Shift,
    reaped: &mut Reaped,
) -> Result<(), Failure> {
    let Stalled { number, id, cancel, last } = job;
    if cancel {
        step.forget(number)?;
        shift.moved(1, Some(ACTIVE), None);
        step.job_event(&queue.name, Event::Cancelled, &id);
    } else if last {
        step.change(BURY, (number, step.now, error))?;
        shift.moved(1, Some(ACTIVE), Some(DEAD));
        step.job_event(&queue.name, Event::Dead, &id);
        reaped.dead.push(id);
    } else {
        step.change(TAKE_BACK, (number, step.now))?;
        shift.moved(1, Some(ACTIVE), Some(WAITING));
        step.job_event(&queue.name, Event::Stalled, &id);
        reaped.stalled.push(id);
    }
    Ok(())
}

fn forget_expired(step: &mut Step<'_>, queue: &QueueRow, most: usize) -> Result<usize, Failure> {
    let expired = step.all(EXPIRED, (queue.number, step.now, limit(most)), |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i16>(1)?))
    })?;
    let mut shift = Shift::default();
    for &(number, state) in &expired {
        step.forget(number)?;
        shift.moved(1, Some(state), None);
    }
    step.shift(queue, shift)?;
    Ok(expired.len())
}
