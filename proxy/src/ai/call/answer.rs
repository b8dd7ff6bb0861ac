//! Gives the client what came of a call. The record is closed before the end leaves.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use pingora::http::ResponseHeader;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::asked::Head;
use super::attempt::Refused;
use super::client::{Client, Gone, Undelivered};
use super::record::Record;
use crate::ai::anthropic::OpenAiError;
use crate::ai::errors::{self, ApiError};
use crate::ai::ledger::{self, LedgerError, Outcome};
use crate::ai::metrics::AiMetrics;
use crate::ai::upstream::exchange::{ExchangeError, Upstream};
use crate::ai::upstream::head::stays;
use crate::media_type;

const TARGET: HeaderName = HeaderName::from_static("x-lockstep-target");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// The answer was sent to its end.
    Done,
    /// It was not: what is left must not look like one.
    Cut,
}

/// A call that is being answered.
pub(crate) struct Answering<'r, 's> {
    pub(crate) client: &'r mut Client<'s>,
    pub(crate) record: &'r mut Record,
    pub(crate) head: &'r Head,
    /// What the client sent.
    pub(crate) body: &'r Bytes,
    pub(crate) metrics: &'r AiMetrics,
}

impl<'s> Answering<'_, 's> {
    /// Tells an error of ours.
    pub(crate) async fn refuse(self, error: &ApiError, outcome: Outcome) -> Served {
        let endpoint = self.head.endpoint();
        self.record.code = Some(error.code);
        match error.header() {
            Ok(header) => self.whole(header, error.body(endpoint), outcome).await,
            Err(_) => Served::Cut,
        }
    }

    /// Sends a whole answer.
    pub(crate) async fn whole(self, header: ResponseHeader, body: Bytes, outcome: Outcome) -> Served {
        let length = u64::try_from(body.len()).ok();
        self.at_once(header, length, body, outcome).await
    }

    /// Sends a whole answer, whose length is told as `length`: a head may tell that of a body which it
    /// does not have.
    async fn at_once(
        self,
        mut header: ResponseHeader,
        length: Option<u64>,
        body: Bytes,
        outcome: Outcome,
    ) -> Served {
        if self.client.prepare(&mut header, length).is_err() {
            return Served::Cut;
        }
        let answer = (header.status.as_u16(), header.headers.clone(), Some(body.clone()));
        let closed = self.record.close(self.head, self.body, outcome, answer).await;
        if let Err(error) = closed {
            return self.unrecorded(error).await;
        }
        self.count();
        let sent = self.client.whole(header, length, body).await;
        if sent.is_ok() { Served::Done } else { Served::Cut }
    }

    /// Tells that nothing can be recorded, where the client has nothing yet.
    pub(crate) async fn unrecorded(self, error: LedgerError) -> Served {
        let error = self.record.unrecorded(error);
        self.count();
        let sent = self.client.refuse(&error, self.head.endpoint()).await;
        if sent.is_ok() { Served::Done } else { Served::Cut }
    }

    /// Counts a request that made no call, by what the client is told.
    fn count(&self) {
        if let (true, Some(code)) = (self.record.attempts.is_empty(), self.record.code) {
            self.metrics.refused(code);
        }
    }

    /// Passes a provider's refusal on, in the shape that errors have.
    pub(crate) async fn relay(self, refused: Refused, target: &ledger::Target, native: bool) -> Served {
        let Refused { header: theirs, body, error, refusal } = refused;
        let well = native && errors::is_shaped(&body);
        let status = refusal.status;
        let (status, body) = match (native, well) {
            (true, true) => (status, body),
            (true, false) => (status, errors::reshaped(&error, status, self.head.endpoint())),
            (false, _) => {
                let error = OpenAiError::from(&error);
                (error.status, error.body())
            }
        };
        let made = passed(&theirs, target).and_then(|mut header| {
            header.set_status(status)?;
            if !well {
                header.remove_header(&CONTENT_ENCODING);
                header.insert_header(CONTENT_TYPE, "application/json")?;
            }
            if let Some(wait) = refusal.retry_after {
                errors::retry_after(&mut header, wait)?;
            }
            if matches!(status, 408 | 409 | 429 | 500..) {
                // We have tried as often as is sensible.
                header.insert_header(errors::SHOULD_RETRY, HeaderValue::from_static("false"))?;
            }
            Ok(header)
        });
        match made {
            Ok(header) => self.whole(header, body, Outcome::UpstreamError).await,
            Err(_) => Served::Cut,
        }
    }

    /// Passes an answer on piece by piece; a provider that is silent for `idle` has broken off. The last
    /// piece that the client can tell to be the last waits for the record.
    pub(crate) async fn pass(
        self,
        mut header: ResponseHeader,
        first: Vec<Bytes>,
        upstream: &mut Upstream,
        idle: Duration,
        ending: &CancellationToken,
    ) -> Served {
        let length = header.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let bodyless = self.head.method == Method::HEAD || matches!(header.status.as_u16(), 204 | 304);
        header.remove_header(&CONTENT_LENGTH);
        let content_type = header.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        self.record.streamed = content_type.is_some_and(media_type::is_events);
        let status = header.status.as_u16();
        let outcome = if status < 400 { Outcome::Complete } else { Outcome::UpstreamError };
        if bodyless || length == Some(0) {
            // The head is the end.
            return self.at_once(header, length, Bytes::new(), outcome).await;
        }
        if self.client.head(header, length).await.is_err() {
            return self.gone(status).await;
        }
        let mut left = length.unwrap_or(u64::MAX);
        let mut waiting = first.into_iter();
        let mut last = Bytes::new();
        while left > 0 {
            let piece = match waiting.next() {
                Some(piece) => Ok(Some(piece)),
                None => tokio::select! {
                    biased;
                    read = timeout(idle, upstream.read()) => read.unwrap_or(Err(ExchangeError::Reset)),
                    Gone = self.client.gone() => return self.gone(status).await,
                    () = ending.cancelled() => return self.lost(Outcome::Interrupted, status).await,
                },
            };
            match piece {
                Ok(Some(piece)) => {
                    left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                    if left == 0 {
                        last = piece;
                        break;
                    }
                    match self.client.deliver(piece.clone(), ending).await {
                        Ok(()) => self.record.delivered(&piece),
                        Err(Undelivered::Gone | Undelivered::Slow) => return self.gone(status).await,
                        Err(Undelivered::Ending) => return self.lost(Outcome::Interrupted, status).await,
                    }
                }
                Ok(None) if length.is_none() => break,
                Ok(None) | Err(_) => return self.cut(status).await,
            }
        }
        self.record.delivered(&last);
        self.end_passed(last, status, outcome).await
    }

    /// Sends the last piece of what passed, once the record is closed.
    async fn end_passed(self, last: Bytes, status: u16, outcome: Outcome) -> Served {
        let sent = self.client.sent.clone().unwrap_or_default();
        match self.record.close(self.head, self.body, outcome, (status, sent, None)).await {
            Ok(()) if self.client.finish(last).await.is_ok() => Served::Done,
            Ok(()) => Served::Cut,
            Err(error) => {
                self.record.unrecorded(error);
                Served::Cut
            }
        }
    }

    /// Notes that the client went away.
    pub(crate) async fn gone(self, status: u16) -> Served {
        self.lost(Outcome::ClientClosed, status).await
    }

    /// Notes that the answer broke off.
    pub(crate) async fn cut(self, status: u16) -> Served {
        self.lost(Outcome::UpstreamError, status).await
    }

    /// Notes how a call ended whose client gets no more.
    pub(crate) async fn lost(self, outcome: Outcome, status: u16) -> Served {
        let sent = self.client.sent.clone().unwrap_or_default();
        if let Err(error) = self.record.close(self.head, self.body, outcome, (status, sent, None)).await {
            tracing::error!(%error, "a call could not be recorded");
        }
        Served::Cut
    }
}

/// The head of a provider's answer as the client gets it.
pub(crate) fn passed(theirs: &ResponseHeader, target: &ledger::Target) -> pingora::Result<ResponseHeader> {
    let mut header = ResponseHeader::build(theirs.status, Some(theirs.headers.len() + 4))?;
    for (name, value) in theirs.headers.iter().filter(|(name, _)| !stays(name)) {
        header.append_header(name.clone(), value.clone())?;
    }
    header.insert_header(TARGET, target_value(target))?;
    Ok(header)
}

/// The same for a stream of events: nobody on the way may hold it up.
pub(crate) fn streamed(theirs: &ResponseHeader, target: &ledger::Target) -> pingora::Result<ResponseHeader> {
    let mut header = passed(theirs, target)?;
    if !header.headers.contains_key(CACHE_CONTROL) {
        header.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))?;
    }
    header.insert_header(BUFFERING, HeaderValue::from_static("no"))?;
    Ok(header)
}

fn target_value(target: &ledger::Target) -> HeaderValue {
    let text = match &target.model {
        Some(model) => format!("{}/{model}", target.provider),
        None => target.provider.to_string(),
    };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("unnamed"))
}
