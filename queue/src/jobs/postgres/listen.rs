//! The one connection of a storage that hears of others and tells them: it listens, and notifies after the calls
//! are committed, many hints at once. A notification inside a call's transaction would make all commits of the
//! server wait for each other; outside it can be lost with the process, which hints may. Events are sent only
//! while somebody watches: watchers hold an advisory lock together, and who can get it alone sends nothing. When
//! the connection is lost it is made again, and everybody is told that something was missed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Error};

use super::connector::{Connector, Messages};
use super::error::from_client;
use super::payload::{read, texts};
use super::schema::Schema;
use crate::jobs::error::StorageError;
use crate::jobs::hints::{Hint, Hints};

/// How many messages may wait to be sent; what comes beyond is missed by others.
const WAITING: usize = 4_096;
/// The most hints that are sent at once.
const AT_ONCE: usize = 1_024;
/// How long to wait before the connection is made again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How often a silent connection is tested.
const TEST: Duration = Duration::from_secs(15);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The way to the task.
#[derive(Debug)]
pub(super) struct Ear {
    messages: mpsc::Sender<Message>,
    lost: Arc<AtomicBool>,
}

/// What is asked of the task.
enum Message {
    Tell(Vec<Hint>),
    /// Answered when events are listened for.
    Watch(oneshot::Sender<()>),
}

/// The task.
pub(super) struct Listener {
    connector: Connector,
    schema: Schema,
    hints: Arc<Hints>,
    messages: mpsc::Receiver<Message>,
    /// Something was not sent.
    lost: Arc<AtomicBool>,
    /// Events are listened for.
    watching: bool,
}

/// Told how the first connection went.
type Ready = oneshot::Sender<Result<(), StorageError>>;

/// Why a connection is left.
enum Ended {
    /// The storage was closed.
    Closed,
    Lost(StorageError),
}

impl Ear {
    /// Passes hints on, without waiting.
    pub(super) fn tell(&self, hints: Vec<Hint>) {
        if self.messages.try_send(Message::Tell(hints)).is_err() {
            self.lost.store(true, Ordering::SeqCst);
        }
    }

    /// Returns when events of others arrive, or when there is no connection: then they are missed.
    pub(super) async fn watch(self: Arc<Self>) {
        let (ready, is_ready) = oneshot::channel();
        let asked = self.messages.send(Message::Watch(ready)).await.is_ok();
        // The task ends when nobody can ask any more, and whoever waits does not.
        drop(self);
        if asked {
            // Fails if the connection was lost.
            drop(is_ready.await);
        }
    }
}

