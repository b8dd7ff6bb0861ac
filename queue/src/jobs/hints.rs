//! What a storage tells inside one process: wakes those who wait for work, and feeds those who watch. Storages
//! that others change too pass on here what they hear of them. Nothing here is the truth; whoever is told asks
//! the storage.

use std::collections::HashMap;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use super::event::Event;
use super::name::QueueName;

/// How many events a stream may be behind before it gets [`Event::Missed`] for the oldest.
const BEHIND: usize = 1024;

/// Everybody in this process who waits for something.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// None once closed.
    waiting: Mutex<Option<Waiting>>,
}

/// What one step changed, told once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hint {
    /// There may be something to claim.
    Work(QueueName),
    /// Something happened.
    Event(QueueName, Event),
}

/// By queue; an entry stays, so there are as many as queues that were waited for.
#[derive(Debug, Default)]
struct Waiting {
    work: HashMap<QueueName, watch::Sender<()>>,
    events: HashMap<QueueName, broadcast::Sender<Event>>,
}

impl Hints {
    pub(super) fn open() -> Self {
        Self { waiting: Mutex::new(Some(Waiting::default())) }
    }

    /// Told when there may be work. None once closed; the receiver fails then.
    pub(super) fn work(&self, queue: &QueueName) -> Option<watch::Receiver<()>> {
        let mut waiting = self.waiting.lock();
        let senders = &mut waiting.as_mut()?.work;
        Some(senders.entry(queue.clone()).or_insert_with(|| watch::channel(()).0).subscribe())
    }

    /// What happens from now on. None once closed; the stream ends then.
    pub(super) fn events(&self, queue: &QueueName) -> Option<BoxStream<'static, Event>> {
        let mut waiting = self.waiting.lock();
        let senders = &mut waiting.as_mut()?.events;
        let sender = senders.entry(queue.clone()).or_insert_with(|| broadcast::channel(BEHIND).0);
        Some(stream::unfold(sender.subscribe(), next_event).boxed())
    }

    /// Passes hints on to those whom they concern.
    pub(super) fn tell(&self, hints: impl IntoIterator<Item = Hint>) {
        let waiting = self.waiting.lock();
        let Some(waiting) = waiting.as_ref() else { return };
        for hint in hints {
            match hint {
                Hint::Work(queue) => waiting.wake(&queue),
                Hint::Event(queue, event) => waiting.tell(&queue, event),
            }
        }
    }

    /// Others changed something, it is not known what.
    pub(super) fn missed(&self) {
        let waiting = self.waiting.lock();
        let Some(waiting) = waiting.as_ref() else { return };
        waiting.work.values().for_each(|work| work.send_replace(()));
        waiting.events.values().for_each(|events| drop(events.send(Event::Missed)));
    }

    /// Whether anybody waits or watches.
    pub(super) fn are_wanted(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.as_ref().is_some_and(|waiting| {
            waiting.work.values().any(|work| work.receiver_count() > 0) || waiting.events_are_wanted()
        })
    }

    /// Whether anybody watches.
    #[cfg(feature = "postgres")]
    pub(super) fn events_are_wanted(&self) -> bool {
        self.waiting.lock().as_ref().is_some_and(Waiting::events_are_wanted)
    }

    /// Ends all streams and waits.
    pub(super) fn close(&self) {
        *self.waiting.lock() = None;
    }
}

impl Waiting {
    fn wake(&self, queue: &QueueName) {
        if let Some(work) = self.work.get(queue) {
            work.send_replace(());
        }
    }

    fn tell(&self, queue: &QueueName, event: Event) {
        if let Some(events) = self.events.get(queue) {
            // Fails when nobody watches any more.
            drop(events.send(event));
        }
    }

    fn events_are_wanted(&self) -> bool {
        self.events.values().any(|events| events.receiver_count() > 0)
    }
}

async fn next_event(mut events: broadcast::Receiver<Event>) -> Option<(Event, broadcast::Receiver<Event>)> {
    match events.recv().await {
        Ok(event) => Some((event, events)),
        Err(broadcast::error::RecvError::Lagged(_)) => Some((Event::Missed, events)),
        Err(broadcast::error::RecvError::Closed) => None,
    }
}
