//! The end of a request that was answered before all of it had come.

use http::header::EXPECT;
use pingora::protocols::http::server::Session;

use super::context::RequestContext;
use crate::reason::Reason;

/// After these nothing more is waited for: of that body nothing came for long enough, and the process ends.
const LAST_WORDS: [Reason; 2] = [Reason::BodyTimeout, Reason::ShuttingDown];

/// Reads what the client still sends of a body that nobody wants. Closing a connection with unread bytes resets it, and
/// a client that is still sending then loses the answer (RFC 9112, 9.6). `told` is the code of what it was refused for.
/// Bounded by the session's drain timeout.
pub(super) async fn linger(session: &mut Session, context: &mut RequestContext, told: Option<&str>) {
    if LAST_WORDS.iter().any(|reason| told == Some(reason.as_str())) {
        return;
    }
    // Whoever asks before it sends (RFC 9110, 10.1.1) need not send any more, unless it has begun to. HTTP/2 ends a
    // stream by itself.
    let asks = session.req_header().headers.contains_key(EXPECT) && session.body_bytes_read() == 0;
    if session.is_http2() || asks || session.is_body_done() {
        return;
    }
    context.answered();
    // Boxed: nearly all requests have come whole, and need no room for this.
    if let Err(error) = Box::pin(session.drain_request_body()).await {
        tracing::debug!(%error, "the rest of a refused request did not come");
    }
}
