//! The thread that does the steps of a file storage, one after the other: it writes down all that are asked for
//! at the moment, waits for the disk once, does them, and answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::super::error::StorageError;
use super::super::index::{Index, Weight};
use super::super::job::StorageTime;
use super::super::local;
use super::super::name::QueueName;
use super::super::state::State;
use super::log::{Log, encode, journal_error};
use super::snapshot::pieces;
use super::step::{Entry, Outcome, Step};
use crate::journal::Append;

/// Steps that are written down together at most.
const BATCH: usize = 1024;

/// How long a snapshot that failed is not tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// A step that was asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) queue: QueueName,
    pub(super) step: Step,
    pub(super) reply: oneshot::Sender<Result<Outcome, StorageError>>,
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) state: Arc<State>,
    pub(super) log: Log,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) last: StorageTime,
    /// What the index held before the steps that are being written.
    pub(super) weight: Weight,
    /// Until when no snapshot is tried, and why the last one failed.
    pub(super) paused: Option<(Instant, StorageError)>,
}

struct Written {
    entry: Entry,
    append: Append,
    reply: oneshot::Sender<Result<Outcome, StorageError>>,
}

impl Writer {
    /// Serves until nobody can ask any more.
    pub(super) fn run(mut self) -> Result<(), StorageError> {
        self.weigh();
        self.look_after();
        while let Some(first) = self.requests.blocking_recv() {
            let mut written = Vec::new();
            self.write(first, &mut written);
            while written.len() < BATCH
                && let Ok(request) = self.requests.try_recv()
            {
                self.write(request, &mut written);
            }
            self.settle(&mut written);
        }
        self.state.close();
        self.log.close()
    }

    fn write(&mut self, request: Request, written: &mut Vec<Written>) {
        let Request { queue, step, reply } = request;
        match self.append(queue, step, written) {
            Ok((entry, append)) => written.push(Written { entry, append, reply }),
            // Whoever does not wait any more does not want to know.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Writes a step down, if there is room for it.
    fn append(
        &mut self,
        queue: QueueName,
        step: Step,
        written: &mut Vec<Written>,
    ) -> Result<(Entry, Append), StorageError> {
        self.last = self.last.max(self.state.clock.now());
        if self.log.is_torn() {
            self.mend()?;
        }
        let entry = Entry { at: self.last, queue, step };
        let body = encode(&entry)?;
        if self.log.must_settle_before(&body) {
            self.settle(written);
        }
        self.log.check_room(&entry.step, &body, self.weight)?;
        let append = self.log.append(&entry.step, body);
        Ok((entry, append))
    }

    /// Waits for the disk, and does what is written; then it is time to look after the log.
    fn settle(&mut self, written: &mut Vec<Written>) {
        written.drain(..).for_each(|written| self.apply(written));
        self.log.settle();
        self.weigh();
        self.look_after();
    }

    /// Does a step once it is written. What was not written is not done.
    fn apply(&self, written: Written) {
        let Written { entry, append, reply } = written;
        let outcome =
            append.wait().map_err(|error| journal_error("write to the log", &error)).and_then(|_| {
                let mut index = self.state.index.lock();
                index.as_mut().map(|index| entry.apply(index)).ok_or(StorageError::Closed)
            });
        if let Ok(outcome) = &outcome {
            self.tell(&entry, outcome);
        }
        // Whoever does not wait any more does not want to know.
        drop(reply.send(outcome));
    }

    fn tell(&self, entry: &Entry, outcome: &Outcome) {
        let channel = self.state.channel(&entry.queue);
        match (&entry.step, outcome) {
            (Step::Enqueue(jobs), Outcome::Enqueued(Ok(enqueued))) => {
                local::tell_enqueued(&channel, jobs, enqueued);
            }
            (Step::Finish { ends, .. }, Outcome::Finished { finished, is_limited }) => {
                local::tell_finished(&channel, ends, finished, *is_limited);
            }
            (Step::Cancel(id), Outcome::Cancelled(cancelled)) => {
                local::tell_cancelled(&channel, id, *cancelled);
            }
            (Step::Retry(id), Outcome::Done(is_retried)) => local::tell_retried(&channel, id, *is_retried),
            (Step::Configure(after), Outcome::Configured { before }) => {
                local::tell_configured(&channel, *before, *after);
            }
            (Step::Reap { .. }, Outcome::Reaped(swept)) => local::tell_swept(&channel, swept),
            _ => {}
        }
    }

    fn weigh(&mut self) {
        self.weight = self.state.index.lock().as_ref().map(Index::weight).unwrap_or_default();
    }

    /// Makes the log shorter if it is long.
    fn look_after(&mut self) {
        // One that does not fit is no failure: it will, once ended jobs have expired.
        let is_due = self.log.is_long(self.weight) && self.log.check_snapshot(self.weight).is_ok();
        if is_due
            && self.paused().is_none()
            && let Err(error) = self.compact()
        {
            tracing::warn!(%error, "the log of jobs can't be made shorter now");
        }
    }

    /// Replaces a log in which steps are lost. No step can make jobs go meanwhile, so those that have expired go here.
    fn mend(&mut self) -> Result<(), StorageError> {
        if let Some(error) = self.paused() {
            return Err(error);
        }
        if let Some(index) = self.state.index.lock().as_mut() {
            index.forget_expired(self.last);
        }
        self.weigh();
        self.log.check_snapshot(self.weight)?;
        self.compact()
    }

    /// Why no snapshot is to be tried now.
    fn paused(&self) -> Option<StorageError> {
        let paused = self.paused.as_ref().filter(|(until, _)| Instant::now() < *until);
        paused.map(|(_, error)| error.clone())
    }

    fn compact(&mut self) -> Result<(), StorageError> {
        let result = self.snapshot();
        self.paused = result.as_ref().err().map(|error| (Instant::now() + PAUSE, error.clone()));
        result
    }

    fn snapshot(&mut self) -> Result<(), StorageError> {
        let Some(begin) = self.log.write_snapshot(pieces(&self.state.index, self.last)?, self.weight)? else {
            return Ok(());
        };
        // From here on it is what a restart reads.
        if let Some(index) = self.state.index.lock().as_mut() {
            index.promote_all(self.last);
        }
        self.log.let_go(begin)
    }
}
