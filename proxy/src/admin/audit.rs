//! What the audit says of itself, and its records as they come.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::Stream;
use lockstep_queue::ship::Tail;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::answer::Refusal;
use super::listener::Peer;
use crate::audit::watch::Watch;
use crate::process::Shared;

/// An empty line after so long without a record shows that somebody still listens.
const QUIET: Duration = Duration::from_secs(10);

/// Ends answers that would go on for ever.
#[derive(Debug, Clone)]
pub(super) struct Ending(pub(super) CancellationToken);

pub(super) async fn stats(State(shared): State<Shared>) -> Result<Json<Value>, Refusal> {
    watch(&shared).map(|watch| Json(watch.stats()))
}

/// Each record that ends from now on, on a line of its own.
pub(super) async fn tail(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Extension(Ending(ending)): Extension<Ending>,
) -> Result<Response, Refusal> {
    let tail = watch(&shared)?.tail();
    peer.may_be_silent();
    let lines = Body::from_stream(lines(tail, ending));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

fn watch(shared: &Shared) -> Result<&Watch, Refusal> {
    shared.audit.get().ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "no_audit", "audit.durability is off: nothing is recorded")
    })
}

fn lines(tail: Tail, ending: CancellationToken) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold((tail, ending), |(mut tail, ending)| async {
        let next = tokio::time::timeout(QUIET, tail.next());
        let mut line = match ending.run_until_cancelled(next).await? {
            Ok(Ok(line)) => line?,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a tail of the audit ends");
                return None;
            }
            Err(_quiet) => Vec::new(),
        };
        line.push(b'\n');
        Some((Ok(Bytes::from(line)), (tail, ending)))
    })
}
