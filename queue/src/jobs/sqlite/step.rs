//! One transaction of the writer: its time, the numbers it gives away, and what is to be told when it is
//! durable. All changes go through here.

use rusqlite::{Connection, Params, Row};

use super::clock::Clock;
use super::error::Failure;
use super::rows;
use crate::jobs::columns::{ACTIVE, COMPLETED, DEAD, DELAYED, WAITING};
use crate::jobs::event::Event;
use crate::jobs::hints::Hint;
use crate::jobs::name::{JobId, QueueName};

const QUEUE: &str = "SELECT number, paused, concurrency, max_jobs, waiting + delayed + active, active
    FROM queues WHERE name = ?1";

/// An open transaction that has the file's only write lock.
pub(super) struct Step<'c> {
    connection: &'c Connection,
    /// The time of all that it does.
    pub(super) now: i64,
    /// Transactions committed before it, by all processes.
    pub(super) commits: i64,
    number: i64,
    changed: bool,
    hints: Vec<Hint>,
}

/// A queue as it stood at the start of a call.
#[derive(Debug, Clone)]
pub(super) struct QueueRow {
    pub(super) name: QueueName,
    pub(super) number: i64,
    pub(super) paused: bool,
    pub(super) concurrency: Option<i64>,
    pub(super) max_jobs: Option<i64>,
    /// How many have not ended.
    pub(super) open: i64,
    /// How many are with workers.
    pub(super) active: i64,
}

/// How the counters of a queue change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shift {
    waiting: i64,
    delayed: i64,
    active: i64,
    completed: i64,
    dead: i64,
}

impl<'c> Step<'c> {
    /// Waits for the write lock and begins.
    pub(super) fn begin(connection: &'c Connection, clock: &Clock) -> Result<Self, Failure> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let (now, number, commits) = connection
            .prepare_cached("SELECT now, number, commits FROM meta")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let now = clock.at_least(now);
        Ok(Self { connection, now, commits, number, changed: false, hints: Vec::new() })
    }

    /// Runs one call so that it changes all that it wants or nothing.
    pub(super) fn call<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let hints = self.hints.len();
        self.connection.prepare_cached("SAVEPOINT call")?.execute([])?;
        let result = run(self);
        // Some failures end the whole transaction.
        if result.is_err() && self.is_open() {
            self.connection.prepare_cached("ROLLBACK TO call")?.execute([])?;
            self.hints.truncate(hints);
        }
        if self.is_open() {
            self.connection.prepare_cached("RELEASE call")?.execute([])?;
        }
        result
    }

    /// Makes the changes durable; returns what is to be told. Nothing is written if nothing changed.
    pub(super) fn commit(mut self) -> Result<Vec<Hint>, Failure> {
        if self.changed {
            self.connection
                .prepare_cached("UPDATE meta SET now = ?1, number = ?2, commits = ?3")?
                .execute((self.now, self.number, self.commits + 1))?;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(std::mem::take(&mut self.hints))
    }

    /// Whether the transaction was not ended by a failure.
    pub(super) fn is_open(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Whether there is anything to commit.
    pub(super) const fn has_changed(&self) -> bool {
        self.changed
    }

    /// Changes rows; how many.
    pub(super) fn change(&mut self, sql: &str, params: impl Params) -> Result<usize, Failure> {
        let rows = self.connection.prepare_cached(sql)?.execute(params)?;
        self.changed |= rows > 0;
        Ok(rows)
    }

    /// The first row, if there is one.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        rows::one(self.connection, sql, params, read)
    }

    /// All rows.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        rows::all(self.connection, sql, params, read)
    }

    /// A number that is larger than all before: a token or a generation.
    pub(super) fn next_number(&mut self) -> i64 {
        self.number += 1;
        self.number
    }

    /// The queue, if it was ever used.
    pub(super) fn queue(&self, name: &QueueName) -> Result<Option<QueueRow>, Failure> {
        self.one(QUEUE, [name.as_str().as_bytes()], |row| {
            Ok(QueueRow {
                name: name.clone(),
                number: row.get(0)?,
                paused: row.get(1)?,
                concurrency: row.get(2)?,
                max_jobs: row.get(3)?,
                open: row.get(4)?,
                active: row.get(5)?,
            })
        })
    }

    /// The queue, made if it is new.
    pub(super) fn queue_or_new(&mut self, name: &QueueName) -> Result<QueueRow, Failure> {
        if let Some(queue) = self.queue(name)? {
            return Ok(queue);
        }
        self.change("INSERT INTO queues (name) VALUES (?1)", [name.as_str().as_bytes()])?;
        self.queue(name)?.ok_or_else(|| rusqlite::Error::QueryReturnedNoRows.into())
    }

    /// Moves the counters of a queue.
    pub(super) fn shift(&mut self, queue: &QueueRow, shift: Shift) -> Result<(), Failure> {
        let Shift { waiting, delayed, active, completed, dead } = shift;
        if [waiting, delayed, active, completed, dead] == [0; 5] {
            return Ok(());
        }
        self.change(
            "UPDATE queues SET waiting = waiting + ?2, delayed = delayed + ?3, active = active + ?4,
             completed = completed + ?5, dead = dead + ?6 WHERE number = ?1",
            (queue.number, waiting, delayed, active, completed, dead),
        )?;
        // Room below the limit of concurrency.
        if active < 0 && queue.concurrency.is_some() {
            self.work(&queue.name);
        }
        Ok(())
    }

    /// Forgets a job.
    pub(super) fn forget(&mut self, number: i64) -> Result<(), Failure> {
        self.change("DELETE FROM jobs WHERE number = ?1", [number])?;
        self.change("DELETE FROM payloads WHERE number = ?1", [number])?;
        Ok(())
    }

    /// Tells that there may be something to claim.
    pub(super) fn work(&mut self, queue: &QueueName) {
        self.hints.push(Hint::Work(queue.clone()));
    }

    /// Tells what happened.
    pub(super) fn event(&mut self, queue: &QueueName, event: Event) {
        self.hints.push(Hint::Event(queue.clone(), event));
    }

    /// Tells what happened to a job.
    pub(super) fn job_event(&mut self, queue: &QueueName, kind: fn(JobId) -> Event, id: &JobId) {
        self.event(queue, kind(id.clone()));
    }
}

impl Shift {
    /// `count` jobs moved from one state to another; None is outside.
    pub(super) fn moved(&mut self, count: i64, from: Option<i16>, to: Option<i16>) {
        self.add(from, -count);
        self.add(to, count);
    }

    fn add(&mut self, state: Option<i16>, count: i64) {
        match state {
            Some(WAITING) => self.waiting += count,
            Some(DELAYED) => self.delayed += count,
            Some(ACTIVE) => self.active += count,
            Some(COMPLETED) => self.completed += count,
            Some(DEAD) => self.dead += count,
            _ => {}
        }
    }
}
