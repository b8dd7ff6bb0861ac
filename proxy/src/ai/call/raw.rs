//! Requests whose body passes through to the default provider: too large to be kept, or of unknown
//! size. There is one attempt, over a connection that was never used: what was sent is gone.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::answer::Served;
use super::asked::Outgoing;
use super::attempt::{Ask, Tried};
use super::client::{Client, Gone};
use super::receive::{self, NotReceived};
use super::record::Running;
use super::run::{Call, Failed};
use super::turn::{Prepared, Turn};
use crate::ai::attempts::course::Failure;
use crate::ai::errors::ApiError;
use crate::ai::ledger::{Digest, Outcome, RequestBody};
use crate::ai::snapshot::{Destination, Dialect};
use crate::ai::upstream::exchange::{ExchangeError, Upstream};
use crate::ai::upstream::head;

/// What came of sending a body.
enum Sent {
    /// The provider answers, or will.
    Whole,
    /// The client is told.
    Refused(ApiError),
    /// The client went away.
    Gone,
    /// The provider can't be reached.
    Failed(ExchangeError),
}

impl Call<'_, '_> {
    /// Makes the call while its body comes.
    pub(crate) async fn stream_body(mut self) -> Served {
        let Some(to) = self.route.targets.first().filter(|to| self.may_ask(to)) else {
            return self.answering().refuse(&ApiError::unknown_path(), Outcome::Rejected).await;
        };
        let target = self.target(to);
        if let Err(error) = self.record.contact(self.head, || RequestBody::Streamed, &target).await {
            return self.unrecorded(error).await;
        }
        let mut running = self.record.attempt(target.clone(), to.target.price);
        let mut slot = None;
        let mut passed = None;
        let ending = &self.desk.gateway.ending;
        let tried = tokio::select! {
            biased;
            tried = self.exchange(to, &mut slot, &mut running, &mut passed) => tried,
            () = ending.cancelled() => Err((Outcome::Interrupted, Some(ApiError::shutting_down()))),
        };
        self.record.request = passed.map(Digesting::finish);
        let served = match tried {
            Ok(Tried::Failed(failure, refused)) => {
                self.failed(to, running, None, &failure, slot.take()).await;
                let end = failure.end(self.head.callers_key.is_some());
                let failed = Failed { failure, refused, target, dialect: Dialect::Native };
                self.end(end, failed).await
            }
            Ok(tried) => {
                let outgoing = Outgoing::default();
                let mut prepared = Prepared { target, dialect: Dialect::Native, outgoing, anew: true };
                return match self.succeeded(to, &mut prepared, running, tried, slot, None).await {
                    Turn::Served(served) => served,
                    Turn::Failed(..) | Turn::Interrupted(_) => Served::Cut,
                };
            }
            Err((outcome, error)) => {
                let ending = outcome == Outcome::Interrupted;
                running.failed(if ending { "shutting down" } else { "request not complete" });
                self.record.add(*running);
                match error {
                    Some(error) => self.answering().refuse(&error, outcome).await,
                    None => self.answering().lost(outcome, 499).await,
                }
            }
        };
        if let Some(upstream) = slot {
            upstream.release(&self.desk.client).await;
        }
        served
    }

    /// Sends the request, and reads the answer up to where the client can be given it. What `passed` of the body is known
    /// although this future is dropped.
    async fn exchange(
        &mut self,
        to: &Destination,
        slot: &mut Option<Box<Upstream>>,
        running: &mut Running,
        passed: &mut Option<Digesting>,
    ) -> Result<Tried, (Outcome, Option<ApiError>)> {
        let until = Instant::now() + to.target.timeouts.total;
        match timeout_at(until, self.send(to, slot, passed)).await {
            Ok(Sent::Whole) => self.hear(to, slot, running, until).await,
            Ok(Sent::Refused(error)) => Err((Outcome::Rejected, Some(error))),
            Ok(Sent::Gone) => Err((Outcome::ClientClosed, None)),
            Ok(Sent::Failed(ExchangeError::Connect)) => Ok(Tried::Failed(Failure::Connect, None)),
            Ok(Sent::Failed(ExchangeError::ConnectTimeout)) | Err(_) => {
                Ok(Tried::Failed(Failure::Timeout, None))
            }
            Ok(Sent::Failed(_)) => Ok(Tried::Failed(Failure::Reset, None)),
        }
    }

