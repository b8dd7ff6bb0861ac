//! What can be asked of a file without changing it.

use std::time::Duration;

use rusqlite::Connection;

use super::error::Failure;
use super::rows::{all, counter, job, one, select_jobs};
use crate::jobs::columns::{as_of, count, duration, limit, number, queue_name, state_code};
use crate::jobs::job::{Generation, Job, JobState};
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::{Counts, Settings};

const GET: &str = select_jobs!(
    "WHERE queue = (SELECT number FROM queues WHERE name = ?1) AND id = ?2
    AND (expires_at IS NULL OR expires_at > ?3)"
);
const LIST: &str = select_jobs!(
    "WHERE queue = (SELECT number FROM queues WHERE name = ?1) AND state = ?2 AND number > ?3
    AND (expires_at IS NULL OR expires_at > ?4) AND NOT (state = 1 AND ready_at <= ?4) ORDER BY number LIMIT ?5"
);
/// Delayed jobs whose time came, and that no step made ready yet: as many are looked at as are counted.
const DUE_JOBS: &str = select_jobs!(
    "WHERE number IN (SELECT number FROM jobs WHERE queue = (SELECT number FROM queues WHERE name = ?1)
        AND state = 1 AND ready_at <= ?2 AND number > ?3 LIMIT 10000)
    ORDER BY number LIMIT ?4"
);
/// Counts, but for those that have expired and are not removed yet, and delayed ones whose time came.
const COUNTS: &str = "SELECT waiting, delayed, active,
        (SELECT count(*) FROM (SELECT 1 FROM jobs WHERE queue = queues.number AND state = 1 AND ready_at <= ?2
            LIMIT 10000)) AS due,
        completed - (SELECT count(*) FROM jobs WHERE queue = queues.number AND state = 3
            AND expires_at IS NOT NULL AND expires_at <= ?2) AS completed,
        dead - (SELECT count(*) FROM jobs WHERE queue = queues.number AND state = 4
            AND expires_at IS NOT NULL AND expires_at <= ?2) AS dead
    FROM queues WHERE name = ?1";
const QUEUES: &str = "SELECT name FROM queues WHERE paused OR concurrency IS NOT NULL
        OR max_jobs IS NOT NULL OR waiting + delayed + active > 0
        OR completed + dead > (SELECT count(*) FROM jobs WHERE queue = queues.number
            AND expires_at IS NOT NULL AND expires_at <= ?1)
    ORDER BY name";
const SETTINGS: &str = "SELECT paused, concurrency, max_jobs FROM queues WHERE name = ?1";
/// When there will be something to claim; a time in the past says that there is.
const DUE: &str = "SELECT CASE
        WHEN paused OR active >= concurrency THEN NULL
        WHEN EXISTS (SELECT 1 FROM jobs WHERE queue = queues.number AND state = 0) THEN 0
        ELSE (SELECT min(ready_at) FROM jobs WHERE queue = queues.number AND state = 1)
    END FROM queues WHERE name = ?1";

/// What is asked of jobs here, for a test of its costs.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [GET, LIST, DUE_JOBS, COUNTS, QUEUES, DUE];

pub(super) fn get(
    connection: &Connection,
    queue: &QueueName,
    id: &JobId,
    now: i64,
) -> Result<Option<Job>, Failure> {
    let job = one(connection, GET, (queue.as_str().as_bytes(), id.as_str().as_bytes(), now), job)?;
    Ok(job.map(|job| as_of(now, job)))
}

pub(super) fn list(
    connection: &Connection,
    queue: &QueueName,
    state: JobState,
    after: Option<Generation>,
    page: (usize, i64),
) -> Result<Vec<Job>, Failure> {
    let after = after.map_or(0, |after| number(after.0));
    let (most, now) = page;
    let queue = queue.as_str().as_bytes();
    let mut jobs = all(connection, LIST, (queue, state_code(state), after, now, limit(most)), job)?;
    if state == JobState::Waiting {
        let due = all(connection, DUE_JOBS, (queue, now, after, limit(most)), job)?;
        jobs.extend(due.into_iter().map(|job| as_of(now, job)));
        jobs.sort_unstable_by_key(|job| job.generation);
        jobs.truncate(most);
    }
    Ok(jobs)
}

pub(super) fn counts(connection: &Connection, queue: &QueueName, now: i64) -> Result<Counts, Failure> {
    let counts = one(connection, COUNTS, (queue.as_str().as_bytes(), now), |row| {
        let due = counter(row, "due")?;
        Ok(Counts {
            waiting: counter(row, "waiting")? + due,
            delayed: counter(row, "delayed")?.saturating_sub(due),
            active: counter(row, "active")?,
            completed: counter(row, "completed")?,
            dead: counter(row, "dead")?,
        })
    })?;
    Ok(counts.unwrap_or_default())
}

pub(super) fn queues(connection: &Connection, now: i64) -> Result<Vec<QueueName>, Failure> {
    all(connection, QUEUES, [now], |row| Ok(queue_name(&row.get::<_, Vec<u8>>(0)?)?))
}

pub(super) fn settings(connection: &Connection, queue: &QueueName) -> Result<Settings, Failure> {
    let settings = one(connection, SETTINGS, [queue.as_str().as_bytes()], |row| {
        let max_jobs = row.get::<_, Option<i64>>(2)?.map(count);
        Ok(Settings { paused: row.get(0)?, concurrency: row.get(1)?, max_jobs })
    })?;
    Ok(settings.unwrap_or_default())
}

/// In how long there will be something to claim, as far as is known.
pub(super) fn due_in(
    connection: &Connection,
    queue: &QueueName,
    now: i64,
) -> Result<Option<Duration>, Failure> {
    let due = one(connection, DUE, [queue.as_str().as_bytes()], |row| Ok(row.get::<_, Option<i64>>(0)?))?;
    Ok(due.flatten().map(|due| duration(due - now)))
}
