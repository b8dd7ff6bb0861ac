//! Hears of other processes. SQLite tells nobody when a file changes, but answers cheaply whether it did: while
//! somebody in this process waits or watches, one thread asks every few milliseconds. When another process
//! committed something, all who wait look again, and all who watch get [`Event::Missed`].
//!
//! [`Event::Missed`]: crate::jobs::Event::Missed

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::jobs::hints::Hints;

/// Tells the thread to look, or to end.
#[derive(Debug, Default)]
pub(super) struct Attention {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    wanted: bool,
    ended: bool,
}

/// Counts the transactions of this process, so that they can be told from those of others.
#[derive(Debug, Default)]
pub(super) struct Own {
    begun: AtomicI64,
    /// Those that changed nothing in the end.
    withdrawn: AtomicI64,
}

/// What the thread owns.
struct Watch {
    connection: Connection,
    attention: Arc<Attention>,
    hints: Arc<Hints>,
    own: Arc<Own>,
    every: Duration,
    /// `PRAGMA data_version` at the last look.
    version: i64,
    /// Transactions of this process that had changed nothing at the last look.
    withdrawn: i64,
    /// Transactions of others at the last look.
    others: i64,
}

impl Attention {
    /// Somebody waits or watches.
    pub(super) fn want(&self) {
        self.state.lock().wanted = true;
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until it is time to look. `false` at the end.
    fn wait(&self, every: Duration) -> bool {
        let mut state = self.state.lock();
        while !state.wanted && !state.ended {
            self.changed.wait(&mut state);
        }
        if !state.ended {
            self.changed.wait_while_for(&mut state, |state| !state.ended, every);
        }
        !state.ended
    }
}

/// Starts the thread.
pub(super) fn start(
    connection: Connection,
    attention: Arc<Attention>,
    hints: Arc<Hints>,
    own: Arc<Own>,
    every: Duration,
) -> std::io::Result<JoinHandle<()>> {
    let mut watch =
        Watch { connection, attention, hints, own, every, version: 0, withdrawn: 0, others: i64::MIN };
    // What is there already is no news.
    drop(watch.others_changed());
    thread::Builder::new().name("sqlite-watch".to_owned()).spawn(move || watch.run())
}

impl Own {
    /// Before a transaction begins, so that the watcher never takes it for a stranger's.
    pub(super) fn begins(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// The transaction changed nothing.
    pub(super) fn withdraws(&self) {
        self.withdrawn.fetch_add(1, Ordering::SeqCst);
    }
}

impl Watch {
    fn run(mut self) {
        while self.attention.wait(self.every) {
            match self.others_changed() {
                Ok(true) => self.hints.missed(),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "could not ask SQLite for changes"),
            }
            // Somebody who comes between the two lines sets it again.
            self.attention.state.lock().wanted = false;
            if self.hints.are_wanted() {
                self.attention.state.lock().wanted = true;
            }
        }
    }

    fn others_changed(&mut self) -> rusqlite::Result<bool> {
        let version =
            self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        let withdrawn = self.own.withdrawn.load(Ordering::SeqCst);
        if version == self.version && withdrawn == self.withdrawn {
            return Ok(false);
        }
        let commits: i64 =
            self.connection.prepare_cached("SELECT commits FROM meta")?.query_row([], |row| row.get(0))?;
        // Read after the other: ours may be counted too early, never too late, so that none of ours seems to
        // be of others. What it hides is seen at the next look: ours will have changed the file too by then, or
        // have been withdrawn.
        let others = commits - (self.own.begun.load(Ordering::SeqCst) - withdrawn);
        self.version = version;
        self.withdrawn = withdrawn;
        let changed = others > self.others;
        self.others = self.others.max(others);
        Ok(changed)
    }
}
