//! A connection to a provider on which the head of a request leaves together with its body. Pingora flushes between
//! the two, which costs a system call and a packet of its own.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::gathered::Gathered;

/// What is longer gains nothing by being copied.
const MOST: usize = 16 * 1024;

/// A connection that can hold a head back until its body is there.
pub(crate) struct JoinedStream {
    inner: Stream,
    /// The next flush is that of a head whose body follows.
    body_follows: AtomicBool,
    /// What is held back, or being written.
    held: Gathered,
}

impl JoinedStream {
    pub(crate) fn new(inner: Stream) -> Self {
        Self { inner, body_follows: AtomicBool::new(false), held: Gathered::default() }
    }

    /// Has the head that is sent next wait for the body, which must follow.
    pub(crate) fn hold_head(stream: &Stream) {
        if let Some(joined) = (**stream).as_any().downcast_ref::<Self>() {
            joined.body_follows.store(true, Relaxed);
        }
    }

    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.poll_write(context, &mut self.inner)
    }
}

impl AsyncRead for JoinedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for JoinedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let joins = !self.held.is_empty() || self.body_follows.load(Relaxed);
        if joins && self.held.has_room(bytes.len(), MOST) {
            self.held.push(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_held(context))?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.body_follows.swap(false, Relaxed) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_held(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for JoinedStream {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl UniqueID for JoinedStream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for JoinedStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for JoinedStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        // Nothing reads it, and it would be made anew for each request.
        Vec::new()
    }
}

impl GetProxyDigest for JoinedStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for JoinedStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

/// Nobody looks ahead on a connection to a provider.
impl Peek for JoinedStream {}

impl fmt::Debug for JoinedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinedStream").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn connection() -> (Stream, DuplexStream) {
        let (ours, theirs) = duplex(1 << 20);
        (Box::new(JoinedStream::new(Box::new(ours))), theirs)
    }

    async fn send(stream: &mut Stream, bytes: &[u8]) {
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
    }

    /// What has arrived.
    fn arrived(theirs: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let count = theirs.read(&mut bytes).now_or_never().map_or(0, Result::unwrap);
        bytes.truncate(count);
        bytes
    }

    #[tokio::test]
    async fn a_head_waits_for_its_body_once() {
        let (mut stream, mut theirs) = connection();
        for body in ["body", "another"] {
            JoinedStream::hold_head(&stream);
            send(&mut stream, b"head ").await;
            assert_eq!(arrived(&mut theirs), b"");
            send(&mut stream, body.as_bytes()).await;
            assert_eq!(arrived(&mut theirs), format!("head {body}").as_bytes());
            send(&mut stream, b"a head alone").await;
            assert_eq!(arrived(&mut theirs), b"a head alone");
        }
    }

    #[tokio::test]
    async fn a_long_body_follows_its_head() {
        let (mut stream, mut theirs) = connection();
        JoinedStream::hold_head(&stream);
        send(&mut stream, b"head").await;
        let body = vec![7; 2 * MOST];
        send(&mut stream, &body).await;
        assert_eq!(arrived(&mut theirs), [b"head", &body[..]].concat());
    }

    #[tokio::test]
    async fn a_provider_that_takes_little_at_a_time_gets_all() {
        let (ours, mut theirs) = duplex(3);
        let mut stream: Stream = Box::new(JoinedStream::new(Box::new(ours)));
        JoinedStream::hold_head(&stream);
        let sending = async {
            send(&mut stream, b"the head, ").await;
            send(&mut stream, b"its body, ").await;
            send(&mut stream, b"more").await;
        };
        let mut all = Vec::new();
        let reading = async {
            let mut piece = [0; 2];
            while all.len() < 24 {
                let count = theirs.read(&mut piece).await.unwrap();
                all.extend_from_slice(&piece[..count]);
            }
        };
        tokio::join!(sending, reading);
        assert_eq!(all, b"the head, its body, more");
    }
}
