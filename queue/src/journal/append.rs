//! What an append gives back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::error::JournalError;
use super::position::Position;

/// What the journal writes into the last frame of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Ends are numbered from 0, in the order in which they are in the journal, without holes.
    pub seq: u64,
    /// When it was written, in milliseconds since 1970; never decreasing, even if the clock is set
    /// back.
    pub at_millis: u64,
}

/// Where a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Where it begins: what [`Journal::read`](super::Journal::read) takes.
    pub position: Position,
    /// Where it ends: what [`Journal::acknowledge`](super::Journal::acknowledge) takes.
    pub end: Position,
    /// The stamp, if it ends a group.
    pub stamp: Option<Stamp>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the journal.
    Stored(Receipt),
    /// There was no room, and [`WhenFull::Drop`](super::WhenFull) is set.
    Dropped,
}

/// A write under way: resolves when it is done. Dropping it does not undo the write.
#[derive(Debug)]
#[must_use = "whether the write got through is known only when this resolves"]
pub struct Pending<T>(State<T>);

/// An append under way.
pub type Append = Pending<Outcome>;

/// An acknowledgement under way.
pub type Acknowledge = Pending<()>;

#[derive(Debug)]
enum State<T> {
    Waiting(oneshot::Receiver<Result<T, JournalError>>),
    Refused(JournalError),
}

impl Outcome {
    /// Where it went, if it was stored.
    #[must_use]
    pub fn receipt(self) -> Option<Receipt> {
        match self {
            Self::Stored(receipt) => Some(receipt),
            Self::Dropped => None,
        }
    }
}

// === impl Pending ===

impl<T> Pending<T> {
    pub(crate) fn new(
        receiver: oneshot::Receiver<Result<T, JournalError>>,
        queued: Result<(), JournalError>,
    ) -> Self {
        Self(match queued {
            Ok(()) => State::Waiting(receiver),
            Err(error) => State::Refused(error),
        })
    }

    /// Waits for it on a thread that is not part of an async runtime.
    ///
    /// # Errors
    /// As the future.
    ///
    /// # Panics
    /// On a thread of an async runtime.
    pub fn wait(self) -> Result<T, JournalError> {
        match self.0 {
            // The writer answers everything unless it panicked.
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or(Err(JournalError::Closed)),
            State::Refused(error) => Err(error),
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Waiting(receiver) => {
                Pin::new(receiver).poll(context).map(|answer| answer.unwrap_or(Err(JournalError::Closed)))
            }
            State::Refused(error) => Poll::Ready(Err(error.clone())),
        }
    }
}
