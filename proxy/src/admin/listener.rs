//! The socket of the admin API, with TLS if it is configured. Handshakes run beside each other, so
//! that a client which begins one and goes away holds nobody up.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::front::BoundListener;
use crate::front::connection::{Limiter, Permit};

/// The wait after a failed accept.
const BACKOFF: Duration = Duration::from_millis(50);
/// The longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes that may run at once; what comes then waits in the kernel's queue.
const MAX_HANDSHAKES: usize = 64;
/// Connections that may be open at once; what comes then is closed.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection may be without a byte, while a request is read or between two.
const IDLE: Duration = Duration::from_secs(60);

/// Accepts connections of the admin API.
pub(super) struct AdminListener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<(Io, SocketAddr)>>>,
    limiter: Arc<Limiter>,
}

/// One connection.
pub(super) struct Io {
    stream: Pin<Box<TimeoutStream<Transport>>>,
    peer: Peer,
    _permit: Permit,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whoever asks.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    /// Whether it asked for an answer during which it need not say anything.
    silent: Arc<AtomicBool>,
}

impl AdminListener {
    pub(super) fn new(bound: BoundListener) -> io::Result<Self> {
        let tls = bound.kind.tls.as_ref().map(|tls| {
            let certificates = Arc::clone(&tls.certificates);
            let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificates);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        let socket = TcpListener::from_std(bound.socket)?;
        Ok(Self { socket, tls, handshakes: FuturesUnordered::new(), limiter: Limiter::new() })
    }

    async fn accept_tcp(socket: &TcpListener, limiter: &Arc<Limiter>) -> (TcpStream, SocketAddr, Permit) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => match limiter.admit(MAX_CONNECTIONS) {
                    Some(permit) => return (stream, peer, permit),
                    None => tracing::warn!(%peer, "too many connections on the admin listener"),
                },
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
            let (stream, peer, permit) = Self::accept_tcp(&self.socket, &self.limiter).await;
            return (Io::new(Transport::Plain(stream), peer, permit), peer);
        };
        loop {
            tokio::select! {
                Some(shaken) = self.handshakes.next() => if let Some(connection) = shaken { return connection },
                (stream, peer, permit) = Self::accept_tcp(&self.socket, &self.limiter),
                    if self.handshakes.len() < MAX_HANDSHAKES => {
                    let handshake = tls.accept(stream);
                    self.handshakes.push(Box::pin(async move {
                        let stream = tokio::time::timeout(HANDSHAKE, handshake).await.ok()?.ok()?;
                        Some((Io::new(Transport::Tls(Box::new(stream)), peer, permit), peer))
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
        stream.io().peer.clone()
    }
}

impl Peer {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Self { addr, silent: Arc::default() }
    }

    /// It may be without a byte of its own from now on.
    pub(super) fn may_be_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }
}

impl Io {
    fn new(transport: Transport, addr: SocketAddr, permit: Permit) -> Self {
        let mut stream = TimeoutStream::new(transport);
        stream.set_read_timeout(Some(IDLE));
        stream.set_write_timeout(Some(IDLE));
        Self { stream: Box::pin(stream), peer: Peer::new(addr), _permit: permit }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut stream = this.stream.as_mut();
        if this.peer.silent.load(Ordering::Relaxed) && stream.read_timeout().is_some() {
            stream.as_mut().set_read_timeout_pinned(None);
        }
        stream.poll_read(context, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_shutdown(context)
    }
}

impl AsyncRead for Transport {
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

impl AsyncWrite for Transport {
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
