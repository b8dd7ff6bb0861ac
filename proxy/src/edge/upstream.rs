//! The endpoint of each attempt, and what a failed one leads to.

use std::time::{Duration, Instant};

use pingora::protocols::http::server::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use super::context::RequestContext;
use super::hygiene;
use super::response;
use super::retry::{Failure, Next, after_failure};
use crate::endpoints::ejection::{Fault, Verdict};
use crate::endpoints::peer;
use crate::reason::Reason;
use crate::routing::host;

/// How soon the end of a connection shows that had ended before: a round trip and then some.
const PROMPT: Duration = Duration::from_millis(100);

/// Whether the client has the head of an answer, or has switched protocols.
#[must_use]
pub fn has_responded(session: &Session) -> bool {
    session.response_written().and_then(response::final_status).is_some()
}

/// Chooses the endpoint of the next attempt.
///
/// # Errors
/// If the version has none that was not tried.
pub fn choose(session: &Session, context: &mut RequestContext) -> pingora::Result<Box<HttpPeer>> {
    let Some(routed) = &context.routed else {
        return Err(context.refuse(Reason::Internal));
    };
    let current = context.attempts.current.take().filter(|_| context.attempts.fresh);
    let pool = routed.version.pool();
    let chosen = match &current {
        // The pooled connection was stale, not the endpoint: ask the same one.
        Some(current) => pool.again(current.endpoint()),
        None => pool.choose(&context.attempts.tried),
    };
    let Some(mut choice) = chosen else {
        let tried = !context.attempts.tried.is_empty();
        return Err(context.refuse(if tried { Reason::ConnectFailed } else { Reason::NoEndpoint }));
    };
    if choice.peer.sni.is_empty() && routed.app.config().upstream.tls {
        // Without a name Pingora would not verify the endpoint at all.
        choice.peer.sni = server_name(session).ok_or_else(|| context.refuse(Reason::BadRequest))?;
    }
    if context.attempts.fresh {
        peer::force_fresh(&mut choice.peer);
        context.attempts.fresh = false;
    }
    context.attempts.begun += 1;
    context.attempts.begun_at = Some(Instant::now());
    context.attempts.current = Some(choice.endpoint.begin());
    context.body_bytes = 0;
    if let Some(capture) = &mut context.capture {
        capture.restart_request();
    }
    Ok(choice.peer)
}

/// A connection could not be made. Nothing was sent, so any method may go elsewhere.
pub fn connect_failed(context: &mut RequestContext, mut error: Box<Error>) -> Box<Error> {
    if peer::lacks_socket(&error) {
        // Another endpoint would need one as well.
        error.set_retry(false);
        return error;
    }
    report(context, Fault::NoAnswer);
    context.attempts.give_up_current();
    let retry = attempts_left(context) > 0 && untried_endpoint(context);
    if retry {
        count_retry(context, "connect");
    }
    error.set_retry(retry);
    error
}

/// An attempt failed after the connection was made.
pub fn exchange_failed(
    session: &mut Session,
    context: &mut RequestContext,
    mut error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    // An endpoint that has not got the whole request yet owes nothing.
    let waits = error.etype() == &ErrorType::ReadTimedout && !session.is_body_done();
    if waits && !has_responded(session) {
        context.refusal = Some(Reason::BodyTimeout);
    }
    let failure = Failure {
        upstream: error.esource() == &ErrorSource::Upstream && !waits,
        stale_connection: reused && !has_responded(session) && is_stale(&error),
        prompt: context.attempts.begun_at.is_some_and(|begun| begun.elapsed() < PROMPT),
        unseen: reset(&error) == Some(h2::Reason::REFUSED_STREAM),
        idempotent: session.req_header().method.is_idempotent(),
        replayable: !session.retry_buffer_truncated(),
        responded: has_responded(session),
        left: attempts_left(context),
    };
    if failure.upstream
        && !failure.stale_connection
        && let Some(fault) = fault(failure.responded, error.etype())
    {
        report(context, fault);
    }
    let next = match after_failure(failure) {
        Next::OtherEndpoint => {
            context.attempts.give_up_current();
            if untried_endpoint(context) { Next::OtherEndpoint } else { Next::GiveUp }
        }
        next => next,
    };
    match next {
        Next::FreshConnection => {
            context.attempts.fresh = true;
            count_retry(context, "stale_connection");
        }
        Next::OtherEndpoint => count_retry(context, "failure"),
        Next::GiveUp => {}
    }
    error.set_retry(next != Next::GiveUp);
    error
}

