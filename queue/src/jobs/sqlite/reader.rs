//! Threads that read the file, each with a connection of its own: in WAL mode they wait for nobody. Each call
//! sees one state of the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::Failure;
use crate::jobs::error::StorageError;

/// How many calls may wait for each thread; further callers wait for a place.
const WAITING_CALLS: usize = 256;

type Call = Box<dyn FnOnce(&Connection) + Send>;

/// Hands calls to the threads in turn. Clones share them; when the last is gone, the threads end.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    threads: Arc<[mpsc::Sender<Call>]>,
    turn: Arc<AtomicUsize>,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(super) fn start(connections: Vec<Connection>) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (threads, handles): (Vec<_>, Vec<_>) =
            connections.into_iter().map(start).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        Ok((Self { threads: threads.into(), turn: Arc::default() }, handles))
    }

    /// Has something read.
    pub(super) async fn call<T, F>(self, action: &'static str, read: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Box::new(move |connection: &Connection| {
            let result = snapshot(connection, read).map_err(|failure| failure.into_error(action));
            // Fails when nobody waits any more.
            drop(reply.send(result));
        });
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let thread = self.threads.get(turn % self.threads.len().max(1)).ok_or(StorageError::Closed)?;
        thread.send(call).await.map_err(|_| StorageError::Closed)?;
        // Who does not look for the answer does not keep the threads from their end.
        drop(self);
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

fn start(connection: Connection) -> std::io::Result<(mpsc::Sender<Call>, JoinHandle<()>)> {
    let (sender, mut calls) = mpsc::channel::<Call>(WAITING_CALLS);
    let thread = thread::Builder::new().name("sqlite-reader".to_owned()).spawn(move || {
        while let Some(call) = calls.blocking_recv() {
            call(&connection);
        }
    })?;
    Ok((sender, thread))
}

/// Reads in one transaction.
fn snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = read(connection);
    connection.prepare_cached("COMMIT")?.execute([])?;
    result
}
