//! The client of a call: reads its body, watches whether it is still there, and writes its answer.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Version};
use pingora::ErrorType;
use pingora::http::ResponseHeader;
use pingora::protocols::http::server::Session;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::ai::errors::{self, ApiError};
use crate::ai::gateway::Gateway;
use crate::ai::route::Endpoint;
use crate::front::BEFORE_RESET;

/// A write may take this long when the process ends: a client that reads nothing would hold it up.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// The client went away, or stopped reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Why a piece was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// The client went away.
    Gone,
    /// The client takes nothing. Half of the piece may be written.
    Slow,
    /// The process ends while the client takes nothing. Half of the piece may be written, so that nothing can follow.
    Ending,
}

/// The client of one call.
pub(crate) struct Client<'s> {
    session: &'s mut Session,
    gateway: &'s Gateway,
    id: Ulid,
    /// Whether all of the request was read.
    read: bool,
    /// How long the client may send nothing of a body.
    idle: Option<Duration>,
    /// The head of the answer, once it was sent.
    pub(crate) sent: Option<HeaderMap>,
}

impl<'s> Client<'s> {
    pub(crate) fn new(session: &'s mut Session, gateway: &'s Gateway, id: Ulid) -> Self {
        Self { session, gateway, id, read: false, idle: None, sent: None }
    }

    /// The same, which may send nothing of its body for so long. On HTTP/1.1 the session sees to it, on HTTP/2 nobody.
    pub(crate) fn idle_for(self, idle: Duration) -> Self {
        let idle = self.session.is_http2().then_some(idle);
        Self { idle, ..self }
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.session.is_http2()
    }

    fn is_head(&self) -> bool {
        self.session.req_header().method == Method::HEAD
    }

    /// Reads the next piece of the request's body.
    pub(crate) async fn read(&mut self) -> pingora::Result<Option<Bytes>> {
        let read = self.session.read_request_body();
        let read = match self.idle {
            Some(idle) => timeout(idle, read).await.unwrap_or_else(|_| Err(silent())),
            None => read.await,
        };
        // What fails here is the client's side; nobody else says so.
        let read = read.map_err(pingora::Error::into_down)?;
        self.read |= read.is_none();
        Ok(read)
    }

    /// Says that the body may come, to a client that waits for that (RFC 9110, 10.1.1).
    pub(crate) async fn send_continue(&mut self) -> Result<(), Gone> {
        let session = &mut *self.session;
        // Writing what looks like a response would switch keep-alive off.
        session.set_close_on_response_before_downstream_finish(false);
        let written = session.write_continue_response().await;
        session.set_close_on_response_before_downstream_finish(true);
        written.map_err(|_| Gone)
    }

    /// Resolves when the client goes away. May be dropped and called again.
    pub(crate) async fn gone(&mut self) -> Gone {
        if !self.is_http2() && !self.is_read() {
            // What is not read hides what comes after it. A reset of HTTP/2 is seen for all that.
            return std::future::pending().await;
        }
        loop {
            match self.session.read_body_or_idle(true).await {
                Err(_) => return Gone,
                Ok(Some(_)) => {}
                Ok(None) => return std::future::pending().await,
            }
        }
    }

    /// Sends the head of the answer; `length` is that of the body, if it is known.
    pub(crate) async fn head(&mut self, mut header: ResponseHeader, length: Option<u64>) -> Result<(), Gone> {
        if self.gateway.is_draining() {
            // Who is told goes elsewhere with the next request, instead of running into the end.
            self.session.set_keepalive(None);
        }
        self.prepare(&mut header, length).map_err(|error| {
            tracing::error!(%error, "the head of an answer can't be made");
            Gone
        })?;
        self.sent = Some(header.headers.clone());
        let written = self.session.write_response_header(Box::new(header)).await;
        written.map_err(|_| Gone)
    }

    /// The headers of an answer as the client would get them.
    pub(crate) fn prepare(&self, header: &mut ResponseHeader, length: Option<u64>) -> pingora::Result<()> {
        let id = self.id.to_string();
        header.insert_header(
            errors::REQUEST_ID,
            HeaderValue::from_str(&id)
                .map_err(|_| pingora::Error::explain(pingora::ErrorType::InvalidHTTPHeader, "request id"))?,
        )?;
        let empty = matches!(header.status.as_u16(), 204 | 304);
        match length {
            Some(length) if !empty => header.insert_header(CONTENT_LENGTH, length)?,
            Some(_) => {}
            None if empty || self.session.req_header().version != Version::HTTP_11 => {}
            None => header.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?,
        }
        Ok(())
    }

    /// Sends a piece of the body.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.try_write(bytes).await.map_err(|_| Gone)
    }

    async fn try_write(&mut self, bytes: Bytes) -> pingora::Result<()> {
        if self.is_head() {
            return Ok(());
        }
        self.session.write_response_body(bytes, false).await
    }

    /// Sends a piece of the body; once the process is `ending`, a client that takes nothing is not waited for.
    pub(crate) async fn deliver(
        &mut self,
        bytes: Bytes,
        ending: &CancellationToken,
    ) -> Result<(), Undelivered> {
        let late = async {
            ending.cancelled().await;
            tokio::time::sleep(LAST_WRITE).await;
        };
        tokio::select! {
            biased;
            written = self.try_write(bytes) => written.map_err(|error| match error.etype() {
                ErrorType::WriteTimedout => Undelivered::Slow,
                _ => Undelivered::Gone,
            }),
            () = late => Err(Undelivered::Ending),
        }
    }

    /// Sends the last piece of the body, which may be empty, and its end.
    pub(crate) async fn finish(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let bytes = if self.is_head() { Bytes::new() } else { bytes };
        let written = self.session.write_response_body(bytes, true).await;
        if written.is_ok() && self.is_http2() && !self.is_read() {
            // The reset that follows on a request that is not read would overtake the answer.
            tokio::time::sleep(BEFORE_RESET).await;
        }
        written.map_err(|_| Gone)
    }

    /// Whether all of the request was read.
    fn is_read(&mut self) -> bool {
        self.read || self.session.is_body_done()
    }

    /// Answers with an error of ours. Nothing must have been sent yet.
    pub(crate) async fn refuse(&mut self, error: &ApiError, endpoint: Endpoint) -> Result<(), Gone> {
        let body = error.body(endpoint);
        let header = error.header().map_err(|_| Gone)?;
        self.whole(header, u64::try_from(body.len()).ok(), body).await
    }

    /// Sends a whole answer; `length` is that of the body, if it is known.
    pub(crate) async fn whole(
        &mut self,
        header: ResponseHeader,
        length: Option<u64>,
        body: Bytes,
    ) -> Result<(), Gone> {
        self.head(header, length).await?;
        self.finish(body).await
    }
}

fn silent() -> Box<pingora::Error> {
    pingora::Error::explain(ErrorType::ReadTimedout, "nothing came of the request's body")
}
