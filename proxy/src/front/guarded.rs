//! The stream between a socket (or its TLS session) and Pingora's HTTP engine. It gathers the
//! small writes of a response head and body into one, and while a request head is being read it
//! enforces a deadline and a size that Pingora does not have.

use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Connection;
use super::refusal::refusal;
use super::request_line::RequestLine;
use crate::gathered::Gathered;
use crate::metrics::Metrics;
use crate::reason::Reason;

/// The most fields that Pingora takes in the head of a request.
const MAX_FIELDS: usize = 256;
/// A response head and the beginning of its body leave together up to here.
const MOST_GATHERED: usize = 4096;

/// What bounds the head of a request.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes.
    pub bytes: usize,
    /// From its first byte to its last.
    pub timeout: Duration,
}

/// A client connection as Pingora sees it.
pub struct GuardedStream {
    inner: Stream,
    /// What was written and has not left.
    gathered: Gathered,
    connection: Arc<Connection>,
    digest: Arc<ProxyDigest>,
    metrics: Arc<Metrics>,
    limits: HeadLimits,
    /// Bytes of the head so far.
    head_bytes: usize,
    /// Lines of it so far.
    head_lines: usize,
    line: RequestLine,
    /// Whether Pingora may hold bytes of the next head already: its line is not ours to judge then.
    surplus: bool,
    /// Made only for heads that do not arrive in one piece, and for the preface of HTTP/2.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes of the preface of HTTP/2 that have not come.
    preface_left: usize,
}

impl GuardedStream {
    /// Guards a connection.
    ///
    /// # Errors
    /// If Pingora's digest can't be built.
    pub fn new(
        stream: Stream,
        connection: Arc<Connection>,
        limits: HeadLimits,
        metrics: Arc<Metrics>,
    ) -> pingora::Result<Self> {
        let digest = connection.digest()?;
        Ok(Self {
            inner: stream,
            gathered: Gathered::default(),
            connection,
            digest,
            metrics,
            limits,
            head_bytes: 0,
            head_lines: 0,
            line: RequestLine::default(),
            surplus: false,
            deadline: None,
            preface_left: 0,
        })
    }

    /// Gives the preface of HTTP/2, of so many bytes, as long as a head: Pingora would wait for it for ever.
    pub fn expect_preface(&mut self, bytes: usize) {
        self.preface_left = bytes;
        self.deadline = Some(Box::pin(sleep(self.limits.timeout)));
    }

    /// Reads what is not the head of an HTTP/1 request.
    fn poll_read_on(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer)?;
        let count = buffer.filled().len() - before;
        if self.preface_left > 0 {
            self.preface_left = self.preface_left.saturating_sub(count);
            if self.preface_left == 0 {
                self.deadline = None;
            } else if let Some(deadline) = &mut self.deadline
                && deadline.as_mut().poll(context).is_ready()
            {
                self.metrics.refuse(Reason::HeaderTimeout);
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
        }
        read.map(|()| Ok(count))
    }

    /// The connection that it guards.
    #[must_use]
    pub fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Whether the head may go on: an answer if it is too large or too late.
    fn check_head(&mut self, context: &mut Context<'_>) -> Option<Reason> {
        if self.head_bytes >= self.limits.bytes {
            return Some(Reason::HeaderTooLarge);
        }
        if self.head_bytes == 0 {
            return None;
        }
        let timeout = self.limits.timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(timeout)));
        deadline.as_mut().poll(context).is_ready().then_some(Reason::HeaderTimeout)
    }

    /// Answers as well as the socket takes it at once, then fails the connection.
    fn refuse(&mut self, context: &mut Context<'_>, reason: Reason) -> io::Error {
        self.metrics.refuse(reason);
        self.connection.head_complete();
        if self.poll_gather(context, &refusal(reason)).is_ready() {
            // The client is misbehaving: whether this reaches it is its own affair.
            let _sent = Pin::new(&mut *self).poll_flush(context);
            let _closed = Pin::new(&mut *self).poll_shutdown(context);
        }
        io::Error::new(ErrorKind::TimedOut, reason.as_str())
    }

    /// Whether so many bytes may be gathered, for which what was gathered before may have to leave first; else they
    /// are to be written at once.
    fn poll_room(&mut self, context: &mut Context<'_>, more: usize) -> Poll<io::Result<bool>> {
        if !self.gathered.has_room(more, MOST_GATHERED) {
            ready!(self.gathered.poll_write(context, &mut self.inner))?;
        }
        Poll::Ready(Ok(self.gathered.has_room(more, MOST_GATHERED)))
    }

    fn poll_gather(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_room(context, bytes.len()))? {
            return Pin::new(&mut self.inner).poll_write(context, bytes);
        }
        self.gathered.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// The reason behind an answer that Pingora gives by itself to a head that it can't accept, which does not name
    /// it.
    fn refused_by_pingora(&self, written: &[u8]) -> Option<Reason> {
        if !self.connection.is_reading_head() || !written.starts_with(b"HTTP/1.1 4") {
            return None;
        }
        Some(match written.get(9..12) {
            Some(b"405") => Reason::MethodNotAllowed,
            _ if self.head_lines > MAX_FIELDS => Reason::HeaderTooLarge,
            _ => Reason::BadRequest,
        })
    }
}

