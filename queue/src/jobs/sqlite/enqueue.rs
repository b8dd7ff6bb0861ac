//! Takes jobs in.

use super::error::Failure;
use super::step::{QueueRow, Shift, Step};
use crate::jobs::columns::{DELAYED, WAITING, count, millis, state};
use crate::jobs::error::StorageError;
use crate::jobs::event::Event;
use crate::jobs::job::{Generation, JobState, NewJob};
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::Enqueued;

const INSERT: &str = "INSERT INTO jobs (number, queue, id, state, priority, ready_at, delay, max_deliveries,
        retention, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (queue, id) DO NOTHING";
const HOLDER: &str =
    "SELECT number, state, expires_at, state = 1 AND ready_at <= ?3 FROM jobs WHERE queue = ?1 AND id = ?2";

/// Takes all that are new, or none if they don't all fit.
pub(super) fn enqueue(
    step: &mut Step<'_>,
    queue: &QueueName,
    jobs: &[NewJob],
) -> Result<Vec<Enqueued>, Failure> {
    let queue = step.queue_or_new(queue)?;
    let mut shift = Shift::default();
    let outcomes =
        jobs.iter().map(|job| take(step, &queue, job, &mut shift)).collect::<Result<Vec<_>, _>>()?;
    let new = outcomes.iter().filter(|outcome| matches!(outcome, Enqueued::New(_))).count();
    check_room(&queue, new)?;
    step.shift(&queue, shift)?;
    if new > 0 {
        step.work(&queue.name);
    }
    Ok(outcomes)
}

fn take(step: &mut Step<'_>, queue: &QueueRow, job: &NewJob, shift: &mut Shift) -> Result<Enqueued, Failure> {
    loop {
        // None: an expired job had the id, and is gone now.
        if let Some(outcome) = insert(step, queue, job, shift)? {
            return Ok(outcome);
        }
    }
}

/// What became of the job; None if an expired one was in the way, which is removed.
fn insert(
    step: &mut Step<'_>,
    queue: &QueueRow,
    job: &NewJob,
    shift: &mut Shift,
) -> Result<Option<Enqueued>, Failure> {
    let delay = millis(job.options.delay);
    let state = if delay == 0 { WAITING } else { DELAYED };
    let id = job.id.as_str().as_bytes();
    let (now, number) = (step.now, step.next_number());
    let inserted = step.change(
        INSERT,
        (
            number,
            queue.number,
            id,
            state,
            job.options.priority,
            now + delay,
            delay,
            job.options.max_deliveries.max(1),
            millis(job.options.retention),
            now,
        ),
    )?;
    if inserted == 0 {
        return holder(step, queue, &job.id, shift);
    }
    step.change("INSERT INTO payloads VALUES (?1, ?2)", (number, job.payload.as_ref()))?;
    shift.moved(1, None, Some(state));
    step.job_event(&queue.name, Event::Enqueued, &job.id);
    Ok(Some(Enqueued::New(Generation(count(number)))))
}

/// The state of the job that has the id; None if it had expired, and was removed.
fn holder(
    step: &mut Step<'_>,
    queue: &QueueRow,
    id: &JobId,
    shift: &mut Shift,
) -> Result<Option<Enqueued>, Failure> {
    let key = (queue.number, id.as_str().as_bytes(), step.now);
    let holder = step.one(HOLDER, key, |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i16>(1)?, row.get::<_, Option<i64>>(2)?, row.get(3)?))
    })?;
    let Some((number, code, expires_at, due)) = holder else { return Ok(None) };
    if expires_at.is_some_and(|at| at <= step.now) {
        step.forget(number)?;
        shift.moved(1, Some(code), None);
        return Ok(None);
    }
    Ok(Some(Enqueued::Duplicate(if due { JobState::Waiting } else { state(code)? })))
}

fn check_room(queue: &QueueRow, new: usize) -> Result<(), Failure> {
    let Some(limit) = queue.max_jobs else { return Ok(()) };
    let new = i64::try_from(new).unwrap_or(i64::MAX);
    if new > 0 && queue.open.saturating_add(new) > limit {
        return Err(StorageError::QueueFull { limit: count(limit) }.into());
    }
    Ok(())
}
