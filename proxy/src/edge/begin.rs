//! The beginning of a request whose head has just come: what bounds it, and whether it may go on.

use http::Version;
use pingora::protocols::http::server::Session;

use super::context::RequestContext;
use super::forwarded;
use super::hygiene::{self, Head};
use crate::front::Connection;

/// Sets the session up as our limits say.
///
/// # Errors
/// If the head is refused.
pub(super) fn begin(session: &mut Session, context: &mut RequestContext) -> pingora::Result<()> {
    let limits = context.limits;
    if let Some(connection) = Connection::of(session) {
        connection.head_complete();
        context.running = Some(connection.tracked.begin());
        context.https = forwarded::is_https(session.req_header(), connection);
    }
    session.set_read_timeout(Some(limits.idle_timeout));
    session.set_write_timeout(Some(limits.idle_timeout));
    session.set_total_drain_timeout(Some(limits.header_timeout));
    // Reading the head has set it to whatever the client wishes, which may be for ever.
    if session.get_keepalive().is_some() {
        let idle = limits.idle_timeout.as_secs().max(1);
        session.set_keepalive((!context.edge.plane.is_draining()).then_some(idle));
    }
    // A byte after the body is the next request, not the end of this one.
    session.set_pipelining_enabled(true);
    // RFC 9110, 15.2.
    let knows_interim = session.req_header().version >= Version::HTTP_11;
    session.set_ignore_info_resp(!knows_interim);
    let raw = session.as_http1().map(|session| session.get_headers_raw_bytes());
    let head = Head { request: session.req_header(), raw: raw.as_deref(), body_limit: limits.body_bytes };
    hygiene::check(&head).map_err(|reason| context.refuse(reason))
}

/// Says of an HTTP/1.0 client's connection whether its end would be taken for that of an answer which is not whole.
pub(super) fn mark_unfinished(session: &Session, unfinished: bool) {
    if let Some(connection) = Connection::of(session) {
        connection.set_unfinished(unfinished);
    }
}
