//! Who in this process waits for work or watches events, by channel. The [listener](super::listener) reads here what to
//! listen to, and passes on here what it hears.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Buf;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};

use crate::jobs::event::Event;
use crate::jobs::name::JobId;

/// How many events a stream may be behind before it gets [`Event::Missed`] for the oldest.
const BEHIND: usize = 4096;

/// Everybody who waits for something.
#[derive(Debug, Default)]
pub(super) struct Board {
    state: Mutex<State>,
    /// Told when there is something else to listen to.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    channels: HashMap<String, Channel>,
}

/// A channel, whether the server was asked for it, and who is to be told.
#[derive(Debug)]
struct Channel {
    is_heard: watch::Sender<bool>,
    ears: Ears,
}

#[derive(Debug)]
enum Ears {
    Work(watch::Sender<()>),
    Events(broadcast::Sender<Event>),
}

/// A seat on a channel.
#[derive(Debug)]
pub(super) struct Seat<R> {
    is_heard: watch::Receiver<bool>,
    /// What is heard, from when the seat was taken.
    pub(super) receiver: R,
}

impl Board {
    /// Waits for work. None once closed.
    pub(super) fn work(&self, name: String) -> Option<Seat<watch::Receiver<()>>> {
        self.seat(name, || Ears::Work(watch::Sender::new(())), Ears::work)
    }

    /// Watches events. None once closed.
    pub(super) fn events(&self, name: String) -> Option<Seat<broadcast::Receiver<Event>>> {
        self.seat(name, || Ears::Events(broadcast::Sender::new(BEHIND)), Ears::events)
    }

    /// What to listen to that is not listened to yet.
    pub(super) fn unheard(&self) -> Vec<String> {
        let state = self.state.lock();
        let unheard = state.channels.iter().filter(|(_, channel)| !*channel.is_heard.borrow());
        unheard.map(|(name, _)| name.clone()).collect()
    }

    /// Notes that a channel is listened to from now on.
    pub(super) fn is_heard(&self, name: &str) {
        if let Some(channel) = self.state.lock().channels.get(name) {
            // Nobody knows what was said before. Those who wait for this moment are not told: they come after it.
            channel.ears.missed();
            channel.is_heard.send_replace(true);
        }
    }

    /// Notes that nothing is listened to any more.
    pub(super) fn is_deaf(&self) {
        for channel in self.state.lock().channels.values() {
            channel.is_heard.send_replace(false);
        }
    }

    /// Passes a message on. `false` if nobody wants to hear that channel any more.
    pub(super) fn tell(&self, name: &str, message: &[u8]) -> bool {
        let mut state = self.state.lock();
        let Some(channel) = state.channels.get(name) else { return false };
        let is_wanted = channel.ears.tell(message);
        if !is_wanted {
            state.channels.remove(name);
        }
        is_wanted
    }

    /// Ends all streams and waits.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.channels.clear();
    }

    fn seat<R>(
        &self,
        name: String,
        new: impl FnOnce() -> Ears,
        take: impl FnOnce(&Ears) -> Option<R>,
    ) -> Option<Seat<R>> {
        let mut state = self.state.lock();
        if state.is_closed {
            return None;
        }
        let channel = state
            .channels
            .entry(name)
            .or_insert_with(|| Channel { is_heard: watch::Sender::new(false), ears: new() });
        let seat = Seat { is_heard: channel.is_heard.subscribe(), receiver: take(&channel.ears)? };
        drop(state);
        if !*seat.is_heard.borrow() {
            self.changed.notify_one();
        }
        Some(seat)
    }
}

impl<R> Seat<R> {
    /// Waits until the channel is listened to. `false` if that took too long.
    pub(super) async fn is_heard(&mut self, at_most: Duration) -> bool {
        let heard = self.is_heard.wait_for(|heard| *heard);
        matches!(tokio::time::timeout(at_most, heard).await, Ok(Ok(_)))
    }
}

impl Ears {
    fn work(&self) -> Option<watch::Receiver<()>> {
        match self {
            Self::Work(sender) => Some(sender.subscribe()),
            Self::Events(_) => None,
        }
    }

    fn events(&self) -> Option<broadcast::Receiver<Event>> {
        match self {
            Self::Events(sender) => Some(sender.subscribe()),
            Self::Work(_) => None,
        }
    }

    /// `false` if nobody is there. Those who wait for work come and go, so they are always there.
    fn tell(&self, message: &[u8]) -> bool {
        match self {
            Self::Work(sender) => {
                sender.send_replace(());
                true
            }
            Self::Events(sender) => {
                // Fails when nobody watches any more.
                events(message).for_each(|event| drop(sender.send(event)));
                sender.receiver_count() > 0
            }
        }
    }

    fn missed(&self) {
        match self {
            Self::Work(sender) => sender.send_replace(()),
            Self::Events(sender) => drop(sender.send(Event::Missed)),
        }
    }
}

/// The events in a message: each the kind, the length of the id and the id.
fn events(mut message: &[u8]) -> impl Iterator<Item = Event> {
    std::iter::from_fn(move || {
        let kind = message.try_get_u8().ok()?;
        let length = usize::from(message.try_get_u16().ok()?);
        let (id, rest) = message.split_at_checked(length)?;
        message = rest;
        Some((kind, id))
    })
    .filter_map(|(kind, id)| event(kind, id))
}

fn event(kind: u8, id: &[u8]) -> Option<Event> {
    let id = || std::str::from_utf8(id).ok().and_then(|id| JobId::new(id).ok());
    Some(match kind {
        1 => Event::Enqueued(id()?),
        2 => Event::Started(id()?),
        3 => Event::Completed(id()?),
        4 => Event::Retrying(id()?),
        5 => Event::Dead(id()?),
        6 => Event::Stalled(id()?),
        7 => Event::Cancelled(id()?),
        8 => Event::Paused,
        9 => Event::Resumed,
        _ => return None,
    })
}
