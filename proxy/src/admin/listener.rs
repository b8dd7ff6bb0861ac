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
use tokio::time::{Instant, Sleep, sleep};
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
/// How long a connection may be without an answer: to a request that trickles in too.
const IDLE: Duration = Duration::from_secs(60);

/// Accepts connections of the admin API.
pub(super) struct AdminListener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<(Io, SocketAddr)>>>,
    limiter: Arc<Limiter>,
}

/// One connection.
pub(super) struct Io<T = Transport> {
    stream: Pin<Box<TimeoutStream<T>>>,
    deadline: Pin<Box<Sleep>>,
    peer: Peer,
    _permit: Permit,
}

pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whoever asks.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    /// Whether it asked for an answer that may pause for long.
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

    /// Its answer may pause from now on.
    pub(super) fn may_be_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }
}

impl<T: AsyncRead + AsyncWrite> Io<T> {
    fn new(transport: T, addr: SocketAddr, permit: Permit) -> Self {
        let mut stream = TimeoutStream::new(transport);
        stream.set_write_timeout(Some(IDLE));
        Self {
            stream: Box::pin(stream),
            deadline: Box::pin(sleep(IDLE)),
            peer: Peer::new(addr),
            _permit: permit,
        }
    }
}

impl<T: AsyncRead + AsyncWrite> AsyncRead for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.peer.silent.load(Ordering::Relaxed) && this.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        this.stream.as_mut().poll_read(context, buffer)
    }
}

impl<T: AsyncRead + AsyncWrite> AsyncWrite for Io<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.deadline.as_mut().reset(Instant::now() + IDLE);
        this.stream.as_mut().poll_write(context, bytes)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_an_answer_gives_more_time() {
        let (mut client, server) = duplex(64);
        let permit = Limiter::new().admit(1).unwrap();
        let mut io = Io::new(server, ([127, 0, 0, 1], 1).into(), permit);
        let trickle = async {
            loop {
                sleep(IDLE / 4).await;
                client.write_all(b"a").await.unwrap();
            }
        };
        let serve = async {
            assert_eq!(io.read_u8().await.unwrap(), b'a');
            io.write_all(b"answer").await.unwrap();
            let answered = Instant::now();
            while io.read_u8().await.is_ok() {}
            assert!((IDLE..IDLE * 2).contains(&answered.elapsed()));
        };
        tokio::select! {
            () = trickle => {}
            () = serve => {}
        }
    }
}
