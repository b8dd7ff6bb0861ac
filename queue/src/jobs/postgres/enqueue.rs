//! Jobs to be enqueued as the columns of one call. The database wants each id once, and in order, so that calls
//! with the same ids don't wait for each other for ever; here the answers are put back into the caller's order.

use std::collections::BTreeMap;

use super::PostgresStorage;
use super::rows::only;
use crate::jobs::columns::{DELAYED, WAITING, limit, millis, state};
use crate::jobs::error::StorageError;
use crate::jobs::event::Event;
use crate::jobs::hints::Hint;
use crate::jobs::job::NewJob;
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::Enqueued;

const ACTION: &str = "enqueue";
/// The database's answer for a job that is new.
const NEW: i16 = -1;
/// Jobs of one call that are in order among each other; beyond, the order is that of their ids.
const MAX_ORDER: i64 = (1 << 20) - 1;

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

impl PostgresStorage {
    pub(super) async fn enqueue_jobs(
        &self,
        queue: &QueueName,
        jobs: &[NewJob],
    ) -> Result<Vec<Enqueued>, StorageError> {
        // By the bytes of the id, as the database orders them.
        let mut first: BTreeMap<&JobId, (usize, &NewJob)> = BTreeMap::new();
        for (order, job) in jobs.iter().enumerate() {
            first.entry(&job.id).or_insert((order, job));
        }
        if first.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.enqueue_columns(queue, &Columns::of(first.values().copied())).await?;
        let answers: BTreeMap<&JobId, i16> = first.keys().copied().zip(answers).collect();
        self.tell(hints(queue, jobs, &answers));
        let is_first = |order, id| first.get(id).is_some_and(|(first, _)| *first == order);
        let outcomes = jobs.iter().enumerate().map(|(order, job)| {
            let answer = answers.get(&job.id).copied().unwrap_or(NEW);
            outcome(answer, job, is_first(order, &job.id), &first)
        });
        outcomes.collect()
    }

    async fn enqueue_columns(&self, queue: &QueueName, jobs: &Columns<'_>) -> Result<Vec<i16>, StorageError> {
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
            columns.order.push(limit(order).min(MAX_ORDER));
            columns.payloads.push(&job.payload);
            columns.priorities.push(job.options.priority);
            columns.delays.push(millis(job.options.delay));
            columns.max_deliveries.push(i64::from(job.options.max_deliveries));
            columns.retentions.push(millis(job.options.retention));
        }
        columns
    }
}

fn outcome(
    answer: i16,
    job: &NewJob,
    is_first: bool,
    first: &BTreeMap<&JobId, (usize, &NewJob)>,
) -> Result<Enqueued, StorageError> {
    match answer {
        NEW if is_first => Ok(Enqueued::New),
        // The one before it in this very call has the id.
        NEW => {
            let delayed = first.get(&job.id).is_some_and(|(_, first)| millis(first.options.delay) > 0);
            Ok(Enqueued::Duplicate(state(if delayed { DELAYED } else { WAITING })?))
        }
        code => Ok(Enqueued::Duplicate(state(code)?)),
    }
}

fn hints(queue: &QueueName, jobs: &[NewJob], answers: &BTreeMap<&JobId, i16>) -> Vec<Hint> {
    let mut new: BTreeMap<&JobId, i16> = answers.clone();
    let events = jobs.iter().filter(|job| new.remove(&job.id) == Some(NEW));
    let mut hints: Vec<_> =
        events.map(|job| Hint::Event(queue.clone(), Event::Enqueued(job.id.clone()))).collect();
    if !hints.is_empty() {
        hints.push(Hint::Work(queue.clone()));
    }
    hints
}
