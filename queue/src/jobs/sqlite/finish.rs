//! Ends deliveries, for those who prove with their token that they have the job.

use super::claim::claim;
use super::error::Failure;
use super::step::{QueueRow, Shift, Step};
use crate::jobs::columns::{ACTIVE, COMPLETED, DEAD, DELAYED, WAITING, millis, number};
use crate::jobs::event::Event;
use crate::jobs::job::Token;
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::{Claim, End, EndOutcome, Extended, Finish, Finished};

const HELD: &str =
    "SELECT number, cancel FROM jobs WHERE queue = ?1 AND id = ?2 AND state = 2 AND token = ?3";
const COMPLETE: &str = "UPDATE jobs SET state = 3, output = ?2, retention = ?3, ended_at = ?4,
    expires_at = ?4 + ?3, token = NULL, worker = NULL, lease_until = NULL WHERE number = ?1";
const RETRY: &str = "UPDATE jobs SET state = ?2, ready_at = ?3, error = ?4,
    token = NULL, worker = NULL, lease_until = NULL WHERE number = ?1";
const BURY: &str = "UPDATE jobs SET state = 4, ended_at = ?2, expires_at = NULL, error = ?3,
    token = NULL, worker = NULL, lease_until = NULL WHERE number = ?1";
const RELEASE: &str = "UPDATE jobs SET state = 0, deliveries = max(deliveries - 1, 0),
    token = NULL, worker = NULL, lease_until = NULL WHERE number = ?1";
const EXTEND: &str = "UPDATE jobs SET lease_until = ?2 WHERE number = ?1";

/// A job that is with the caller.
struct Held {
    number: i64,
    cancel: bool,
}

/// Ends what is held, then claims.
pub(super) fn finish(
    step: &mut Step<'_>,
    queue: &QueueName,
    ends: &[Finish],
    next: Option<&Claim>,
) -> Result<Finished, Failure> {
    let mut finished = Finished::default();
    let Some(row) = step.queue(queue)? else {
        finished.outcomes = vec![EndOutcome::Lost; ends.len()];
        return Ok(finished);
    };
    let mut shift = Shift::default();
    for end in ends {
        finished.outcomes.push(end_one(step, &row, end, &mut shift)?);
    }
    step.shift(&row, shift)?;
    if let Some(next) = next
        && let Some(row) = step.queue(queue)?
    {
        claim(step, &row, next, &mut finished)?;
    }
    Ok(finished)
}

/// Makes leases longer.
pub(super) fn extend(
    step: &mut Step<'_>,
    queue: &QueueName,
    leases: &[(JobId, Token)],
    lease: i64,
) -> Result<Vec<Extended>, Failure> {
    let Some(row) = step.queue(queue)? else { return Ok(vec![Extended::Lost; leases.len()]) };
    leases.iter().map(|(id, token)| extend_one(step, &row, id, *token, lease)).collect()
}

fn extend_one(
    step: &mut Step<'_>,
    queue: &QueueRow,
    id: &JobId,
    token: Token,
    lease: i64,
) -> Result<Extended, Failure> {
    let Some(held) = held(step, queue, id, token)? else { return Ok(Extended::Lost) };
    step.change(EXTEND, (held.number, step.now + lease))?;
    Ok(if held.cancel { Extended::CancelWanted } else { Extended::Held })
}

fn held(step: &Step<'_>, queue: &QueueRow, id: &JobId, token: Token) -> Result<Option<Held>, Failure> {
    step.one(HELD, (queue.number, id.as_str().as_bytes(), number(token.0)), |row| {
        Ok(Held { number: row.get(0)?, cancel: row.get(1)? })
    })
}

fn end_one(
    step: &mut Step<'_>,
    queue: &QueueRow,
    finish: &Finish,
    shift: &mut Shift,
) -> Result<EndOutcome, Failure> {
    let Some(held) = held(step, queue, &finish.id, finish.token)? else { return Ok(EndOutcome::Lost) };
    let (number, now) = (held.number, step.now);
    let mut outcome = EndOutcome::Done;
    let to = match &finish.end {
        End::Complete { output, retention } => {
            step.change(COMPLETE, (number, output.as_ref(), millis(*retention), now))?;
            Some(COMPLETED)
        }
        end if held.cancel || *end == End::Cancelled => {
            step.forget(number)?;
            if *end != End::Cancelled {
                outcome = EndOutcome::Cancelled;
            }
            None
        }
        End::Dead { error } => {
            step.change(BURY, (number, now, error.as_ref()))?;
            Some(DEAD)
        }
        End::Retry { delay, error } => {
            let delay = millis(*delay);
            let to = if delay == 0 { WAITING } else { DELAYED };
            step.change(RETRY, (number, to, now + delay, error.as_ref()))?;
            Some(to)
        }
        End::Release | End::Cancelled => {
            step.change(RELEASE, [number])?;
            Some(WAITING)
        }
    };
    shift.moved(1, Some(ACTIVE), to);
    if outcome.is_work(&finish.end) {
        step.work(&queue.name);
    }
    if let Some(event) = Event::of_end(finish, outcome) {
        step.event(&queue.name, event);
    }
    Ok(outcome)
}
