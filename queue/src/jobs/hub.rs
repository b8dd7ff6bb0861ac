//! Who waits for what inside one process: workers for something to claim, watchers for events. Storages without a
//! server tell it what they did; it wakes without polling.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};

use super::event::Event;
use super::index::Outlook;
use super::name::QueueName;

/// Events that a watcher may be behind; more are dropped, and it is told [`Event::Missed`].
const EVENTS: usize = 4096;

/// What is to be told of each queue.
#[derive(Debug, Default)]
pub(super) struct Hub {
    queues: Mutex<HashMap<QueueName, Arc<Channel>>>,
}

/// What is to be told of one queue.
#[derive(Debug)]
pub(super) struct Channel {
    work: Notify,
    events: Mutex<Option<broadcast::Sender<Event>>>,
}

impl Hub {
    /// The channel of a queue.
    pub(super) fn channel(&self, queue: &QueueName) -> Arc<Channel> {
        let mut queues = self.queues.lock();
        if let Some(channel) = queues.get(queue) {
            return Arc::clone(channel);
        }
        let channel = Arc::new(Channel { work: Notify::new(), events: Mutex::new(None) });
        queues.insert(queue.clone(), Arc::clone(&channel));
        channel
    }

    /// Ends all event streams and wakes all who wait.
    pub(super) fn close(&self) {
        for channel in self.queues.lock().values() {
            channel.close();
        }
    }
}

impl Channel {
    /// Tells that there is more to claim: one job wakes one worker, several wake all.
    pub(super) fn work(&self, jobs: usize) {
        match jobs {
            0 => {}
            1 => self.work.notify_one(),
            _ => self.work.notify_waiters(),
        }
    }

    /// Tells what happened, if anybody watches: the events are made only then.
    pub(super) fn tell<I: IntoIterator<Item = Event>>(&self, events: impl FnOnce() -> I) {
        let mut sender = self.events.lock();
        let Some(watched) = sender.as_ref() else { return };
        if watched.receiver_count() == 0 {
            *sender = None;
            return;
        }
        for event in events() {
            // The last watcher may leave meanwhile.
            let _ = watched.send(event);
        }
    }

    /// Waits until there may be something to claim, `at_most` so long. `outlook` asks the storage; it is asked
    /// after this has begun to listen, so that nothing is missed between.
    pub(super) async fn wait(&self, at_most: Duration, outlook: impl Fn() -> Outlook) {
        let mut told = pin!(self.work.notified());
        told.as_mut().enable();
        let wait = match outlook() {
            Outlook::Work | Outlook::Closed => return,
            Outlook::In(wait) => wait.min(at_most),
            Outlook::Nothing => at_most,
        };
        // An elapsed time is as good as being told.
        let _ = tokio::time::timeout(wait, told).await;
    }

    /// What happens from now on.
    pub(super) fn events(&self) -> BoxStream<'static, Event> {
        let receiver = self.events.lock().get_or_insert_with(|| broadcast::Sender::new(EVENTS)).subscribe();
        let events = stream::unfold(receiver, async |mut receiver| match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(RecvError::Lagged(_)) => Some((Event::Missed, receiver)),
            Err(RecvError::Closed) => None,
        });
        events.boxed()
    }

    fn close(&self) {
        self.events.lock().take();
        self.work.notify_waiters();
    }
}
