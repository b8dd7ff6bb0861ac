//! The AI gateway's part of the edge. On HTTP/1.1 its requests are answered within `request_filter`; streams of HTTP/2 take
//! the same steps past Pingora's proxy.

use std::sync::Arc;

use http::{Method, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::server::Session;

use super::Edge;
use super::begin::{begin, mark_unfinished};
use super::context::{RequestContext, Seen};
use super::fail::fail;
use super::forwarded;
use super::hygiene;
use super::linger::linger;
use crate::ai::call::answer::Served;
use crate::ai::call::client::Client;
use crate::ai::call::serve;
use crate::ai::errors::ApiError;
use crate::ai::ledger::Outcome;
use crate::ai::route::Endpoint;
use crate::ai::snapshot::Snapshot;
use crate::front::Connection;
use crate::reason::Reason;
use crate::routing::RoutingTable;

/// The gateway's configuration, if a request belongs to it.
pub(super) fn owner(edge: &Edge, table: &RoutingTable, request: &RequestHeader) -> Option<Arc<Snapshot>> {
    edge.ai.gateway.owner(table, hygiene::authority(request), request.uri.path())
}

/// The gateway's configuration, if a stream of HTTP/2 belongs to it and needs nothing of Pingora's proxy.
pub(super) fn owner_of_stream(edge: &Edge, session: &Session) -> Option<Arc<Snapshot>> {
    let connection = Connection::of(session).filter(|_| session.is_http2())?;
    let request = session.req_header();
    let owner = || owner(edge, &edge.plane.table_for_request(), request);
    // Pingora's proxy answers this one before any phase.
    let is_connect = request.method == Method::CONNECT;
    (!is_connect && !forwarded::is_redirected(request, connection)).then(owner).flatten()
}

/// Serves a stream of HTTP/2 of the gateway's, which takes the same steps as Pingora's proxy would take it through, but
/// not the room that the proxy has for an exchange of its own.
pub(super) async fn serve_stream(edge: Edge, mut session: Box<Session>, snapshot: Arc<Snapshot>) {
    let mut context = RequestContext::new(edge);
    let served = match begin(&mut session, &mut context) {
        Ok(()) => serve(&mut session, &mut context, snapshot).await,
        Err(refused) => Err(refused),
    };
    if let Err(error) = &served {
        // Boxed: a call that is served needs no room for it.
        Box::pin(fail(&mut session, error, &mut context)).await;
    }
    context.over(&session, served.is_ok());
    // Without that the stream is reset.
    if served.is_ok()
        && let Err(error) = session.finish_body().await
    {
        tracing::debug!(%error, "the end of an answer was not taken");
    }
}

/// Serves a request of the gateway's; an error says that its answer is not whole.
pub(super) async fn serve(
    session: &mut Session,
    context: &mut RequestContext,
    snapshot: Arc<Snapshot>,
) -> pingora::Result<()> {
    let id = ulid::Ulid::generate();
    context.request_id = http::HeaderValue::from_str(&id.to_string()).ok();
    context.seen = context.edge.access_log.is_on().then(|| Box::new(Seen::of(session)));
    context.refusal = Some(Reason::Ai);
    let desk = Arc::clone(&context.edge.ai);
    if session.req_header().version < Version::HTTP_11 {
        // Until the request is over, and its answer whole.
        mark_unfinished(session, true);
    }
    let (served, summary) =
        Box::pin(serve::serve(&desk, &snapshot, session, id, context.limits.idle_timeout)).await;
    let gone = summary.outcome == Some(Outcome::ClientClosed);
    let code = summary.code;
    context.ai = Some(Box::new(summary));
    match served {
        Served::Done => {
            linger(session, context, code).await;
            Ok(())
        }
        // What was sent must not look whole.
        Served::Cut => Err(context.refuse(if gone { Reason::ClientClosed } else { Reason::Ai })),
    }
}

/// Tells a client of the gateway's what the edge refuses its request for.
pub(super) async fn refuse(
    session: &mut Session,
    context: &mut RequestContext,
    snapshot: &Snapshot,
    reason: Reason,
) -> pingora::Result<()> {
    let request = session.req_header();
    let route = snapshot.prefix.route(&request.method, request.uri.path());
    let endpoint = route.map_or(Endpoint::Raw, |route| route.endpoint);
    tell(session, context, &ApiError::of_edge(reason), endpoint).await
}

/// Tells a client whose base URL lacks the gateway's path what is missing. `false` if that is not what is wrong.
pub(super) async fn point_out(session: &mut Session, context: &mut RequestContext) -> pingora::Result<bool> {
    let (edge, request) = (&context.edge, session.req_header());
    let authority = hygiene::authority(request);
    let missed = edge.ai.gateway.missed(&edge.plane.table_for_request(), authority, request);
    let Some(snapshot) = missed else { return Ok(false) };
    let error = ApiError::outside(snapshot.config.path.as_str());
    tell(session, context, &error, Endpoint::Chat).await.map(|()| true)
}

async fn tell(
    session: &mut Session,
    context: &mut RequestContext,
    error: &ApiError,
    endpoint: Endpoint,
) -> pingora::Result<()> {
    let id = ulid::Ulid::generate();
    context.request_id = http::HeaderValue::from_str(&id.to_string()).ok();
    let sent = Client::new(session, &context.edge.ai.gateway, id).refuse(error, endpoint).await;
    sent.map_err(|_| pingora::Error::explain(pingora::ErrorType::WriteError, "the client is gone"))
}
