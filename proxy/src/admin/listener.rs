//! The socket of the admin API, with TLS if it is configured. Handshakes run beside each other, so
//! that a client which begins one and goes away holds nobody up.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::front::BoundListener;

/// The wait after a failed accept.
const BACKOFF: Duration = Duration::from_millis(50);
/// The longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes that may run at once; what comes then waits in the kernel's queue.
const MAX_HANDSHAKES: usize = 64;

/// Accepts connections of the admin API.
pub(super) struct AdminListener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<(Io, SocketAddr)>>>,
}

/// One connection.
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The address of whoever asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl AdminListener {
    pub(super) fn new(bound: BoundListener) -> io::Result<Self> {
        let tls = bound.kind.tls.as_ref().map(|tls| {
            let certificates = Arc::clone(&tls.certificates);
            let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificates);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        Ok(Self { socket: TcpListener::from_std(bound.socket)?, tls, handshakes: FuturesUnordered::new() })
    }

    async fn accept_tcp(socket: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            match socket.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed on the admin listener");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    }
}

impl Listener for AdminListener {
    type Io = Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Io, SocketAddr) {
        let Some(tls) = &self.tls else {
            let (stream, peer) = Self::accept_tcp(&self.socket).await;
            return (Io::Plain(stream), peer);
        };
        loop {
            tokio::select! {
                Some(shaken) = self.handshakes.next() => if let Some(connection) = shaken { return connection },
                (stream, peer) = Self::accept_tcp(&self.socket), if self.handshakes.len() < MAX_HANDSHAKES => {
                    let handshake = tls.accept(stream);
                    self.handshakes.push(Box::pin(async move {
                        let stream = tokio::time::timeout(HANDSHAKE, handshake).await.ok()?.ok()?;
                        Some((Io::Tls(Box::new(stream)), peer))
                    }));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl Connected<IncomingStream<'_, AdminListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, AdminListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
