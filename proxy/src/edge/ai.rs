//! The AI gateway's part of the phases: its requests are answered within `request_filter`.

use std::sync::Arc;

use http::Version;
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use super::Edge;
use super::context::{RequestContext, Seen};
use super::hygiene;
use super::linger::linger;
use super::phases::mark_unfinished;
use crate::ai::call::answer::Served;
use crate::ai::call::client::Client;
use crate::ai::call::serve;
use crate::ai::errors::ApiError;
use crate::ai::ledger::Outcome;
use crate::ai::route::Endpoint;
use crate::ai::snapshot::Snapshot;
use crate::reason::Reason;
use crate::routing::RoutingTable;

/// The gateway's configuration, if a request belongs to it.
pub(super) fn owner(edge: &Edge, table: &RoutingTable, request: &RequestHeader) -> Option<Arc<Snapshot>> {
    edge.ai.gateway.owner(table, hygiene::authority(request), request.uri.path())
}

/// Serves a request of the gateway's.
pub(super) async fn serve(
    session: &mut Session,
    context: &mut RequestContext,
    snapshot: Arc<Snapshot>,
) -> pingora::Result<bool> {
    let id = ulid::Ulid::generate();
    context.request_id = http::HeaderValue::from_str(&id.to_string()).ok();
    context.seen = context.edge.access_log.is_on().then(|| Box::new(Seen::of(session)));
    context.refusal = Some(Reason::Ai);
    let desk = Arc::clone(&context.edge.ai);
    if session.req_header().version < Version::HTTP_11 {
        // Until the call is served, which `logging` sees.
        mark_unfinished(session, true);
    }
    let (served, summary) = Box::pin(serve::serve(&desk, &snapshot, session, id)).await;
    let gone = summary.outcome == Some(Outcome::ClientClosed);
    let code = summary.code;
    context.ai = Some(Box::new(summary));
    match served {
        Served::Done => {
            linger(session, context, code).await;
            Ok(true)
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
    let id = ulid::Ulid::generate();
    context.request_id = http::HeaderValue::from_str(&id.to_string()).ok();
    let request = session.req_header();
    let route = snapshot.prefix.route(&request.method, request.uri.path());
    let endpoint = route.map_or(Endpoint::Raw, |route| route.endpoint);
    let sent = Client::new(session, id).refuse(&ApiError::of_edge(reason), endpoint).await;
    sent.map_err(|_| pingora::Error::explain(pingora::ErrorType::WriteError, "the client is gone"))
}
