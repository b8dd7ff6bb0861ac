//! Work that is done to its end whoever asked for it: what is written must also be told. It ends with
//! the [`Lead`](super::Lead), not with the asker.

use tokio_util::task::TaskTracker;

/// The work that is under way. Clones are of the same.
#[derive(Clone, Default)]
pub(super) struct Work(TaskTracker);

impl Work {
    /// Has something done and waits for what comes of it; whoever stops waiting stops nothing. `None` if it is cut
    /// short by the end of the process.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.0.spawn(work).await.ok()
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
        assert_eq!(work.run(write(1)).await, Some(1));
        let hung_up = timeout(Duration::from_millis(1), work.run(write(2))).await;
        assert!(hung_up.is_err());
        work.finish().await;
        assert_eq!((heard.try_recv(), heard.try_recv()), (Ok(1), Ok(2)));
    }
}
