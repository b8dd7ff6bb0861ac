//! Ends the threads that write what requests leave behind, without waiting for ever on a reader that
//! does not read.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How long a writer may take for what is queued.
const PATIENCE: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(5);

/// Sends `end` behind everything that is queued and waits for the writer to get there. One that is
/// stuck is left behind; the end of the process takes it along.
pub(crate) fn finish<T>(name: &'static str, queue: &SyncSender<T>, end: T, thread: JoinHandle<()>) {
    finish_within(PATIENCE, name, queue, end, thread);
}

fn finish_within<T>(
    patience: Duration,
    name: &'static str,
    queue: &SyncSender<T>,
    end: T,
    thread: JoinHandle<()>,
) -> bool {
    let deadline = Instant::now() + patience;
    let mut end = Some(end);
    while !thread.is_finished() {
        end = end.and_then(|end| match queue.try_send(end) {
            Err(TrySendError::Full(end)) => Some(end),
            Ok(()) | Err(TrySendError::Disconnected(_)) => None,
        });
        if Instant::now() >= deadline {
            tracing::warn!(writer = name, "does not get rid of what is queued; the rest is lost");
            return false;
        }
        sleep(STEP);
    }
    if thread.join().is_err() {
        tracing::error!(writer = name, "the writer panicked");
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_is_queued_is_written_first() {
        let (queue, entries) = sync_channel(1);
        queue.send(1).unwrap();
        let thread = std::thread::spawn(move || assert_eq!(entries.iter().take(2).sum::<i32>(), 3));
        assert!(finish_within(PATIENCE, "test", &queue, 2, thread));
    }

    #[test]
    fn a_writer_that_is_stuck_is_left_behind() {
        let (queue, _entries) = sync_channel::<()>(0);
        let (release, held) = sync_channel::<()>(0);
        let thread = std::thread::spawn(move || assert!(held.recv().is_err()));
        assert!(!finish_within(Duration::from_millis(20), "test", &queue, (), thread));
        drop(release);
    }
}
