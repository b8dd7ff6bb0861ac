//! The accept loop of one listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connection::Limiter;
use super::listener::{BoundListener, ListenerKind};
use super::refusal::refusal;
use super::serve::{Accepted, serve};
use super::workers::Workers;
use crate::metrics::Metrics;
use crate::plane::Plane;
use crate::reason::Reason;

/// The wait after a failed accept, which is nearly always for want of file descriptors.
const BACKOFF: Duration = Duration::from_millis(50);

/// What every accept loop shares.
pub struct Acceptor {
    /// Where connections are served.
    pub workers: Arc<Workers>,
    /// Bounds them.
    pub limiter: Arc<Limiter>,
    /// Holds the configuration of the moment.
    pub plane: Arc<Plane>,
    /// Counts what is refused.
    pub metrics: Arc<Metrics>,
}

impl Acceptor {
    /// Accepts until told to stop, then takes what the kernel has queued and closes the socket.
    ///
    /// # Errors
    /// If the socket can't be used at all.
    pub async fn run(&self, listener: BoundListener, stop: CancellationToken) -> io::Result<()> {
        let BoundListener { socket, addr, kind } = listener;
        let socket = TcpListener::from_std(socket)?;
        tracing::info!(%addr, tls = kind.tls.is_some(), "listening");
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer, &kind),
                Err(error) => {
                    tracing::warn!(%addr, %error, "accept failed");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
        // Whoever is in the queue has connected: closing now would reset them.
        while let Some(Ok((stream, peer))) = socket.accept().now_or_never() {
            self.take(stream, peer, &kind);
        }
        Ok(())
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, listener: &Arc<ListenerKind>) {
        let config = self.plane.config();
        let Some(permit) = self.limiter.admit(config.server.limits.connections) else {
            self.refuse(stream, listener);
            return;
        };
        // Registered with the runtime of the worker that serves it, not with this one.
        let Ok(socket) = stream.into_std() else { return };
        let accepted = Accepted { socket, peer, listener: Arc::clone(listener), permit };
        let metrics = Arc::clone(&self.metrics);
        self.workers.spawn(|worker, tracked| serve(accepted, worker, tracked, config, metrics));
    }

    fn refuse(&self, mut stream: TcpStream, listener: &ListenerKind) {
        self.metrics.refuse(Reason::ConnectionLimit);
        if listener.tls.is_none() {
            // A new socket takes this much at once; if not, closing says enough.
            let _sent = stream.write_all(&refusal(Reason::ConnectionLimit)).now_or_never();
        }
    }
}
