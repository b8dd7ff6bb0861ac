//! Says where a request would go and why, without sending one: the same table, pins and decision
//! as on the request path.

use http::{HeaderMap, HeaderValue, Method};
use pingora::http::RequestHeader;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ai::gateway;
use crate::ai::route::Prefix;
use crate::config::ai::model::Ai;
use crate::edge::hygiene;
use crate::edge::request::{self, Refused};
use crate::reason::Reason;
use crate::routing::{Pinning, RoutingTable};

/// The request to explain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its host.
    pub host: String,
    /// Its path, with a query if wanted.
    #[serde(default = "root")]
    pub path: String,
    /// Its method.
    #[serde(default = "get")]
    pub method: String,
    /// The value of its `Cookie` header.
    #[serde(default)]
    pub cookie: Option<String>,
    /// Further headers, `name: value`, one a line.
    #[serde(default)]
    pub headers: Option<String>,
}

/// A question that is no request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} can't be part of a request: {given:?}")]
pub struct Unaskable {
    what: &'static str,
    given: String,
}

/// Where a request would go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// The app, if one answers for the host and path.
    pub app: Option<String>,
    /// The version that would serve it.
    pub version: Option<String>,
    /// The state of that version.
    pub state: Option<String>,
    /// The rule that chose it, or for which the request is refused.
    pub reason: String,
    /// The same in words.
    pub why: String,
    /// The status of the refusal, if it is refused.
    pub status: Option<u16>,
    /// Whether the response would carry the pin.
    pub pins: bool,
    /// `x-lockstep-skew` of the response.
    pub skew: Option<String>,
    /// The active version of the app.
    pub active: Option<String>,
    /// The version that some new visitors get instead, with their share: `v2 (20%)`.
    #[serde(default)]
    pub canary: Option<String>,
    /// Endpoints that it could go to.
    pub endpoints: Vec<String>,
    /// Whether the request counts as a page load.
    pub page_load: bool,
}

/// Explains a request by a table, and the AI gateway's configuration if there is one.
///
/// # Errors
/// If the question is no request.
pub fn explain(table: &RoutingTable, ai: Option<&Ai>, question: &Question) -> Result<Explanation, Unaskable> {
    let request = build(question)?;
    let page_load = crate::routing::page::is_page_load(&request.method, &request.headers);
    let (authority, path) = (hygiene::authority(&request), request.uri.path());
    if ai.is_some_and(|ai| gateway::owns(ai, &Prefix::new(ai.path.as_str()), table, authority, path)) {
        return Ok(by_gateway(page_load));
    }
    Ok(match request::route(table, &request) {
        Ok(routed) => {
            let version = &routed.version;
            Explanation {
                app: Some(routed.app.config().id.to_string()),
                version: Some(version.id().to_string()),
                state: Some(version.state().as_str().to_owned()),
                reason: routed.reason.as_str().to_owned(),
                why: routed.reason.explanation().to_owned(),
                status: None,
                pins: routed.pinning == Pinning::Pin,
                skew: routed.skew.map(|skew| skew.as_str().to_owned()),
                active: routed.app.active().map(|active| active.id().to_string()),
                canary: routed.app.canary().map(|(id, percent)| format!("{id} ({percent}%)")),
                endpoints: version.pool().endpoints().iter().map(|e| e.address().to_string()).collect(),
                page_load,
            }
        }
        Err(refused) => refusal(&refused, page_load),
    })
}

/// Its models and keys are the gateway's to judge.
fn by_gateway(page_load: bool) -> Explanation {
    Explanation {
        reason: Reason::Ai.as_str().to_owned(),
        why: Reason::Ai.explanation().to_owned(),
        page_load,
        ..Explanation::default()
    }
}

fn refusal(refused: &Refused, page_load: bool) -> Explanation {
    Explanation {
        app: refused.app.as_ref().map(|app| app.config().id.to_string()),
        version: refused.version.as_ref().map(|version| version.id().to_string()),
        state: refused.version.as_ref().map(|version| version.state().as_str().to_owned()),
        reason: refused.reason.as_str().to_owned(),
        why: refused.reason.message().to_owned(),
        status: refused.reason.status(),
        active: refused.app.as_ref().and_then(|app| app.active()).map(|active| active.id().to_string()),
        page_load,
        ..Explanation::default()
    }
}

fn build(question: &Question) -> Result<RequestHeader, Unaskable> {
    let bad = |what, given: &str| Unaskable { what, given: given.chars().take(80).collect() };
    let method: Method = question.method.parse().map_err(|_| bad("the method", &question.method))?;
    let path: http::Uri = question.path.parse().map_err(|_| bad("the path", &question.path))?;
    if !question.path.starts_with('/') {
        return Err(bad("the path", &question.path));
    }
    let mut request = RequestHeader::build(method, question.path.as_bytes(), None)
        .map_err(|_| bad("the path", &question.path))?;
    request.set_uri(path);
    for (name, value) in headers(question) {
        let value = HeaderValue::from_str(value).map_err(|_| bad("the header", name))?;
        request.append_header(name.to_owned(), value).map_err(|_| bad("the header", name))?;
    }
    let has_host: &HeaderMap = &request.headers;
    if has_host.contains_key(http::header::HOST) { Ok(request) } else { Err(bad("the host", &question.host)) }
}

fn headers(question: &Question) -> impl Iterator<Item = (&str, &str)> {
    let further = question.headers.as_deref().unwrap_or_default().lines();
    let further =
        further.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()));
    let cookie = question.cookie.as_deref().map(|cookie| ("cookie", cookie));
    [("host", question.host.as_str())].into_iter().chain(cookie).chain(further)
}

fn root() -> String {
    "/".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}