/// What belongs to the head of what was read while one was expected, and whether something follows it.
fn head_of(read: &[u8]) -> (&[u8], bool) {
    let end = read.windows(4).position(|window| window == b"\r\n\r\n").map_or(read.len(), |end| end + 4);
    (read.get(..end).unwrap_or_default(), end < read.len())
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.gathered.is_empty() {
            // Whoever reads has nothing to write at the moment: what is gathered leaves now, or a
            // response that comes in pieces would wait for its end.
            if let Poll::Ready(Err(error)) = Pin::new(&mut *this).poll_flush(context) {
                return Poll::Ready(Err(error));
            }
        }
        let before = buffer.filled().len();
        if !this.connection.is_reading_head() {
            this.surplus |= ready!(this.poll_read_on(context, buffer))? > 0;
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = this.check_head(context) {
            return Poll::Ready(Err(this.refuse(context, reason)));
        }
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if this.head_bytes == 0 {
            this.line = if this.surplus { RequestLine::seen() } else { RequestLine::default() };
            this.head_lines = 0;
            this.surplus = false;
        }
        let (head, more) = head_of(read);
        this.surplus |= more;
        this.head_lines += head.iter().filter(|byte| **byte == b'\n').count();
        this.head_bytes += read.len();
        if !this.line.feed(read) {
            return Poll::Ready(Err(this.refuse(context, Reason::BadRequest)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(reason) = this.refused_by_pingora(buffer) {
            ready!(this.poll_gather(context, &refusal(reason)))?;
            this.connection.head_complete();
            this.metrics.refuse(reason);
            return Poll::Ready(Ok(buffer.len()));
        }
        this.head_bytes = 0;
        if this.preface_left == 0 {
            this.deadline = None;
        }
        this.poll_gather(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.gathered.poll_write(context, &mut this.inner))?;
        Pin::new(&mut this.inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.gathered.poll_write(context, &mut this.inner))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        if !ready!(this.poll_room(context, length))? {
            return Pin::new(&mut this.inner).poll_write_vectored(context, buffers);
        }
        buffers.iter().for_each(|buffer| this.gathered.push(buffer));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for GuardedStream {
    async fn shutdown(&mut self) {
        if self.flush().await.is_ok() && !self.connection.is_unfinished() {
            Shutdown::shutdown(&mut *self.inner).await;
        }
    }
}

impl UniqueID for GuardedStream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for GuardedStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for GuardedStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        // Nothing reads it, and it would be made anew for each request.
        Vec::new()
    }
}

impl GetProxyDigest for GuardedStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetSocketDigest for GuardedStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

/// The preface of HTTP/2 is told apart before Pingora sees the stream, so it need not peek.
impl Peek for GuardedStream {}

impl fmt::Debug for GuardedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStream").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// The digest of a socket whose peer is known already, or is another than the kernel says.
#[must_use]
pub fn socket_digest(socket: std::os::fd::RawFd, client: std::net::SocketAddr) -> SocketDigest {
    let digest = SocketDigest::from_raw_fd(socket);
    // The cell is new: nothing else has filled it.
    let _empty = digest.peer_addr.set(Some(SocketAddr::Inet(client)));
    digest
}
