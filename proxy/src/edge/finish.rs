//! The end of a request: counted, logged and handed to the tee, exactly once.

use std::time::Duration;

use pingora_proxy::Session;

use super::context::RequestContext;
use crate::access_log::Line;
use crate::front::Connection;
use crate::reason::Reason;

impl RequestContext {
    /// The request is over.
    pub(crate) fn finish(&mut self, session: &Session) {
        self.finished = true;
        let took = self.elapsed();
        let written = session.response_written().map(|response| response.status.as_u16());
        let reason = self.reason();
        let status = written.or_else(|| reason.status()).unwrap_or(500);
        self.count(reason, status, took);
        if self.edge.access_log.wants(status, self.refusal.is_some()) {
            self.edge.access_log.write(self.line(session, status, took));
        }
        self.record(status);
    }

    fn record(&mut self, status: u16) {
        if let Some(capture) = self.capture.take() {
            self.edge.tee.offer(capture.finish(self, status));
        }
    }

    fn count(&self, reason: Reason, status: u16, took: Duration) {
        match &self.routed {
            Some(routed) => routed.version.stats().record(reason, status, took),
            None => self.edge.metrics.refuse(reason),
        }
    }

    fn line(&self, session: &Session, status: u16, took: Duration) -> Box<Line> {
        let request = session.req_header();
        let text = |value: Option<&http::HeaderValue>| {
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Box::new(Line {
            time: jiff::Timestamp::now(),
            request_id: text(self.request_id.as_ref()),
            client: Connection::of(session).map(|connection| connection.client.ip()),
            method: request.method.clone(),
            host: super::hygiene::authority(request).map(str::to_owned),
            path: request.uri.path().to_owned(),
            status,
            app: self.routed.as_ref().map(|routed| routed.app.config().id.clone()),
            version: self.routed.as_ref().map(|routed| routed.version.id().clone()),
            reason: self.reason(),
            endpoint: self.attempts.endpoint().map(|endpoint| endpoint.address()),
            bytes_in: session.body_bytes_read() as u64,
            bytes_out: session.body_bytes_sent() as u64,
            took,
            retries: self.attempts.begun.saturating_sub(1),
        })
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
        let status = reason.status().unwrap_or(500);
        self.refusal = Some(reason);
        self.count(reason, status, self.elapsed());
        self.record(status);
        tracing::warn!(%reason, "a request was cut");
    }
}