impl Listener {
    pub(super) fn new(connector: Connector, schema: Schema, hints: Arc<Hints>) -> (Ear, Self) {
        let (sender, messages) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicBool::new(false));
        let ear = Ear { messages: sender, lost: Arc::clone(&lost) };
        (ear, Self { connector, schema, hints, messages, lost, watching: false })
    }

    /// Works until the storage is closed. `ready` is told when it listens for the first time, or why it can't: then that
    /// is the end.
    pub(super) async fn run(mut self, ready: Ready) {
        let mut ready = Some(ready);
        let mut again = AGAIN.0;
        loop {
            let error = match self.connection(&mut ready, &mut again).await {
                Ended::Closed => return,
                Ended::Lost(error) => error,
            };
            if let Some(ready) = ready.take() {
                // Fails when nobody waits any more.
                return drop(ready.send(Err(error)));
            }
            tracing::warn!(%error, "no connection to listen on; trying again");
            if !self.rest(again).await {
                return;
            }
            again = (again * 2).min(AGAIN.1);
        }
    }

    /// Listens and tells until the connection is lost.
    async fn connection(&mut self, ready: &mut Option<Ready>, again: &mut Duration) -> Ended {
        let connected = tokio::select! {
            connected = within(self.connector.longest_connect(), self.connector.connect()) => connected,
            () = discard(&mut self.messages, &self.lost) => return Ended::Closed,
        };
        let (client, messages) = match connected {
            Ok(connected) => connected,
            Err(error) => return Ended::Lost(error),
        };
        let process = Arc::new(AtomicI32::new(0));
        let hear = hear(messages, Arc::clone(&self.hints), Arc::clone(&process));
        let talk = async {
            self.begin(&client, &process).await?;
            *again = AGAIN.0;
            match ready.take() {
                Some(ready) => drop(ready.send(Ok(()))),
                // Others did not hear us either.
                None => {
                    self.hints.missed();
                    self.lost.store(true, Ordering::SeqCst);
                }
            }
            self.talk(&client).await
        };
        tokio::select! {
            error = hear => Ended::Lost(error),
            ended = talk => ended.unwrap_or_else(Ended::Lost),
        }
    }

    async fn begin(&mut self, client: &Client, process: &AtomicI32) -> Result<(), StorageError> {
        let row = answer(client.query_one("SELECT pg_backend_pid()", &[])).await?;
        process.store(row.get(0), Ordering::SeqCst);
        answer(client.batch_execute(&format!("LISTEN {}", self.work_channel()))).await?;
        self.watching = false;
        if self.hints.events_are_wanted() {
            self.watch(client).await?;
        }
        Ok(())
    }

    async fn talk(&mut self, client: &Client) -> Result<Ended, StorageError> {
        loop {
            let first = match timeout(TEST, self.messages.recv()).await {
                Ok(None) => return Ok(Ended::Closed),
                Ok(Some(message)) => Some(message),
                Err(_) => None,
            };
            if self.watching && !self.hints.events_are_wanted() {
                self.unwatch(client).await?;
            }
            match first {
                Some(Message::Watch(ready)) => {
                    self.watch(client).await?;
                    // Fails when nobody waits any more.
                    ready.send(()).ok();
                }
                Some(Message::Tell(hints)) => self.send(client, hints).await?,
                None => answer(client.batch_execute("SELECT 1")).await?,
            }
        }
    }

    /// Sends hints, and those that came meanwhile.
    async fn send(&mut self, client: &Client, mut hints: Vec<Hint>) -> Result<(), StorageError> {
        let mut watchers = Vec::new();
        while hints.len() < AT_ONCE
            && let Ok(message) = self.messages.try_recv()
        {
            match message {
                Message::Tell(more) => hints.extend(more),
                Message::Watch(ready) => watchers.push(ready),
            }
        }
        let (work, events) = texts(&hints, self.lost.swap(false, Ordering::SeqCst));
        let (work_channel, event_channel) = (self.work_channel(), self.event_channel());
        // Without a transaction of its own it is two, and neither writes anything that is synced.
        if !work.is_empty() {
            let notify = "SELECT pg_notify($1, text) FROM unnest($2::text[]) AS text";
            answer(client.query(notify, &[&work_channel, &work])).await?;
        }
        if !events.is_empty() {
            let notify = "SELECT pg_notify($1, text) FROM unnest($2::text[]) AS text
                WHERE NOT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
            answer(client.query(notify, &[&event_channel, &events])).await?;
        }
        if !watchers.is_empty() {
            self.watch(client).await?;
            watchers.into_iter().for_each(|ready| ready.send(()).unwrap_or_default());
        }
        Ok(())
    }

    /// Listens for events, and says so to all who send some.
    async fn watch(&mut self, client: &Client) -> Result<(), StorageError> {
        if self.watching {
            return Ok(());
        }
        let channel = self.event_channel();
        let lock =
            format!("LISTEN {channel}; SELECT pg_advisory_lock_shared(hashtextextended('{channel}', 0))");
        answer(client.batch_execute(&lock)).await?;
        self.watching = true;
        Ok(())
    }

    async fn unwatch(&mut self, client: &Client) -> Result<(), StorageError> {
        let channel = self.event_channel();
        let unlock =
            format!("UNLISTEN {channel}; SELECT pg_advisory_unlock_shared(hashtextextended('{channel}', 0))");
        answer(client.batch_execute(&unlock)).await?;
        self.watching = false;
        Ok(())
    }

    /// Waits. `false` once the storage is closed.
    async fn rest(&mut self, pause: Duration) -> bool {
        timeout(pause, discard(&mut self.messages, &self.lost)).await.is_err()
    }

    fn work_channel(&self) -> String {
        format!("lockstep_work_{}", self.schema.as_str())
    }

    fn event_channel(&self) -> String {
        format!("lockstep_event_{}", self.schema.as_str())
    }
}

/// Takes what can't be sent while there is no connection. Returns once the storage is closed.
async fn discard(messages: &mut mpsc::Receiver<Message>, lost: &AtomicBool) {
    while let Some(message) = messages.recv().await {
        match message {
            Message::Tell(_) => lost.store(true, Ordering::SeqCst),
            // It is told by its sender being dropped that nothing arrives now.
            Message::Watch(_) => {}
        }
    }
}

/// Drives the connection and passes on what others say. Returns why it ended.
async fn hear(mut messages: Messages, hints: Arc<Hints>, own: Arc<AtomicI32>) -> StorageError {
    while let Some(message) = messages.next().await {
        match message {
            Ok(AsyncMessage::Notification(note)) if note.process_id() != own.load(Ordering::SeqCst) => {
                let heard = read(note.payload());
                hints.tell(heard.hints);
                if heard.missed {
                    hints.missed();
                }
            }
            Ok(_) => {}
            Err(error) => return from_client(error, "listen"),
        }
    }
    StorageError::Unavailable {
        action: "listen",
        source: Arc::new(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

/// Waits for an answer of the server, but not for ever.
async fn answer<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, StorageError> {
    within(ANSWER, call).await
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, StorageError> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map_err(|error| from_client(error, "listen")),
        Err(error) => Err(StorageError::Unavailable { action: "listen", source: Arc::new(error) }),
    }
}
