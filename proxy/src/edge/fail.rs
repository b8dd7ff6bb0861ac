//! The end of a request that nobody else has answered: with a response of Lockstep's own where one can still be given.

use bytes::Bytes;
use pingora::Error;
use pingora::protocols::http::server::Session;

use super::context::RequestContext;
use super::errors::{self, Answer};
use super::linger::linger;
use super::request::Conflict;
use super::{ai, upstream};
use crate::front::BEFORE_RESET;
use crate::reason::Reason;

/// Answers a request that failed, if its client has no answer yet; tells why it failed.
pub(super) async fn fail(session: &mut Session, error: &Error, context: &mut RequestContext) -> Reason {
    let reason = context.refusal.unwrap_or_else(|| errors::classify(error));
    context.refusal = Some(reason);
    if reason == Reason::Internal {
        // Nothing else tells what it was.
        tracing::error!(%error, "a request failed");
    }
    // What has begun is cut: a clean end would make half an answer look whole.
    if reason != Reason::ClientClosed && !upstream::has_responded(session) {
        session.set_keepalive(None);
        let owner = ai::owner(&context.edge, &context.edge.plane.table_for_request(), session.req_header());
        let sent = match owner {
            Some(snapshot) => ai::refuse(session, context, &snapshot, reason).await,
            None => respond(session, reason, None).await,
        };
        match sent {
            Ok(()) => linger(session, context, Some(reason.as_str())).await,
            Err(error) => tracing::debug!(%error, "the client did not take its error response"),
        }
    } else if session.is_http2() && reason != Reason::ClientClosed {
        // The reset that follows would overtake what is still queued on the connection.
        tokio::time::sleep(BEFORE_RESET).await;
    }
    reason
}

/// Answers with the response that belongs to a reason.
pub(super) async fn respond(
    session: &mut Session,
    reason: Reason,
    conflict: Option<&Conflict>,
) -> pingora::Result<()> {
    send(session, errors::answer(reason, conflict)?).await
}

/// Sends a response of Lockstep's own.
pub(super) async fn send(session: &mut Session, answer: Answer) -> pingora::Result<()> {
    let bodyless = answer.body.is_empty() || session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(answer.header)).await?;
    if !bodyless {
        session.write_response_body(Bytes::from(answer.body), true).await?;
    } else if session.is_http2() {
        // The head that goes out does not say that it is all: without that the stream would be reset.
        session.finish_body().await?;
    }
    Ok(())
}
