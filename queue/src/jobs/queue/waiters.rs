//! Who waits for the end of which job in this process. One stream of events serves them all, and only wakes
//! them: they read the job's state themselves, so that a lost event costs time and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell};
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
    notify: Arc<Notify>,
    waiters: usize,
}

/// One who waits for one job.
pub(super) struct Waiter {
    id: JobId,
    notify: Arc<Notify>,
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
        let new = || Bell { notify: Arc::default(), waiters: 0 };
        let bell = bells.entry(id.clone()).or_insert_with(new);
        bell.waiters += 1;
        let notify = Arc::clone(&bell.notify);
        Ok(Waiter { id: id.clone(), notify, bells: Arc::clone(&self.bells) })
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
    /// Wakes at the job's next end, or when something may have been missed.
    pub(super) fn woken(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
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
                bell.notify.notify_waiters();
            }
        }
        Event::Missed => bells.values().for_each(|bell| bell.notify.notify_waiters()),
        _ => {}
    }
}
