//! Who may ask and who may change. Loopback may read without a token; everything else needs one,
//! and changes need one that may operate. Its name is the actor in the history.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::answer::Refusal;
use super::listener::Peer;
use crate::config::model::{AdminToken, Permission};
use crate::process::Shared;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Actor(pub(super) String);

pub(super) async fn may_read(
    State(shared): State<Shared>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let anonymous = peer.ip().to_canonical().is_loopback() && bearer(request.headers()).is_none();
    if !anonymous {
        authenticate(&shared.plane.config().server.admin.tokens, request.headers())?;
    }
    Ok(next.run(request).await)
}

pub(super) async fn may_operate(
    State(shared): State<Shared>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let config = shared.plane.config();
    let tokens = &config.server.admin.tokens;
    let token = authenticate(tokens, request.headers())?;
    if token.can < Permission::Operate {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("the token {:?} may read, but not operate", token.name),
        ));
    }
    request.extensions_mut().insert(Actor(token.name.clone()));
    Ok(next.run(request).await)
}

pub(super) async fn may_scrape(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let config = shared.plane.config();
    let admin = &config.server.admin;
    if let Some(expected) = &admin.metrics_token {
        let given = bearer(request.headers()).ok_or_else(unauthorized)?;
        if !expected.matches(given) {
            authenticate(&admin.tokens, request.headers())?;
        }
    }
    Ok(next.run(request).await)
}

/// The token of a request. All of them are compared, so that time says nothing about which failed.
fn authenticate<'t>(tokens: &'t [AdminToken], headers: &HeaderMap) -> Result<&'t AdminToken, Refusal> {
    if tokens.is_empty() {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "no_tokens",
            "server.admin.tokens is empty: nobody may do this",
        ));
    }
    let given = bearer(headers).ok_or_else(unauthorized)?;
    let matching =
        tokens.iter().fold(None, |found, token| if token.token.matches(given) { Some(token) } else { found });
    matching.ok_or_else(|| {
        let message = "the token is none of server.admin.tokens";
        Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    })
}

/// RFC 6750, 2.1.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn unauthorized() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "send Authorization: Bearer with a token of server.admin.tokens",
    )
}
