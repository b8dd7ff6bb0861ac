//! Serves one connection: PROXY header, TLS, the choice between HTTP/1.1 and HTTP/2, and the
//! requests that follow.

use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use pingora::apps::{HttpPersistentSettings, HttpServerApp as _, ServerApp as _};
use pingora::protocols::http::server::Session as HttpSession;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{ALPN, GetSocketDigest as _, Ssl as _, Stream};
use socket2::{SockRef, Socket};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::{Connection, Permit, canonical};
use super::guarded::{GuardedStream, HeadLimits, socket_digest};
use super::listener::ListenerKind;
use super::proxy_header;
use super::tracked::Tracked;
use super::workers::Worker;
use crate::config::Config;
use crate::config::model::{Limits, Server};
use crate::metrics::Metrics;
use crate::reason::Reason;

/// How an HTTP/2 connection without TLS begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How much of a first line is looked at.
const FIRST_LINE: usize = 2048;

/// A connection that was accepted and not looked at yet.
pub struct Accepted {
    /// Its socket, registered with no runtime.
    pub socket: std::net::TcpStream,
    /// Its peer.
    pub peer: SocketAddr,
    /// The listener that it came by.
    pub listener: Arc<ListenerKind>,
    /// Its place among the open connections.
    pub permit: Permit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Serves a connection to its end.
pub async fn serve(
    accepted: Accepted,
    worker: Arc<Worker>,
    tracked: Arc<Tracked>,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
) {
    let server = &config.server;
    let Accepted { socket, peer, listener, permit } = accepted;
    metrics.connections.inc();
    let _open = Open { metrics: Arc::clone(&metrics), _permit: permit };
    // Boxed: what a handshake needs is free once it is over.
    let opened = Box::pin(open(socket, peer, &listener, tracked, server, &metrics)).await;
    match opened {
        Ok((stream, Protocol::Http1)) => http1(stream, &worker, server.limits.idle_timeout).await,
        Ok((stream, Protocol::Http2)) => {
            worker.engine.process_new(stream, &worker.draining).await;
        }
        Err(Some(reason)) => {
            metrics.refuse(reason);
            tracing::debug!(%peer, %reason, "connection refused");
        }
        // It ended before it asked for anything, as health checks and preconnects do.
        Err(None) => {}
    }
}

struct Open {
    metrics: Arc<Metrics>,
    _permit: Permit,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

async fn open(
    socket: std::net::TcpStream,
    peer: SocketAddr,
    listener: &ListenerKind,
    tracked: Arc<Tracked>,
    server: &Server,
    metrics: &Arc<Metrics>,
) -> Result<(Box<GuardedStream>, Protocol), Option<Reason>> {
    let Limits { header_bytes, header_timeout, idle_timeout, .. } = server.limits;
    let mut socket = TcpStream::from_std(socket).map_err(|_| Some(Reason::Internal))?;
    // Without it small chunks of a stream wait for the acknowledgement of the last.
    socket.set_nodelay(true).map_err(|_| None)?;
    let trusted = server.trusts(peer.ip());
    let client = client(&mut socket, peer, trusted, listener.proxy_protocol, header_timeout).await?;
    // Whoever passes connections on passes on what their clients say: it is for those to be trusted.
    let trusted = server.trusts(client.ip());
    let tls = listener.tls.is_some();
    let plain = if tls { None } else { Some(sniff(&socket, idle_timeout, header_timeout).await?) };
    let connection = Connection::new(client, trusted, tls, listener.redirect_https, tracked);
    let handle = if plain == Some(Protocol::Http1) { handle_of_old(&socket) } else { None };
    let connection = Arc::new(connection.with_socket(handle));
    let digest = socket_digest(socket.as_raw_fd(), client);
    let mut stream = L4Stream::from(socket);
    stream.set_socket_digest(digest);
    let (stream, protocol): (Stream, Protocol) = match &listener.tls {
        None => (Box::new(stream), plain.unwrap_or(Protocol::Http1)),
        Some(tls) => {
            let handshake = timeout(header_timeout, tls.acceptor.tls_handshake(stream));
            let stream = handshake.await.map_err(|_| Some(Reason::TlsHandshake))?;
            let stream = stream.map_err(|_| Some(Reason::TlsHandshake))?;
            let http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
            (Box::new(stream), if http2 { Protocol::Http2 } else { Protocol::Http1 })
        }
    };
    let limits = HeadLimits { bytes: header_bytes, timeout: header_timeout };
    let guarded = GuardedStream::new(stream, connection, limits, Arc::clone(metrics));
    let mut guarded = guarded.map_err(|_| Some(Reason::Internal))?;
    if protocol == Protocol::Http2 {
        guarded.expect_preface(PREFACE.len());
    }
    Ok((Box::new(guarded), protocol))
}

/// The client of a connection. On listeners with the PROXY protocol it is named by the header,
/// which only trusted peers may send, and must.
async fn client(
    socket: &mut TcpStream,
    peer: SocketAddr,
    trusted: bool,
    proxy_protocol: bool,
    within: Duration,
) -> Result<SocketAddr, Option<Reason>> {
    if !proxy_protocol {
        return Ok(SocketAddr::new(canonical(peer.ip()), peer.port()));
    }
    if !trusted {
        return Err(Some(Reason::ProxyHeader));
    }
    match timeout(within, proxy_header::read(socket)).await {
        Ok(Ok(named)) => Ok(named.unwrap_or(peer)),
        Ok(Err(proxy_header::ProxyHeaderError::Io(_))) => Err(None),
        Ok(Err(_)) | Err(_) => Err(Some(Reason::ProxyHeader)),
    }
}

/// Tells HTTP/2 with prior knowledge from HTTP/1.1 by its first bytes, without consuming them.
async fn sniff(socket: &TcpStream, idle: Duration, within: Duration) -> Result<Protocol, Option<Reason>> {
    let mut seen = [0; PREFACE.len()];
    let first = timeout(idle, socket.peek(&mut seen)).await;
    let first = first.map_err(|_| None)?.map_err(|_| None)?;
    let preface = async {
        let mut count = first;
        loop {
            let bytes = seen.get(..count).unwrap_or_default();
            if count == 0 || !PREFACE.starts_with(bytes) {
                return Ok(Protocol::Http1);
            }
            if count == PREFACE.len() {
                return Ok(Protocol::Http2);
            }
            // It takes a client that sends its preface in pieces to get here. What was peeked stays readable: only
            // what comes after it is waited for.
            let nothing_new = || Err::<(), _>(std::io::ErrorKind::WouldBlock.into());
            let _forgotten = socket.try_io(Interest::READABLE, nothing_new);
            let ready = socket.ready(Interest::READABLE).await.map_err(|_| None)?;
            let more = socket.peek(&mut seen).await.map_err(|_| None)?;
            if more == count && ready.is_read_closed() {
                return Ok(Protocol::Http1);
            }
            count = more;
        }
    };
    timeout(within, preface).await.unwrap_or(Err(Some(Reason::HeaderTimeout)))
}

/// Another handle on the socket of a client whose first line, as far as it is there, says HTTP/1.0.
fn handle_of_old(socket: &TcpStream) -> Option<Socket> {
    let mut seen = [0; FIRST_LINE];
    let count = socket.peek(&mut seen).now_or_never()?.ok()?;
    let line = seen.get(..count)?.split(|byte| *byte == b'\n').next()?;
    line.trim_ascii_end().ends_with(b" HTTP/1.0").then(|| SockRef::from(socket).try_clone().ok()).flatten()
}

/// Serves the requests of an HTTP/1.1 connection one after the other.
async fn http1(stream: Box<GuardedStream>, worker: &Worker, idle: Duration) {
    let connection = stream.connection();
    let idle = (!*worker.draining.borrow()).then(|| idle.as_secs().max(1));
    let mut next: (Stream, Kept) = (stream, Kept::First { idle });
    loop {
        connection.expect_head();
        // Made where it is given away: while it is served, nothing of it is kept here.
        let served = worker.engine.process_new_http(session(next), &worker.draining);
        let Some(reused) = served.await else { return };
        let (stream, settings) = reused.consume();
        next = (stream, Kept::Reused(settings));
    }
}

/// What a connection's next session is made with.
enum Kept {
    /// Seconds that it may be idle, if it may go on at all.
    First { idle: Option<u64> },
    /// What the last one left.
    Reused(Option<HttpPersistentSettings>),
}

fn session((stream, kept): (Stream, Kept)) -> HttpSession {
    let mut session = HttpSession::new_http1(stream);
    match kept {
        Kept::First { idle } => session.set_keepalive(idle),
        Kept::Reused(Some(settings)) => settings.apply_to_session(&mut session),
        Kept::Reused(None) => {}
    }
    session
}
