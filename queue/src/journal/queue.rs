//! Requests on their way to the writer thread.

use std::mem;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::append::Outcome;
use super::body::Body;
use super::error::JournalError;
use super::kind::Kind;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Request {
    Append(Entry),
    Acknowledge(Ack),
}

/// An acknowledgement.
#[derive(Debug)]
pub(crate) struct Ack {
    pub(crate) upto: u64,
    /// Replaces the mark.
    pub(crate) mark: Option<Bytes>,
    pub(crate) reply: Reply<()>,
}

/// A frame to be appended.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) group: u64,
    pub(crate) body: Body,
    /// Whether the answer waits for the disk.
    pub(crate) synced: bool,
    pub(crate) reply: Reply<Outcome>,
}

/// Bounded by number and bytes; acknowledgements always pass.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: Vec<Request>,
    bytes: usize,
    closed: bool,
    /// The writer sleeps, so it must be woken.
    asleep: bool,
}

/// Why the writer woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    Requests,
    Deadline,
    Closed,
}

impl Queue {
    pub(crate) fn new(max_frames: usize, max_bytes: usize) -> Self {
        Self { waiting: Mutex::default(), wake: Condvar::new(), max_frames, max_bytes }
    }

    pub(crate) fn append(&self, entry: Entry) -> Result<(), JournalError> {
        let mut waiting = self.waiting.lock();
        let frames = waiting.requests.len();
        let bytes = waiting.bytes.saturating_add(entry.body.len());
        if frames > 0 && (frames >= self.max_frames || bytes > self.max_bytes) {
            return Err(JournalError::Busy { frames, bytes: waiting.bytes });
        }
        waiting.bytes = bytes;
        self.push(waiting, Request::Append(entry))
    }

    pub(crate) fn acknowledge(&self, ack: Ack) -> Result<(), JournalError> {
        self.push(self.waiting.lock(), Request::Acknowledge(ack))
    }

    fn push(
        &self,
        mut waiting: parking_lot::MutexGuard<'_, Waiting>,
        request: Request,
    ) -> Result<(), JournalError> {
        if waiting.closed {
            return Err(JournalError::Closed);
        }
        waiting.requests.push(request);
        let wake = mem::take(&mut waiting.asleep);
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Moves what is waiting into `requests`, which must be empty; waits for it if need be.
    pub(crate) fn take(&self, requests: &mut Vec<Request>, deadline: Option<Instant>) -> Woken {
        let mut waiting = self.waiting.lock();
        loop {
            if !waiting.requests.is_empty() {
                waiting.bytes = 0;
                mem::swap(&mut waiting.requests, requests);
                return Woken::Requests;
            }
            if waiting.closed {
                return Woken::Closed;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Woken::Deadline;
            }
            waiting.asleep = true;
            match deadline {
                Some(deadline) => drop(self.wake.wait_until(&mut waiting, deadline)),
                None => self.wake.wait(&mut waiting),
            }
            waiting.asleep = false;
        }
    }

    /// Whether somebody waits for the writer.
    pub(crate) fn has_requests(&self) -> bool {
        !self.waiting.lock().requests.is_empty()
    }

    /// Takes nothing more; what is waiting is still served.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(len: usize) -> Entry {
        let (reply, _) = oneshot::channel();
        Entry { kind: Kind::single::<0>(), group: 0, body: vec![0; len].into(), synced: true, reply }
    }

    fn ack() -> Ack {
        Ack { upto: 0, mark: None, reply: oneshot::channel().0 }
    }

    #[test]
    fn it_is_bounded_but_takes_one_frame_of_any_size() {
        let queue = Queue::new(2, 10);
        queue.append(entry(100)).unwrap();
        assert!(matches!(queue.append(entry(0)), Err(JournalError::Busy { frames: 1, bytes: 100 })));
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, None), Woken::Requests);
        taken.clear();
        queue.append(entry(5)).unwrap();
        queue.append(entry(5)).unwrap();
        assert!(matches!(queue.append(entry(0)), Err(JournalError::Busy { frames: 2, bytes: 10 })));
        queue.acknowledge(ack()).unwrap();
        queue.close();
        assert!(queue.acknowledge(ack()).is_err());
        assert_eq!(queue.take(&mut taken, None), Woken::Requests);
        assert_eq!(taken.len(), 3);
        taken.clear();
        assert_eq!(queue.take(&mut taken, None), Woken::Closed);
    }

    #[test]
    fn the_deadline_wakes() {
        let queue = Queue::new(2, 10);
        assert_eq!(queue.take(&mut Vec::new(), Some(Instant::now())), Woken::Deadline);
    }
}
