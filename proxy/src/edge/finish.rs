//! The end of a request: counted, logged and handed to the tee, exactly once.

use std::time::Duration;

use http::Version;
use pingora::protocols::http::server::Session;

use super::begin::mark_unfinished;
use super::context::{RequestContext, Seen};
use super::{response, upstream};
use crate::access_log::Line;
use crate::ai::ledger::Outcome;
use crate::front::Connection;
use crate::reason::Reason;

impl RequestContext {
    /// The request is over; `whole` is whether its answer is.
    pub(super) fn over(&mut self, session: &Session, whole: bool) {
        if whole {
            upstream::exchange_completed(self);
            if session.req_header().version < Version::HTTP_11 {
                mark_unfinished(session, false);
            }
        }
        self.finish(session);
    }

    fn finish(&mut self, session: &Session) {
        self.finished = true;
        self.seen.get_or_insert_with(|| Box::new(Seen::of(session)));
        let took = self.took();
        let written = session.response_written().and_then(response::final_status);
        let reason = self.reason();
        let status = written.or_else(|| reason.status()).unwrap_or(500);
        self.count(reason, status, took);
        self.log(status, took, (session.body_bytes_read() as u64, session.body_bytes_sent() as u64));
        self.record(status);
    }

    fn record(&mut self, status: u16) {
        if let Some(capture) = self.capture.take() {
            self.edge.tee.offer(capture.finish(self, status));
        }
    }

    fn count(&self, reason: Reason, status: u16, took: Duration) {
        // Whom an app turns away counts with the version that should have served it, or the active one.
        let version = self.version().or_else(|| self.app().and_then(|app| app.active()));
        match version {
            Some(version) => version.stats().record(reason, status, took),
            // Calls are counted by the gateway itself.
            None if self.ai.is_some() => {}
            None => self.edge.metrics.refuse(reason),
        }
    }

    /// Whether it is among those that always leave a line in the access log.
    fn has_failed(&self) -> bool {
        match (&self.ai, self.refusal) {
            (Some(call), Some(Reason::Ai)) => call.outcome != Some(Outcome::Complete),
            (_, refusal) => refusal.is_some(),
        }
    }

    fn log(&self, status: u16, took: Duration, (bytes_in, bytes_out): (u64, u64)) {
        let Some(seen) = self.seen.as_ref().filter(|_| self.edge.access_log.wants(status, self.has_failed()))
        else {
            return;
        };
        let request_id = self.request_id.as_ref();
        let endpoint = self.attempts.endpoint().map(|endpoint| endpoint.address());
        self.edge.access_log.write(Box::new(Line {
            time: jiff::Timestamp::now(),
            request_id: request_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()),
            client: seen.client,
            method: seen.method.clone(),
            host: seen.host.clone(),
            path: seen.uri.path().to_owned(),
            status,
            app: self.app().map(|app| app.config().id.clone()),
            version: self.version().map(|version| version.id().clone()),
            reason: self.reason(),
            endpoint: endpoint.or(self.attempts.tried.last().copied()),
            bytes_in,
            bytes_out,
            took,
            retries: self.ai.as_ref().map_or(self.attempts.begun, |call| call.attempts).saturating_sub(1),
            ai: self.ai.clone(),
        }));
    }
}

impl Seen {
    /// What the session says of the head.
    pub(crate) fn of(session: &Session) -> Self {
        let request = session.req_header();
        Self {
            client: Connection::of(session).map(|connection| connection.client.ip()),
            method: request.method.clone(),
            host: super::hygiene::authority(request).map(str::to_owned),
            uri: request.uri.clone(),
        }
    }
}

impl Drop for RequestContext {
    /// Requests that are cut at the end of the shutdown grace, or whose filter panicked, never see
    /// the logging phase. They are still counted.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let reason = if self.edge.plane.is_draining() { Reason::ShuttingDown } else { Reason::Internal };
        let status = self.sent.status.or_else(|| reason.status()).unwrap_or(500);
        self.refusal = Some(reason);
        let took = self.took();
        self.count(reason, status, took);
        self.log(status, took, (self.body_bytes, self.sent.bytes));
        self.record(status);
    }
}