    /// Sends the head, and the body as it comes.
    async fn send(
        &mut self,
        to: &Destination,
        slot: &mut Option<Box<Upstream>>,
        passed: &mut Option<Digesting>,
    ) -> Sent {
        let request = head::Outgoing {
            method: &self.head.method,
            path: &self.head.route.path,
            query: self.head.query.as_deref(),
            headers: &self.head.headers,
            endpoint: self.head.endpoint(),
            model: None,
            callers_key: self.head.callers_key.as_deref(),
            dialect: Dialect::Native,
            length: receive::length(&self.head.headers),
        };
        let Ok(request) = request.head(&to.target.provider) else {
            return Sent::Failed(ExchangeError::Malformed);
        };
        let upstream = match Box::pin(self.desk.client.connect(to, true)).await {
            Ok(upstream) => slot.insert(upstream),
            Err(error) => return Sent::Failed(error),
        };
        if let Err(error) = upstream.send_head(request).await {
            return Sent::Failed(error);
        }
        if receive::waits(&self.head.headers) && self.client.send_continue().await == Err(Gone) {
            return Sent::Gone;
        }
        pass(self.client, upstream, passed.insert(Digesting::default())).await
    }

    /// Reads the answer.
    async fn hear(
        &mut self,
        to: &Destination,
        slot: &mut Option<Box<Upstream>>,
        running: &mut Running,
        until: Instant,
    ) -> Result<Tried, (Outcome, Option<ApiError>)> {
        let Some(upstream) = slot.as_mut() else { return Ok(Tried::Failed(Failure::Reset, None)) };
        let heard = timeout_at(until, upstream.read_head());
        let header = tokio::select! {
            biased;
            header = heard => header,
            Gone = self.client.gone() => return Err((Outcome::ClientClosed, None)),
        };
        let header = match header {
            Ok(Ok(header)) => header,
            Ok(Err(ExchangeError::Silent)) | Err(_) => return Ok(Tried::Failed(Failure::Timeout, None)),
            Ok(Err(_)) => return Ok(Tried::Failed(Failure::Reset, None)),
        };
        let request = pingora::http::RequestHeader::build("GET", b"/", None);
        let Ok(request) = request else { return Ok(Tried::Failed(Failure::Malformed, None)) };
        let ask = Ask {
            desk: self.desk,
            to,
            head: self.head,
            request,
            body: &[],
            stream: false,
            format: None,
            dialect: Dialect::Native,
            named: false,
            goes_on: false,
            deadline: None,
        };
        let understood = timeout_at(until, ask.understand(header, upstream, running)).await;
        Ok(understood.ok().and_then(Result::ok).unwrap_or(Tried::Failed(Failure::Reset, None)))
    }
}

/// Passes the body on, piece by piece. The provider sets the pace.
async fn pass(client: &mut Client<'_>, upstream: &mut Upstream, digest: &mut Digesting) -> Sent {
    loop {
        match client.read().await {
            Ok(Some(piece)) => {
                digest.add(&piece);
                if !upstream.send_piece(piece).await {
                    // It may have answered already.
                    return Sent::Whole;
                }
            }
            Ok(None) => {
                let _may_have_answered = upstream.send_end().await;
                return Sent::Whole;
            }
            Err(error) => {
                return match receive::unreadable(&error) {
                    NotReceived::Gone => Sent::Gone,
                    NotReceived::Refused(error) => Sent::Refused(error),
                };
            }
        }
    }
}

/// Size and digest of what passes.
#[derive(Default)]
struct Digesting {
    bytes: u64,
    sha256: Sha256,
}

impl Digesting {
    fn add(&mut self, piece: &Bytes) {
        self.bytes = self.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(0));
        self.sha256.update(piece);
    }

    fn finish(self) -> Digest {
        Digest { bytes: self.bytes, sha256: self.sha256.finalize().into() }
    }
}
