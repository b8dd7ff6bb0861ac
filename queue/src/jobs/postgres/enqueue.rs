//! Jobs to be enqueued as the columns of one call. The database wants each id once, and in order, so that calls
//! with the same ids don't wait for each other for ever; here the answers are put back into the caller's order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PostgresStorage;
use super::rows::only;
use crate::jobs::columns::{DELAYED, WAITING, limit, millis, state};
use crate::jobs::error::StorageError;
use crate::jobs::event::Event;
use crate::jobs::hints::Hint;
use crate::jobs::job::{Generation, NewJob};
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::Enqueued;

const ACTION: &str = "enqueue";
/// How many jobs one call can number.
const MAX_JOBS: usize = 1 << 20;
/// The most bytes that one call can carry: the protocol ends at 1 GiB.
const MAX_BYTES: usize = 512 << 20;

#[derive(Default)]
struct Columns<'j> {
    ids: Vec<&'j [u8]>,
    order: Vec<i64>,
    payloads: Vec<&'j [u8]>,
    priorities: Vec<i32>,
    delays: Vec<i64>,
    max_deliveries: Vec<i64>,
    retentions: Vec<i64>,
}

#[derive(Debug, thiserror::Error)]
#[error("one call can enqueue {MAX_JOBS} jobs and {MAX_BYTES} bytes, this one has more; use several")]
struct TooMuch;

impl PostgresStorage {
    pub(super) async fn enqueue_jobs(
        &self,
        queue: &QueueName,
        jobs: &[NewJob],
    ) -> Result<Vec<Enqueued>, StorageError> {
        check_amount(jobs)?;
        // By the bytes of the id, as the database orders them.
        let mut first: BTreeMap<&JobId, (usize, &NewJob)> = BTreeMap::new();
        for (order, job) in jobs.iter().enumerate() {
            first.entry(&job.id).or_insert((order, job));
        }
        if first.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.enqueue_columns(queue, &Columns::of(first.values().copied())).await?;
        let outcomes = outcomes(jobs, first.into_keys().zip(answers).collect())?;
        self.tell(hints(queue, jobs, &outcomes));
        Ok(outcomes)
    }

    async fn enqueue_columns(&self, queue: &QueueName, jobs: &Columns<'_>) -> Result<Vec<i64>, StorageError> {
        let row = self
            .row(
                ACTION,
                &self.statements.enqueue,
                &[
                    &queue.as_str().as_bytes(),
                    &jobs.ids,
                    &jobs.order,
                    &jobs.payloads,
                    &jobs.priorities,
                    &jobs.delays,
                    &jobs.max_deliveries,
                    &jobs.retentions,
                ],
            )
            .await?;
        row.as_ref().map_or_else(|| Ok(Vec::new()), only)
    }
}

impl<'j> Columns<'j> {
    fn of(jobs: impl Iterator<Item = (usize, &'j NewJob)>) -> Self {
        let mut columns = Self::default();
        for (order, job) in jobs {
            columns.ids.push(job.id.as_str().as_bytes());
            columns.order.push(limit(order));
            columns.payloads.push(&job.payload);
            columns.priorities.push(job.options.priority);
            columns.delays.push(millis(job.options.delay));
            columns.max_deliveries.push(i64::from(job.options.max_deliveries.max(1)));
            columns.retentions.push(millis(job.options.retention));
        }
        columns
    }
}

/// The answers in the caller's order. One below 0 has the state of the job that has the id.
fn outcomes(jobs: &[NewJob], mut answers: BTreeMap<&JobId, i64>) -> Result<Vec<Enqueued>, StorageError> {
    let outcome = |job: &NewJob| {
        let missing = || StorageError::Corrupt { what: "too few answers".to_owned() };
        let answer = answers.get_mut(&job.id).ok_or_else(missing)?;
        if let Ok(generation) = u64::try_from(*answer) {
            // Those after it in this call find it.
            let code = if millis(job.options.delay) > 0 { DELAYED } else { WAITING };
            *answer = -1 - i64::from(code);
            return Ok(Enqueued::New(Generation(generation)));
        }
        let code = i16::try_from(-1 - *answer).unwrap_or(i16::MAX);
        Ok(Enqueued::Duplicate(state(code)?))
    };
    jobs.iter().map(outcome).collect()
}

fn hints(queue: &QueueName, jobs: &[NewJob], outcomes: &[Enqueued]) -> Vec<Hint> {
    let new = jobs.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Enqueued::New(_)));
    let mut hints: Vec<_> =
        new.map(|(job, _)| Hint::Event(queue.clone(), Event::Enqueued(job.id.clone()))).collect();
    if !hints.is_empty() {
        hints.push(Hint::Work(queue.clone()));
    }
    hints
}

fn check_amount(jobs: &[NewJob]) -> Result<(), StorageError> {
    let bytes = jobs.iter().fold(0_usize, |sum, job| sum.saturating_add(job.payload.len()));
    if jobs.len() > MAX_JOBS || bytes > MAX_BYTES {
        return Err(StorageError::Refused { action: ACTION, source: Arc::new(TooMuch) });
    }
    Ok(())
}
