//! Gives jobs to workers.

use super::error::Failure;
use super::rows::{bytes, number, options};
use super::step::{QueueRow, Shift, Step};
use crate::jobs::columns::{ACTIVE, DELAYED, WAITING, count, duration, job_id, limit, millis, time};
use crate::jobs::event::Event;
use crate::jobs::job::{Claimed, Token};
use crate::jobs::storage::{Claim, Finished};

/// The most delayed jobs that one claim makes ready; the rest come with the next.
const READY_AT_ONCE: i64 = 1_000;

const MAKE_READY: &str = "UPDATE jobs SET state = 0 WHERE number IN (SELECT number FROM jobs
    WHERE queue = ?1 AND state = 1 AND ready_at <= ?2 ORDER BY ready_at LIMIT ?3)";
const FIRST: &str = "SELECT number FROM jobs WHERE queue = ?1 AND state = 0
    ORDER BY priority DESC, ready_at, number LIMIT ?2";
const TAKE: &str = "UPDATE jobs SET state = 2, token = ?2, worker = ?3, lease_until = ?4,
    deliveries = deliveries + 1 WHERE number = ?1";
const TAKEN: &str = "SELECT id, priority, delay, max_deliveries, retention, deliveries, created_at, payload
    FROM jobs JOIN payloads USING (number) WHERE number = ?1";
const NEXT_READY: &str = "SELECT min(ready_at) FROM jobs WHERE queue = ?1 AND state = 1";
const NEXT_EXPIRY: &str = "SELECT min(lease_until) FROM jobs WHERE queue = ?1 AND state = 2";

/// What is asked of jobs here, for a test of its costs.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [MAKE_READY, FIRST, TAKE, TAKEN, NEXT_READY, NEXT_EXPIRY];

/// Adds what can be claimed to `finished`.
pub(super) fn claim(
    step: &mut Step<'_>,
    queue: &QueueRow,
    claim: &Claim,
    finished: &mut Finished,
) -> Result<(), Failure> {
    let ready = make_ready(step, queue, READY_AT_ONCE)?;
    let mut shift = Shift::default();
    let wanted = room(queue).min(limit(claim.max));
    if wanted > 0 {
        for job in step.all(FIRST, (queue.number, wanted), number)? {
            finished.claimed.push(take(step, queue, claim, job)?);
        }
    }
    shift.moved(limit(finished.claimed.len()), Some(WAITING), Some(ACTIVE));
    step.shift(queue, shift)?;
    if finished.claimed.len() < claim.max {
        finished.next_in = next_in(step, queue)?;
    } else if ready > 0 {
        // More became ready than are taken here.
        step.work(&queue.name);
    }
    Ok(())
}

/// Makes delayed jobs ready whose time came; how many.
pub(super) fn make_ready(step: &mut Step<'_>, queue: &QueueRow, most: i64) -> Result<usize, Failure> {
    let ready = step.change(MAKE_READY, (queue.number, step.now, most))?;
    let mut shift = Shift::default();
    shift.moved(limit(ready), Some(DELAYED), Some(WAITING));
    step.shift(queue, shift)?;
    Ok(ready)
}

/// How many more may be active.
fn room(queue: &QueueRow) -> i64 {
    match queue.concurrency {
        _ if queue.paused => 0,
        Some(most) => most.saturating_sub(queue.active).max(0),
        None => i64::MAX,
    }
}

fn take(step: &mut Step<'_>, queue: &QueueRow, claim: &Claim, job: i64) -> Result<Claimed, Failure> {
    let token = step.next_number();
    let until = step.now + millis(claim.lease);
    step.change(TAKE, (job, token, claim.worker.as_str().as_bytes(), until))?;
    let claimed = step.one(TAKEN, [job], |row| {
        Ok(Claimed {
            id: job_id(&row.get::<_, Vec<u8>>("id")?)?,
            token: Token(count(token)),
            payload: bytes(row, "payload")?,
            options: options(row)?,
            delivery: row.get("deliveries")?,
            created_at: time(row.get("created_at")?),
        })
    })?;
    let claimed = claimed.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    step.job_event(&queue.name, Event::Started, &claimed.id);
    Ok(claimed)
}

/// When a delayed job or a lease will be due.
fn next_in(step: &Step<'_>, queue: &QueueRow) -> Result<Option<std::time::Duration>, Failure> {
    let minimum = |sql| step.one(sql, [queue.number], |row| Ok(row.get::<_, Option<i64>>(0)?));
    let (ready, expiry) = (minimum(NEXT_READY)?.flatten(), minimum(NEXT_EXPIRY)?.flatten());
    let next = ready.into_iter().chain(expiry).min();
    Ok(next.map(|next| duration(next - step.now)))
}
