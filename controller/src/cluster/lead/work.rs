//! Work that is done to its end whoever asked for it: what is written must also be told. It ends with
//! the [`Lead`](super::Lead), not with the asker.

use tokio_util::task::TaskTracker;

/// So much is done at a time: what nobody waits for any more goes on, and would add up while the cluster does not answer.
const MOST: usize = 64;

/// The work that is under way. Clones are of the same.
#[derive(Clone, Default)]
pub(super) struct Work(TaskTracker);

/// Why nothing is known to come of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotDone {
    /// It was not begun: so much is under way already.
    Busy,
    /// The end of the process cut it short.
    Ended,
}

impl Work {
    /// Has something done and waits for what comes of it; whoever stops waiting stops nothing.
    ///
    /// # Errors
    /// If it is not begun, or cut short.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, NotDone> {
        // Two that look at the same time may both begin.
        if self.0.len() >= MOST {
            return Err(NotDone::Busy);
        }
        self.0.spawn(work).await.map_err(|_| NotDone::Ended)
    }

    /// Waits until all that was begun is done.
    pub(super) async fn finish(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_is_done_although_nobody_waits_for_it() {
        let (work, (told, mut heard)) = (Work::default(), mpsc::channel(2));
        let write = |number: u32| {
            let told = told.clone();
            async move {
                sleep(Duration::from_secs(1)).await;
                told.send(number).await.unwrap();
                number
            }
        };
        assert_eq!(work.run(write(1)).await, Ok(1));
        let hung_up = timeout(Duration::from_millis(1), work.run(write(2))).await;
        assert!(hung_up.is_err());
        work.finish().await;
        assert_eq!((heard.try_recv(), heard.try_recv()), (Ok(1), Ok(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_does_not_add_up() {
        let work = Work::default();
        let slow = || async { sleep(Duration::from_secs(1)).await };
        for _ in 0..MOST {
            assert!(timeout(Duration::from_millis(1), work.run(slow())).await.is_err());
        }
        assert_eq!(work.run(slow()).await, Err(NotDone::Busy));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(work.run(slow()).await, Ok(()));
    }
}
