//! Who may ask and who may change. Loopback may read without a token; everything else needs one,
//! and changes need one that may operate. Its name is the actor in the history.

use std::net::IpAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
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
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let headers = request.headers();
    let anonymous =
        peer.addr.ip().to_canonical().is_loopback() && !headers.contains_key(header::AUTHORIZATION);
    if anonymous {
        check_host(headers)?;
    } else {
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

/// A page from elsewhere can make a browser on this machine ask here, under a name of its own that it made
/// point at loopback. No name but that of loopback may do so without a token.
fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    // Browsers always name one.
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let local = Authority::try_from(host.as_bytes()).is_ok_and(|host| {
        let name = host.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
    });
    if local {
        return Ok(());
    }
    let message = "under this host name a token is needed; without one, ask by address or as localhost";
    Err(Refusal::new(StatusCode::FORBIDDEN, "foreign_host", message))
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
