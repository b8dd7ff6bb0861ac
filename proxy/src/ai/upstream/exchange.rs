//! One exchange with a provider: connect, send, read. Timeouts are the caller's.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::header::TRANSFER_ENCODING;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorType, RetryType};
use thiserror::Error;
use tokio::time::{Instant, timeout};

use super::joined::JoinedStream;
use super::{Client, is_http1, peer};
use crate::ai::snapshot::Destination;

/// Connections that no pool may answer for: each gets a group of its own.
static FRESH: AtomicU64 = AtomicU64::new(1);

/// How soon after the request a pooled connection ends that was closed before it came: what is under way then takes a
/// round trip. One that ends later may have had the request, and begun to work on it.
const PROMPT: Duration = Duration::from_secs(1);

/// What does not come by then is not worth the connection.
const SOON: Duration = Duration::from_millis(50);

/// So much of a body is sent at once: the provider has its time for each part, however much it is sent in all.
const PART: usize = 64 << 10;

/// How an exchange fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// No address of the provider accepts a connection.
    #[error("no connection")]
    Connect,
    /// None did so in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The connection came from the pool and the provider had closed it before it saw the request.
    #[error("stale connection")]
    Stale,
    /// The connection broke.
    #[error("connection reset")]
    Reset,
    /// Nothing came in time.
    #[error("no answer in time")]
    Silent,
    /// What came is no HTTP.
    #[error("malformed response")]
    Malformed,
}

/// An exchange over one connection or stream. To be [released](Upstream::release), whatever becomes
/// of it: other streams may share the connection.
pub struct Upstream {
    session: HttpSession,
    peer: HttpPeer,
    reused: bool,
    /// When the request was sent whole.
    sent: Option<Instant>,
    /// The head of the response was read; before, nothing can be said of its body.
    answered: bool,
    /// Not all of the request was sent: what follows on the connection would be taken for it.
    unsent: bool,
    /// The provider took nothing more.
    stuck: bool,
    /// A failure was seen, and is not to be taken for the end at the next read.
    broken: bool,
}

impl Client {
    /// Connects to a target, over the pool unless `fresh`.
    ///
    /// # Errors
    /// If none of its addresses accepts.
    pub async fn connect(&self, to: &Destination, fresh: bool) -> Result<Box<Upstream>, ExchangeError> {
        let (provider, connect) = (&to.target.provider, to.target.timeouts.connect);
        let resolved = self.resolver.resolve(&provider.base.host, provider.base.port, connect).await;
        let addresses = resolved.map_err(|error| {
            tracing::debug!(provider = %provider.name, %error, "the provider's host can't be resolved");
            match error.kind() {
                io::ErrorKind::TimedOut => ExchangeError::ConnectTimeout,
                _ => ExchangeError::Connect,
            }
        })?;
        let mut failed = ExchangeError::Connect;
        for address in addresses.iter() {
            let mut peer = peer::peer(provider, *address, connect, to.authorities.as_ref());
            let (group, idle) = (peer.group_key, peer.options.idle_timeout);
            if fresh {
                peer.group_key ^= FRESH.fetch_add(1, Ordering::Relaxed).rotate_right(16);
                // By that nobody finds it again.
                peer.options.idle_timeout = Some(Duration::ZERO);
            }
            match self.session(&peer).await {
                Ok((session, reused)) => {
                    if session.as_http2().is_none() {
                        // One of HTTP/2 is in the pool already, as it was asked for.
                        (peer.group_key, peer.options.idle_timeout) = (group, idle);
                    }
                    return Ok(Box::new(Upstream::new(session, peer, reused)));
                }
                Err(error) => {
                    tracing::debug!(provider = %provider.name, %address, %error, "no connection");
                    failed = match error.etype() {
                        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => {
                            ExchangeError::ConnectTimeout
                        }
                        _ => ExchangeError::Connect,
                    };
                }
            }
        }
        Err(failed)
    }
}

impl Upstream {
    fn new(session: HttpSession, peer: HttpPeer, reused: bool) -> Self {
        Self {
            session,
            peer,
            reused,
            sent: None,
            answered: false,
            unsent: false,
            stuck: false,
            broken: false,
        }
    }

    /// Sends a request whole. A provider that answers before it has read all may break the
    /// connection; what it said is then still there to be read.
    ///
    /// # Errors
    /// If the head could not be sent.
    pub async fn send(&mut self, head: RequestHeader, body: &[Bytes]) -> Result<(), ExchangeError> {
        if let (HttpSession::H1(session), true) = (&self.session, body.iter().any(|piece| !piece.is_empty()))
        {
            JoinedStream::hold_head(session.stream());
        }
        self.send_head(head).await?;
        let sent = self.send_body(body).await;
        self.sent = Some(Instant::now());
        sent
    }

    async fn send_body(&mut self, body: &[Bytes]) -> Result<(), ExchangeError> {
        if body.is_empty() && self.session.as_http2().is_none() {
            return Ok(());
        }
        let sent = async {
            // A piece without bytes would end a chunked body.
            for piece in body.iter().filter(|piece| !piece.is_empty()) {
                let mut left = piece.clone();
                while !left.is_empty() {
                    let part = left.split_to(left.len().min(PART));
                    self.session.write_request_body(part, false).await?;
                }
            }
            self.session.finish_request_body().await
        };
        match sent.await {
            Ok(()) => Ok(()),
            Err(error) if self.reused && error.etype() == &ErrorType::WriteError => Err(ExchangeError::Stale),
            Err(error) => {
                self.not_sent(&error);
                Ok(())
            }
        }
    }

    fn not_sent(&mut self, error: &pingora::Error) {
        tracing::debug!(%error, "the request was not read to its end");
        self.unsent = true;
        self.stuck |= error.etype() == &ErrorType::WriteTimedout;
    }

