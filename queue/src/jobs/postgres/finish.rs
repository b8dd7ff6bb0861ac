//! Ends of deliveries, and a wish for more, as one call.

use std::collections::HashSet;

use super::PostgresStorage;
use super::rows::{claimed, get};
use crate::jobs::columns::{duration, limit, millis, number};
use crate::jobs::error::StorageError;
use crate::jobs::event::Event;
use crate::jobs::hints::Hint;
use crate::jobs::job::Claimed;
use crate::jobs::name::QueueName;
use crate::jobs::storage::{Claim, End, EndOutcome, Finish, Finished};

const ACTION: &str = "finish and claim";

/// The columns of one call. A pair of id and token that comes again is left out: the first has effect.
#[derive(Default)]
struct Columns<'f> {
    ids: Vec<&'f [u8]>,
    tokens: Vec<i64>,
    ends: Vec<i16>,
    waits: Vec<i64>,
    bodies: Vec<Option<&'f [u8]>>,
    /// Which of the caller's ends each is.
    numbers: Vec<usize>,
}

/// What the last row of an answer says; ends count from 1.
struct Answer {
    done: Vec<i64>,
    cancelled: Vec<i64>,
    ready: i64,
    limited: bool,
}

impl PostgresStorage {
    pub(super) async fn finish_jobs(
        &self,
        queue: &QueueName,
        ends: &[Finish],
        next: Option<Claim>,
    ) -> Result<Finished, StorageError> {
        let columns = Columns::of(ends);
        let worker = next.as_ref().map(|next| next.worker.as_str().as_bytes());
        let most = next.as_ref().map_or(0, |next| limit(next.max));
        let lease = next.as_ref().map_or(0, |next| millis(next.lease));
        let rows = self
            .rows(
                ACTION,
                &self.statements.finish,
                &[
                    &queue.as_str().as_bytes(),
                    &columns.ids,
                    &columns.tokens,
                    &columns.ends,
                    &columns.waits,
                    &columns.bodies,
                    &worker,
                    &most,
                    &lease,
                ],
            )
            .await?;
        let mut finished = Finished { outcomes: vec![EndOutcome::Lost; ends.len()], ..Finished::default() };
        // No row at all: the queue was never used.
        let Some((last, jobs)) = rows.split_last() else { return Ok(finished) };
        let next_in: Option<i64> = get(last, "next_in")?;
        finished.next_in = next_in.map(duration);
        finished.claimed = in_order(jobs)?;
        let answer = Answer::of(last)?;
        for (counted, what) in [(&answer.done, EndOutcome::Done), (&answer.cancelled, EndOutcome::Cancelled)]
        {
            for number in columns.numbers_of(counted.iter()) {
                if let Some(outcome) = finished.outcomes.get_mut(number) {
                    *outcome = what;
                }
            }
        }
        self.tell(answer.hints(queue, ends, &finished));
        Ok(finished)
    }
}

impl<'f> Columns<'f> {
    fn of(ends: &'f [Finish]) -> Self {
        let mut columns = Self::default();
        let mut seen = HashSet::new();
        for (place, finish) in ends.iter().enumerate() {
            let token = number(finish.token.0);
            if !seen.insert((&finish.id, token)) {
                continue;
            }
            let (end, wait, body) = end_columns(&finish.end);
            columns.ids.push(finish.id.as_str().as_bytes());
            columns.tokens.push(token);
            columns.ends.push(end);
            columns.waits.push(wait);
            columns.bodies.push(body);
            columns.numbers.push(place);
        }
        columns
    }

    /// The caller's numbers of ends as the database counts them.
    fn numbers_of<'a>(
        &'a self,
        counted: impl Iterator<Item = &'a i64> + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        counted.filter_map(|counted| {
            let place = usize::try_from(*counted).ok()?.checked_sub(1)?;
            self.numbers.get(place).copied()
        })
    }
}

impl Answer {
    fn of(row: &tokio_postgres::Row) -> Result<Self, StorageError> {
        Ok(Self {
            done: get(row, "done")?,
            cancelled: get(row, "cancelled")?,
            ready: get(row, "ready")?,
            limited: get(row, "limited")?,
        })
    }

    fn hints(&self, queue: &QueueName, ends: &[Finish], finished: &Finished) -> Vec<Hint> {
        let has_ended = !self.done.is_empty() || !self.cancelled.is_empty();
        let mut work = self.ready > 0 || self.limited && has_ended;
        let mut events = Vec::new();
        for (finish, outcome) in ends.iter().zip(finished.outcomes.iter().copied()) {
            work |= outcome.is_work(&finish.end);
            events.extend(Event::of_end(finish, outcome));
        }
        events.extend(finished.claimed.iter().map(|claimed| Event::Started(claimed.id.clone())));
        let work = work.then(|| Hint::Work(queue.clone()));
        work.into_iter().chain(events.into_iter().map(|event| Hint::Event(queue.clone(), event))).collect()
    }
}

/// The code of an end in the database, and what goes with it.
fn end_columns(end: &End) -> (i16, i64, Option<&[u8]>) {
    match end {
        End::Complete { output, retention } => (0, millis(*retention), Some(output)),
        End::Retry { delay, error } => (1, millis(*delay), Some(error)),
        End::Dead { error } => (2, 0, Some(error)),
        End::Release => (3, 0, None),
        End::Cancelled => (4, 0, None),
    }
}

/// Claimed jobs in the order of the queue: rows come in the order in which they were changed.
fn in_order(rows: &[tokio_postgres::Row]) -> Result<Vec<Claimed>, StorageError> {
    let mut jobs = Vec::with_capacity(rows.len());
    for row in rows {
        let priority: i32 = get(row, "priority")?;
        let order: (i64, i64) = (get(row, "ready_at")?, get(row, "generation")?);
        jobs.push(((std::cmp::Reverse(priority), order), claimed(row)?));
    }
    jobs.sort_by_key(|(order, _)| *order);
    Ok(jobs.into_iter().map(|(_, claimed)| claimed).collect())
}