/// An answer came to its end.
pub fn exchange_completed(context: &RequestContext) {
    if let Some(endpoint) = context.attempts.endpoint() {
        endpoint.completed();
    }
}

/// What the endpoint is blamed for. A stream that says nothing for long may have nothing to say, and whoever takes no
/// more of a request may have answered it already.
fn fault(responded: bool, error: &ErrorType) -> Option<Fault> {
    match (responded, error) {
        (false, _) => Some(Fault::NoAnswer),
        (true, ErrorType::ReadTimedout | ErrorType::WriteError | ErrorType::WriteTimedout) => None,
        (true, _) => Some(Fault::Cut),
    }
}

/// How an endpoint that closed a pooled connection looks: the write fails, or the connection ends before a single byte
/// of the response. One that resets a stream of HTTP/2 has seen its request, unless it says that it did not look
/// (RFC 9113, 8.7).
fn is_stale(error: &Error) -> bool {
    match error.etype() {
        ErrorType::WriteError | ErrorType::ConnectionClosed | ErrorType::ReadError => true,
        ErrorType::H2Error => reset(error).is_none_or(|why| why == h2::Reason::REFUSED_STREAM),
        _ => false,
    }
}

/// Why a stream of HTTP/2 was reset, if that is what happened.
fn reset(error: &Error) -> Option<h2::Reason> {
    error.root_cause().downcast_ref::<h2::Error>().filter(|cause| cause.is_reset())?.reason()
}

fn server_name(session: &Session) -> Option<String> {
    host::normalize(hygiene::authority(session.req_header())?).map(std::borrow::Cow::into_owned)
}

fn attempts_left(context: &RequestContext) -> u32 {
    let Some(routed) = &context.routed else { return 0 };
    (u32::from(routed.app.config().upstream.retries) + 1).saturating_sub(context.attempts.begun)
}

fn untried_endpoint(context: &RequestContext) -> bool {
    context.routed.as_ref().is_some_and(|routed| routed.version.pool().has_untried(&context.attempts.tried))
}

fn report(context: &RequestContext, fault: Fault) {
    let (Some(routed), Some(endpoint)) = (&context.routed, context.attempts.endpoint()) else {
        return;
    };
    if routed.version.pool().failed(endpoint, fault) == Verdict::Ejected {
        let labels = [&routed.app.config().id.to_string(), routed.version.id().as_str()];
        context.edge.metrics.ejections.with_label_values(&labels).inc();
        tracing::warn!(
            app = %routed.app.config().id, version = %routed.version.id(),
            endpoint = %endpoint.address(), "endpoint ejected after failures in a row",
        );
    }
}

fn count_retry(context: &RequestContext, cause: &str) {
    if let Some(routed) = &context.routed {
        let app = routed.app.config().id.to_string();
        context.edge.metrics.upstream_retries.with_label_values(&[&app, cause]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_blamed_for_what_it_does() {
        let blamed = [
            (false, ErrorType::ReadTimedout, Some(Fault::NoAnswer)),
            (false, ErrorType::WriteError, Some(Fault::NoAnswer)),
            (true, ErrorType::ConnectionClosed, Some(Fault::Cut)),
            (true, ErrorType::ReadError, Some(Fault::Cut)),
            (true, ErrorType::ReadTimedout, None),
            (true, ErrorType::WriteError, None),
            (true, ErrorType::WriteTimedout, None),
        ];
        for (responded, error, expected) in blamed {
            assert_eq!(fault(responded, &error), expected, "{responded} {error:?}");
        }
    }

    #[test]
    fn the_end_of_a_connection_looks_like_a_stale_one() {
        let cause: h2::Error = h2::Reason::INTERNAL_ERROR.into();
        assert!(is_stale(&Error::because(ErrorType::H2Error, "while reading", cause)));
        for kind in [ErrorType::WriteError, ErrorType::ConnectionClosed, ErrorType::H2Error] {
            assert!(is_stale(&Error::new(kind)));
        }
        assert!(!is_stale(&Error::new(ErrorType::ReadTimedout)));
    }
}
