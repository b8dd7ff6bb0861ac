//! Pingora's phases. Each only gathers what another module decides on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{StatusCode, Version, header};
use pingora::Error;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::begin::{begin, mark_unfinished};
use super::context::{RequestContext, Routed, Seen};
use super::errors;
use super::fail::{fail, respond, send};
use super::forwarded::{self, Client};
use super::hygiene;
use super::linger::linger;
use super::request::{self, Refused};
use super::{Edge, ai, response, upstream};
use crate::ai::snapshot::Snapshot;
use crate::front::Connection;
use crate::reason::Reason;

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = RequestContext;

    fn new_ctx(&self) -> Self::CTX {
        RequestContext::new(self.clone())
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {
        // None: Pingora's default adds compression, which would hold streams back.
    }

    async fn early_request_filter(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        begin(session, context)
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<bool> {
        let Some(connection) = Connection::of(session) else {
            return Err(context.refuse(Reason::Internal));
        };
        let request = session.req_header();
        if forwarded::is_redirected(request, connection) {
            context.refusal = Some(Reason::RedirectHttps);
            let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
            let answer = errors::redirect(hygiene::authority(request).unwrap_or_default(), target)?;
            Box::pin(send(session, answer)).await?;
            linger(session, context, None).await;
            return Ok(true);
        }
        let routed = match self.destination(request) {
            Destination::Gateway(snapshot) => {
                return ai::serve(session, context, snapshot).await.map(|()| true);
            }
            Destination::App(routed) => routed,
        };
        context.request_id = Some(forwarded::request_id(request, connection));
        context.seen = context.edge.access_log.is_on().then(|| Box::new(Seen::of(session)));
        match routed {
            Ok(routed) => {
                context.in_flight = Some(routed.version.stats().begin());
                context.capture = context.edge.tee.capture(routed.app.config().audit, session, connection);
                context.routed = Some(routed);
                Ok(false)
            }
            Err(refused) => {
                context.refusal = Some(refused.reason);
                if let Some(app) = &refused.app {
                    context.capture = context.edge.tee.capture(app.config().audit, session, connection);
                }
                let refused = &**context.refused.insert(refused);
                let (reason, conflict) = (refused.reason, refused.conflict.clone());
                // Boxed: nearly all requests go on, and need no room for this.
                if reason != Reason::NoRoute || !Box::pin(ai::point_out(session, context)).await? {
                    Box::pin(respond(session, reason, conflict.as_ref())).await?;
                }
                linger(session, context, Some(reason.as_str())).await;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<Box<HttpPeer>> {
        upstream::choose(session, context)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        if !reused && let Some(routed) = &context.routed {
            routed.version.stats().connected();
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        let (Some(connection), Some(routed), Some(request_id)) =
            (Connection::of(session), &context.routed, &context.request_id)
        else {
            return Err(context.refuse(Reason::Internal));
        };
        let app = routed.app.config();
        let strip = app.strip_prefix.then(|| app.path.as_str());
        let client = Client { connection, https: context.https, request_id, strip };
        forwarded::rewrite(upstream_request, &client)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        let Some(body) = body else { return Ok(()) };
        if session.was_upgraded() {
            return Ok(());
        }
        context.body_bytes = context.body_bytes.saturating_add(body.len() as u64);
        if context.body_bytes > context.limits.body_bytes {
            return Err(context.refuse(Reason::BodyTooLarge));
        }
        if let Some(capture) = &mut context.capture {
            capture.request_body(body);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        upstream_response: &mut ResponseHeader,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        let https = context.https;
        response::check(session.req_header(), upstream_response, &mut context.interim)
            .map_err(|reason| context.refuse(reason))?;
        if let Some(routed) = &mut context.routed {
            response::rewrite(upstream_response, routed, https)?;
        }
        context.sent.status = response::final_status(upstream_response);
        if upstream_response.status == StatusCode::SWITCHING_PROTOCOLS {
            // Who is silent now may have nothing to say: the app's `read_timeout` bounds that.
            session.set_read_timeout(None);
        }
        if let Some(endpoint) = context.attempts.endpoint() {
            endpoint.answered();
        }
        if let Some(capture) = &mut context.capture {
            capture.response(upstream_response);
        }
        if session.req_header().version < Version::HTTP_11 && !upstream_response.status.is_informational() {
            // Chunks are unknown there: the end of the connection ends the body (RFC 9112, 6.1).
            upstream_response.remove_header(&header::TRANSFER_ENCODING);
            mark_unfinished(session, true);
        }
        if self.plane.is_draining() {
            // Who is told goes elsewhere with the next request, instead of running into the end.
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut RequestContext,
    ) -> pingora::Result<Option<Duration>> {
        let Some(body) = body else { return Ok(None) };
        context.sent.bytes = context.sent.bytes.saturating_add(body.len() as u64);
        if let Some(capture) = &mut context.capture
            && !session.was_upgraded()
        {
            capture.response_body(body);
        }
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut RequestContext,
        error: Box<Error>,
    ) -> Box<Error> {
        upstream::connect_failed(context, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut RequestContext,
        client_reused: bool,
    ) -> Box<Error> {
        upstream::exchange_failed(session, context, error, client_reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut RequestContext,
    ) -> FailToProxy {
        let reason = fail(session, error, context).await;
        FailToProxy { error_code: reason.status().unwrap_or(500), can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut RequestContext) {
        context.over(session, error.is_none());
    }

    fn suppress_error_log(&self, _session: &Session, _context: &RequestContext, _error: &Error) -> bool {
        // The access log has the line, with the reason.
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _context: &RequestContext,
        _error: &Error,
        _of: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// Who a request is for.
enum Destination {
    Gateway(Arc<Snapshot>),
    App(Result<Routed, Box<Refused>>),
}

impl Edge {
    /// Whose a request is, by the table of the moment. That is not kept: a stream may run for hours, and there are new
    /// ones all the time.
    fn destination(&self, request: &RequestHeader) -> Destination {
        let table = self.plane.table_for_request();
        match ai::owner(self, &table, request) {
            Some(snapshot) => Destination::Gateway(snapshot),
            None => Destination::App(request::route(&table, request)),
        }
    }
}
