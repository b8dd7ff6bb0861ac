//! The signals that the process heeds.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT and SIGHUP, from the moment this is made.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Which signal asked the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// SIGTERM: an orchestrator, which needs a while to notice that we are unready.
    Terminate,
    /// SIGINT: a person at a terminal, who needs no lame duck.
    Interrupt,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next request to end.
    pub(super) async fn ending(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending::Terminate,
            _ = self.interrupt.recv() => Ending::Interrupt,
        }
    }
}

/// SIGHUP, which asks for a reload.
///
/// # Errors
/// If the system refuses.
pub(super) fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