    /// Sends the head alone; the body follows piece by piece.
    ///
    /// # Errors
    /// If it could not be sent.
    pub async fn send_head(&mut self, mut head: RequestHeader) -> Result<(), ExchangeError> {
        if self.session.as_http2().is_some() {
            // Its frames say where a body ends (RFC 9113, 8.2.2).
            head.remove_header(&TRANSFER_ENCODING);
        }
        self.session.set_write_timeout(self.peer.options.write_timeout);
        let sent = self.session.write_request_header(Box::new(head)).await;
        sent.map_err(|error| self.error(&error))
    }

    /// Sends a piece of the body; `false` if the provider takes no more.
    pub async fn send_piece(&mut self, piece: Bytes) -> bool {
        // A chunk without bytes would end the body.
        if piece.is_empty() {
            return true;
        }
        let sent = self.session.write_request_body(piece, false).await;
        sent.map_err(|error| self.not_sent(&error)).is_ok()
    }

    /// Ends the body.
    pub async fn send_end(&mut self) -> bool {
        let sent = self.session.finish_request_body().await;
        sent.map_err(|error| self.not_sent(&error)).is_ok()
    }

    /// Reads the head of the response; interim ones are left out.
    ///
    /// # Errors
    /// If none comes.
    pub async fn read_head(&mut self) -> Result<Box<ResponseHeader>, ExchangeError> {
        if !self.stuck {
            return self.next_head().await;
        }
        // It may have answered before, but won't any more.
        timeout(SOON, self.next_head()).await.unwrap_or(Err(ExchangeError::Silent))
    }

    async fn next_head(&mut self) -> Result<Box<ResponseHeader>, ExchangeError> {
        loop {
            if let Err(error) = self.session.read_response_header().await {
                return Err(self.error(&error));
            }
            let head = self.session.response_header().ok_or(ExchangeError::Malformed)?;
            if !head.status.is_informational() {
                self.answered = true;
                return Ok(Box::new(head.clone()));
            }
            if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
                return Err(ExchangeError::Malformed);
            }
        }
    }

    /// Reads what has come of the body. `None` at its end. May be dropped and called again.
    ///
    /// # Errors
    /// If it breaks off.
    pub async fn read(&mut self) -> Result<Option<Bytes>, ExchangeError> {
        if self.broken {
            return Err(ExchangeError::Reset);
        }
        match self.session.read_response_body().await {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) if self.ended_well() => Ok(None),
            Ok(None) => {
                self.broken = true;
                Err(ExchangeError::Reset)
            }
            Err(error) => {
                tracing::debug!(%error, "the provider's answer broke off");
                self.broken = true;
                Err(ExchangeError::Reset)
            }
        }
    }

    /// What has come already, without waiting.
    ///
    /// # Errors
    /// If it breaks off.
    pub fn read_now(&mut self) -> Option<Result<Option<Bytes>, ExchangeError>> {
        self.read().now_or_never()
    }

    /// A stream of HTTP/2 that was reset looks as if it had ended, until it is asked.
    fn ended_well(&mut self) -> bool {
        match &mut self.session {
            HttpSession::H2(session) => session.check_response_end_or_error().unwrap_or(false),
            _ => true,
        }
    }

    /// Gives the connection back, if its exchange is complete; else ends it.
    pub async fn release(mut self: Box<Self>, client: &Client) {
        if self.can_be_kept() {
            let Self { session, peer, .. } = *self;
            if let HttpSession::H1(session) = session {
                // Where the connection is kept this waits for nothing.
                client.keep(session.reuse().now_or_never().flatten(), &peer);
            }
            return;
        }
        // To end TLS means to send what is left, which a provider that takes nothing would hold up for good.
        // Boxed: a call that waits, for whatever else, has no room for this in its future.
        let _late = Box::pin(timeout(SOON, self.end(client))).await;
    }

    async fn end(mut self: Box<Self>, client: &Client) {
        let complete = self.is_complete();
        if !complete {
            self.session.shutdown().await;
        }
        // Others may have streams on a connection of HTTP/2; one of HTTP/1.1 is over.
        if complete || self.session.as_http2().is_some() {
            let Self { session, peer, .. } = *self;
            client.release(session, &peer).await;
        }
    }

    /// Reads to the end what is left of an answer, if it comes soon, and gives the connection back.
    pub async fn finish(mut self: Box<Self>, client: &Client) {
        if self.answered && !self.broken && !self.session.response_done() {
            let rest = async { while let Ok(Some(_)) = self.read().await {} };
            let _late = timeout(SOON, rest).await;
        }
        self.release(client).await;
    }

    /// Whether it is a connection of HTTP/1.1 that stays open.
    fn can_be_kept(&mut self) -> bool {
        let complete = self.is_complete();
        match &mut self.session {
            HttpSession::H1(session) if complete && is_http1(&self.peer) => {
                session.respect_keepalive();
                session.will_keepalive()
            }
            _ => false,
        }
    }

    fn is_complete(&mut self) -> bool {
        self.answered && !self.unsent && !self.broken && self.session.response_done()
    }

    fn error(&mut self, error: &pingora::Error) -> ExchangeError {
        self.broken = true;
        let prompt = self.sent.is_none_or(|sent| sent.elapsed() < PROMPT);
        let stale = match error.retry {
            // The provider says that it did nothing.
            RetryType::Decided(unheard) => unheard,
            RetryType::ReusedOnly => prompt,
        };
        if self.reused && (error.etype() == &ErrorType::WriteError || stale) {
            return ExchangeError::Stale;
        }
        match error.etype() {
            ErrorType::InvalidHTTPHeader => ExchangeError::Malformed,
            _ => ExchangeError::Reset,
        }
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
