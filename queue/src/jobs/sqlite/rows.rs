//! Rows as they are read.

use bytes::Bytes;
use rusqlite::{Connection, Params, Row};

use super::error::Failure;
use crate::jobs::columns::{count, duration, job_id, state, time, worker_id};
use crate::jobs::job::{Generation, Job, JobOptions};

/// What [`job`] reads; to be followed by a `WHERE`.
macro_rules! select_jobs {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, state, priority, delay, max_deliveries, retention, deliveries, created_at, ready_at,
                ended_at, expires_at, worker, lease_until, cancel, output, error, payload
            FROM jobs JOIN payloads USING (number) ",
            $rest
        )
    };
}
pub(super) use select_jobs;

/// The first row, if there is one.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// All rows.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// One number.
pub(super) fn number(row: &Row<'_>) -> Result<i64, Failure> {
    Ok(row.get(0)?)
}

/// Bytes out of a column.
pub(super) fn bytes(row: &Row<'_>, column: &str) -> Result<Bytes, Failure> {
    Ok(Bytes::from(row.get::<_, Vec<u8>>(column)?))
}

/// What a job was enqueued with.
pub(super) fn options(row: &Row<'_>) -> Result<JobOptions, Failure> {
    Ok(JobOptions {
        priority: row.get("priority")?,
        delay: duration(row.get("delay")?),
        max_deliveries: row.get("max_deliveries")?,
        retention: duration(row.get("retention")?),
    })
}

/// A whole job.
pub(super) fn job(row: &Row<'_>) -> Result<Job, Failure> {
    let worker: Option<Vec<u8>> = row.get("worker")?;
    let until: Option<i64> = row.get("lease_until")?;
    let lease = match (worker, until) {
        (Some(worker), Some(until)) => Some((worker_id(&worker)?, time(until))),
        _ => None,
    };
    Ok(Job {
        id: job_id(&row.get::<_, Vec<u8>>("id")?)?,
        generation: Generation(count(row.get("number")?)),
        state: state(row.get("state")?)?,
        payload: bytes(row, "payload")?,
        options: options(row)?,
        deliveries: row.get("deliveries")?,
        created_at: time(row.get("created_at")?),
        ready_at: time(row.get("ready_at")?),
        ended_at: row.get::<_, Option<i64>>("ended_at")?.map(time),
        expires_at: row.get::<_, Option<i64>>("expires_at")?.map(time),
        lease,
        cancel_requested: row.get("cancel")?,
        output: row.get::<_, Option<Vec<u8>>>("output")?.map(Bytes::from),
        error: row.get::<_, Option<Vec<u8>>>("error")?.map(Bytes::from),
    })
}

/// A counter that can't be negative.
pub(super) fn counter(row: &Row<'_>, column: &str) -> Result<u64, Failure> {
    Ok(count(row.get(column)?))
}
