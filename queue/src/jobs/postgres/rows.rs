//! Rows as they are read.

use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::error::from_client;
use crate::jobs::columns::{count, duration, job_id, state, time, worker_id};
use crate::jobs::error::StorageError;
use crate::jobs::job::{Claimed, Generation, Job, JobOptions, Token};
use crate::jobs::storage::Counts;

/// A column by its name.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Result<T, StorageError> {
    row.try_get(column).map_err(|error| from_client(error, "read the answer"))
}

/// The only column.
pub(super) fn only<'r, T: FromSql<'r>>(row: &'r Row) -> Result<T, StorageError> {
    row.try_get(0).map_err(|error| from_client(error, "read the answer"))
}

/// A whole job.
pub(super) fn job(row: &Row) -> Result<Job, StorageError> {
    let worker: Option<&[u8]> = get(row, "worker")?;
    let until: Option<i64> = get(row, "lease_until")?;
    let lease = match (worker, until) {
        (Some(worker), Some(until)) => Some((worker_id(worker)?, time(until))),
        _ => None,
    };
    let optional =
        |column| Ok::<_, StorageError>(get::<Option<&[u8]>>(row, column)?.map(Bytes::copy_from_slice));
    Ok(Job {
        id: job_id(get(row, "id")?)?,
        generation: Generation(count(get(row, "generation")?)),
        state: state(get(row, "state")?)?,
        payload: Bytes::copy_from_slice(get(row, "payload")?),
        options: options(row)?,
        deliveries: small(get(row, "deliveries")?),
        created_at: time(get(row, "created_at")?),
        ready_at: time(get(row, "ready_at")?),
        ended_at: get::<Option<i64>>(row, "ended_at")?.map(time),
        expires_at: get::<Option<i64>>(row, "expires_at")?.map(time),
        lease,
        cancel_requested: get(row, "cancel")?,
        output: optional("output")?,
        error: optional("error")?,
    })
}

/// A job that was just claimed.
pub(super) fn claimed(row: &Row) -> Result<Claimed, StorageError> {
    Ok(Claimed {
        id: job_id(get(row, "id")?)?,
        token: Token(count(get(row, "token")?)),
        payload: Bytes::copy_from_slice(get(row, "payload")?),
        options: options(row)?,
        delivery: small(get(row, "deliveries")?),
        created_at: time(get(row, "created_at")?),
    })
}

pub(super) fn counts(row: &Row) -> Result<Counts, StorageError> {
    let counter = |column| Ok::<_, StorageError>(count(get(row, column)?));
    Ok(Counts {
        waiting: counter("waiting")?,
        delayed: counter("delayed")?,
        active: counter("active")?,
        completed: counter("completed")?,
        dead: counter("dead")?,
    })
}

/// A number that fitted when it was written.
pub(super) fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn options(row: &Row) -> Result<JobOptions, StorageError> {
    Ok(JobOptions {
        priority: get(row, "priority")?,
        delay: duration(get(row, "delay")?),
        max_deliveries: small(get(row, "max_deliveries")?),
        retention: duration(get(row, "retention")?),
    })
}
