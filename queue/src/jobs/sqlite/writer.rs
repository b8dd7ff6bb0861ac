//! The one thread of a storage that changes its file. Calls that come while a transaction is being synced share
//! the next one, so that the cost of the disk is shared too. A call that fails changes nothing and does not
//! concern the others, even if SQLite ends the whole transaction for it: the others are run again.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::error::Failure;
use super::step::Step;
use super::watch::Own;
use crate::jobs::error::StorageError;
use crate::jobs::hints::{Hint, Hints};

/// How many calls may wait; further callers wait for a place.
const WAITING_CALLS: usize = 1024;
/// The most calls in one transaction.
const GROUP: usize = 256;
/// How long to wait for more calls, much less than a disk takes to sync.
const MOMENT: Duration = Duration::from_micros(100);
/// How long a storage leaves the lock alone after each transaction, while others want it too: SQLite's lock
/// knows no queue, and who holds it would take it again before the others look.
const COURTESY: Duration = Duration::from_micros(500);
/// Others want the lock too, if they had it within this time.
const CROWDED: Duration = Duration::from_secs(1);

/// Hands calls to the thread. Clones share it; when the last is gone, the thread ends.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    calls: mpsc::Sender<Box<dyn Call>>,
}

/// What the thread owns.
struct Work {
    connection: Connection,
    calls: mpsc::Receiver<Box<dyn Call>>,
    clock: Arc<Clock>,
    hints: Arc<Hints>,
    /// How many transactions this storage committed.
    own: Arc<Own>,
    /// The count of transactions after our last one.
    commits: i64,
    /// How many calls the last transaction had.
    usual: usize,
    /// When another process had the lock.
    crowded: Option<Instant>,
}

/// Why a transaction did not come about.
enum Broken {
    /// This call failed so that SQLite ended it.
    By(usize),
    /// It could not begin or commit.
    All(Failure),
}

/// A call, with its type forgotten.
trait Call: Send {
    /// Whether somebody still waits for it.
    fn is_wanted(&self) -> bool;
    /// Does it, as a part of the transaction; again, if another call broke that.
    fn run(&mut self, step: &mut Step<'_>);
    /// The transaction is durable, or this call broke it.
    fn done(self: Box<Self>);
    /// The transaction failed.
    fn failed(self: Box<Self>, error: &StorageError);
}

struct Pending<T, F> {
    action: &'static str,
    run: F,
    result: Option<Result<T, StorageError>>,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

impl Writer {
    /// Starts the thread. `own` counts its transactions.
    pub(super) fn start(
        connection: Connection,
        clock: Arc<Clock>,
        hints: Arc<Hints>,
        own: Arc<Own>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, calls) = mpsc::channel(WAITING_CALLS);
        let work = Work { connection, calls, clock, hints, own, commits: 0, usual: 1, crowded: None };
        let thread = thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || work.run())?;
        Ok((Self { calls: sender }, thread))
    }

    /// Has something done in a transaction; returns when it is durable. Dropped before it began, it does not
    /// happen.
    pub(super) async fn call<T, F>(self, action: &'static str, run: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Fn(&mut Step<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Box::new(Pending { action, run, result: None, reply });
        self.calls.send(call).await.map_err(|_| StorageError::Closed)?;
        // Who does not look for the answer does not keep the thread from its end.
        drop(self);
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

impl Work {
    fn run(mut self) {
        while let Some(call) = self.calls.blocking_recv() {
            let mut group = self.gather(call);
            self.usual = group.len();
            group.retain(|call| call.is_wanted());
            if !group.is_empty() {
                self.write(group);
            }
            if self.crowded.is_some_and(|at| at.elapsed() < CROWDED) {
                thread::sleep(COURTESY);
            }
        }
    }

    /// The calls that wait. Those who were answered by the last transaction are about to call again: as many are
    /// waited for, a moment, rather than that most of them wait for the transaction of the fastest.
    fn gather(&mut self, first: Box<dyn Call>) -> Vec<Box<dyn Call>> {
        let mut group = vec![first];
        let begun = Instant::now();
        while group.len() < GROUP {
            match self.calls.try_recv() {
                Ok(call) => group.push(call),
                Err(_) if group.len() >= self.usual || begun.elapsed() > MOMENT => break,
                Err(_) => thread::yield_now(),
            }
        }
        group
    }

    fn write(&mut self, mut group: Vec<Box<dyn Call>>) {
        while !group.is_empty() {
            match self.transaction(&mut group) {
                Ok(hints) => {
                    self.hints.tell(hints);
                    return group.into_iter().for_each(Call::done);
                }
                Err(Broken::By(call)) => group.remove(call).done(),
                Err(Broken::All(failure)) => {
                    let error = failure.into_error("write to the file");
                    return group.into_iter().for_each(|call| call.failed(&error));
                }
            }
        }
    }

    fn transaction(&mut self, group: &mut [Box<dyn Call>]) -> Result<Vec<Hint>, Broken> {
        // Counted before, so that the watcher never takes ours for a stranger's.
        self.own.begins();
        let result = self.attempt(group);
        if result.as_ref().map_or(true, Option::is_none) {
            self.own.withdraws();
        }
        if result.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").map_err(Failure::from)?;
        }
        result.map(Option::unwrap_or_default)
    }

    /// None if nothing changed.
    fn attempt(&mut self, group: &mut [Box<dyn Call>]) -> Result<Option<Vec<Hint>>, Broken> {
        let mut step = Step::begin(&self.connection, &self.clock)?;
        if step.commits != self.commits {
            self.crowded = Some(Instant::now());
        }
        self.commits = step.commits;
        for (number, call) in group.iter_mut().enumerate() {
            call.run(&mut step);
            if !step.is_open() {
                return Err(Broken::By(number));
            }
        }
        let changed = step.has_changed();
        let hints = step.commit()?;
        self.commits += i64::from(changed);
        Ok(changed.then_some(hints))
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::All(failure)
    }
}

impl<T, F> Call for Pending<T, F>
where
    T: Send,
    F: Fn(&mut Step<'_>) -> Result<T, Failure> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, step: &mut Step<'_>) {
        self.result = Some(step.call(&self.run).map_err(|failure| failure.into_error(self.action)));
    }

    fn done(self: Box<Self>) {
        // Nobody may be waiting any more: what was claimed comes back by its lease.
        drop(self.reply.send(self.result.unwrap_or(Err(StorageError::Closed))));
    }

    fn failed(self: Box<Self>, error: &StorageError) {
        let result = match self.result {
            Some(Err(own)) => Err(own),
            _ => Err(error.clone()),
        };
        drop(self.reply.send(result));
    }
}
