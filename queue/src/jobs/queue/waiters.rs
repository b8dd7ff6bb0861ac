//! Who waits for the end of which job in this process. One stream of events serves them all, and only wakes
//! them: they read the job's state themselves, so that a lost event costs time and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::jobs::error::StorageError;
use crate::jobs::event::Event;
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::Storage;

/// How long after a lost stream the next is asked for.
const RESUBSCRIBE: Duration = Duration::from_millis(500);

type Bells = Mutex<HashMap<JobId, Bell>>;

/// The waiters of a queue.
pub(super) struct Waiters {
    storage: Arc<dyn Storage>,
    queue: QueueName,
    bells: Arc<Bells>,
    started: OnceCell<()>,
    /// The task that listens; it ends with the queue.
    listener: Mutex<JoinSet<()>>,
}

/// Wakes those who wait for one job.
struct Bell {
    rings: watch::Sender<()>,
    waiters: usize,
}

/// One who waits for one job.
pub(super) struct Waiter {
    id: JobId,
    rung: watch::Receiver<()>,
    bells: Arc<Bells>,
}

impl Waiters {
    pub(super) fn new(storage: Arc<dyn Storage>, queue: QueueName) -> Self {
        let bells = Arc::default();
        Self { storage, queue, bells, started: OnceCell::new(), listener: Mutex::default() }
    }

    /// Waits for a job from now on: what happens to it later wakes the waiter.
    pub(super) async fn join(&self, id: &JobId) -> Result<Waiter, StorageError> {
        self.started.get_or_try_init(|| self.start()).await?;
        let mut bells = self.bells.lock();
        let new = || Bell { rings: watch::Sender::default(), waiters: 0 };
        let bell = bells.entry(id.clone()).or_insert_with(new);
        bell.waiters += 1;
        let rung = bell.rings.subscribe();
        Ok(Waiter { id: id.clone(), rung, bells: Arc::clone(&self.bells) })
    }

    async fn start(&self) -> Result<(), StorageError> {
        let events = self.storage.events(&self.queue).await?;
        let (storage, queue, bells) =
            (Arc::clone(&self.storage), self.queue.clone(), Arc::clone(&self.bells));
        self.listener.lock().spawn(async move { listen(&*storage, &queue, &bells, events).await });
        Ok(())
    }
}

impl Waiter {
    /// Wakes at the job's end, or when something may have been missed; at once, if either was so since the waiter
    /// joined or last woke.
    pub(super) async fn woken(&mut self) {
        // The bell stays as long as somebody waits for it to ring.
        let _rung = self.rung.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut bells = self.bells.lock();
        if let Some(bell) = bells.get_mut(&self.id) {
            bell.waiters -= 1;
            if bell.waiters == 0 {
                bells.remove(&self.id);
            }
        }
    }
}

/// Listens for as long as the storage is open.
async fn listen(
    storage: &dyn Storage,
    queue: &QueueName,
    bells: &Bells,
    mut events: BoxStream<'static, Event>,
) {
    loop {
        while let Some(event) = events.next().await {
            ring(bells, &event);
        }
        ring(bells, &Event::Missed);
        events = loop {
            sleep(RESUBSCRIBE).await;
            match storage.events(queue).await {
                Ok(events) => break events,
                Err(StorageError::Closed) => return ring(bells, &Event::Missed),
                Err(_) => {}
            }
        };
        ring(bells, &Event::Missed);
    }
}

fn ring(bells: &Bells, event: &Event) {
    let bells = bells.lock();
    match event {
        Event::Completed(id) | Event::Dead(id) | Event::Cancelled(id) => {
            if let Some(bell) = bells.get(id) {
                bell.rings.send_replace(());
            }
        }
        Event::Missed => bells.values().for_each(|bell| bell.rings.send_replace(())),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::jobs::{MemoryStorage, NameError};

    #[tokio::test]
    async fn a_waiter_hears_what_rang_before_it_listened() -> Result<(), NameError> {
        let waiters = Waiters::new(Arc::new(MemoryStorage::new()), QueueName::new("queue")?);
        let id = JobId::new("job")?;
        let mut waiter = waiters.join(&id).await.expect("it is in memory");
        assert_eq!(waiter.woken().now_or_never(), None);
        ring(&waiters.bells, &Event::Completed(id));
        assert_eq!(waiter.woken().now_or_never(), Some(()));
        assert_eq!(waiter.woken().now_or_never(), None, "once");
        Ok(())
    }
}
