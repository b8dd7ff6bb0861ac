//! Those who wait for the disk, and a thread that tells them while the writer is at the next batch.

use std::io;
use std::sync::mpsc::{self, TrySendError};
use std::thread::{self, JoinHandle};

use super::append::{Outcome, Receipt};
use super::error::JournalError;
use super::queue::Reply;

/// Somebody who waits for the disk.
#[derive(Debug)]
pub(crate) enum Waiter {
    Append(Reply<Outcome>, Receipt),
    Acknowledge(Reply<()>),
}

/// The writer's end. Dropping it joins the thread.
#[derive(Debug)]
pub(crate) struct Teller {
    batches: Option<mpsc::SyncSender<Vec<Waiter>>>,
    thread: Option<JoinHandle<()>>,
}

// === impl Waiter ===

impl Waiter {
    pub(crate) fn done(self) {
        // Whoever does not wait any more does not want to know.
        match self {
            Self::Append(reply, receipt) => drop(reply.send(Ok(Outcome::Stored(receipt)))),
            Self::Acknowledge(reply) => drop(reply.send(Ok(()))),
        }
    }

    pub(crate) fn failed(self, error: JournalError) {
        match self {
            Self::Append(reply, _) => drop(reply.send(Err(error))),
            Self::Acknowledge(reply) => drop(reply.send(Err(error))),
        }
    }
}

// === impl Teller ===

impl Teller {
    pub(crate) fn start() -> io::Result<Self> {
        let (batches, told) = mpsc::sync_channel::<Vec<Waiter>>(1);
        let thread = thread::Builder::new().name("journal-tell".to_owned()).spawn(move || {
            for batch in told {
                batch.into_iter().for_each(Waiter::done);
            }
        })?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }

    /// Has them told, or tells them if the thread is behind.
    pub(crate) fn tell(&self, waiting: Vec<Waiter>) {
        let refused = match &self.batches {
            Some(batches) => batches.try_send(waiting).err(),
            None => Some(TrySendError::Disconnected(waiting)),
        };
        if let Some(TrySendError::Full(waiting) | TrySendError::Disconnected(waiting)) = refused {
            waiting.into_iter().for_each(Waiter::done);
        }
    }

    /// Waits until everybody is told.
    pub(crate) fn stop(&mut self) {
        self.batches = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that tells of synced frames panicked");
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.stop();
    }
}
