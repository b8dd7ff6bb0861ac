//! Serves one request that belongs to the gateway, from its head to its record.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::server::Session;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;
use ulid::Ulid;

use super::admit::{self, Caller};
use super::answer::{Answering, Served};
use super::asked::{Asked, Head};
use super::client::Client;
use super::models;
use super::receive::{self, Expected, NotReceived};
use super::record::Record;
use super::run::Call;
use crate::ai::buffers::Reserved;
use crate::ai::errors::ApiError;
use crate::ai::gateway::Desk;
use crate::ai::keys::{Limited, Running};
use crate::ai::ledger::{self, Outcome, Refused};
use crate::ai::metrics;
use crate::ai::reading::Usage;
use crate::ai::route::Endpoint;
use crate::ai::snapshot::{Route, Snapshot};
use crate::front::Connection;

/// What a token limit is told to be where there is none.
const NO_LIMIT: u32 = u32::MAX >> 1;

/// What the access log says of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summary {
    pub(crate) key: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) target: Option<String>,
    /// How often a provider was asked.
    pub(crate) attempts: u32,
    pub(crate) usage: Option<Usage>,
    pub(crate) outcome: Option<Outcome>,
    /// The code of the error that the gateway itself answered with.
    pub(crate) code: Option<&'static str>,
}

impl Summary {
    /// As a part of a line of JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "key": self.key,
            "model": self.model,
            "target": self.target,
            "outcome": self.outcome.map(Outcome::as_str),
            "code": self.code,
            "tokens": self.usage,
        })
    }

    /// As the end of a line of text.
    pub(crate) fn text(&self) -> String {
        let or_dash = |text: &Option<String>| text.as_deref().unwrap_or("-").escape_default().to_string();
        let usage = self.usage.unwrap_or_default();
        format!(
            " key={} model={} target={} outcome={} code={} tokens_in={} tokens_out={}",
            or_dash(&self.key),
            or_dash(&self.model),
            or_dash(&self.target),
            self.outcome.map_or("-", Outcome::as_str),
            self.code.unwrap_or("-"),
            usage.input,
            usage.output,
        )
    }
}

/// Serves a request, whose client may send nothing of the body for as long as `idle`.
pub(crate) async fn serve(
    desk: &Desk,
    snapshot: &Arc<Snapshot>,
    session: &mut Session,
    id: Ulid,
    idle: Duration,
) -> (Served, Summary) {
    let described = describe(session);
    let mut record = Record::new(id, described, Arc::clone(&desk.gateway.ledger));
    let (mut head, caller) = match enter(snapshot, session.req_header()) {
        Ok(entered) => entered,
        // Boxed: whoever is let in needs no room for it.
        Err(error) => return Box::pin(turn_away(desk, snapshot, session, record, error)).await,
    };
    let mut client = Client::new(session, &desk.gateway, id).idle_for(idle);
    if let Caller::Known(key) = &caller {
        record.identify(Arc::clone(&key.config().identity));
    }
    let in_flight = InFlight::begin(desk);
    let mut visit =
        Visit { desk, snapshot, head: &mut head, caller: &caller, client: &mut client, record: &mut record };
    let (served, model) = Box::pin(visit.serve()).await;
    drop(in_flight);
    count(desk, &record, model.as_deref());
    (served, summary(&record))
}

/// Lets a caller in, with what its head asks for.
fn enter(snapshot: &Snapshot, request: &RequestHeader) -> Result<(Head, Caller), ApiError> {
    let route = snapshot.prefix.route(&request.method, request.uri.path());
    let route = route.ok_or_else(ApiError::unknown_path)?;
    let caller = admit::admit(snapshot, &request.headers)?;
    let callers_key = match &caller {
        Caller::Own(key) => Some(key.clone()),
        Caller::Known(_) | Caller::Anyone => None,
    };
    Ok((Head::new(request, route, callers_key), caller))
}

/// Answers a request that is not even looked at. It leaves its part in a sum, no record of its own.
async fn turn_away(
    desk: &Desk,
    snapshot: &Snapshot,
    session: &mut Session,
    record: Record,
    error: ApiError,
) -> (Served, Summary) {
    let request = session.req_header();
    let route = snapshot.prefix.route(&request.method, request.uri.path());
    let endpoint = route.map_or(Endpoint::Raw, |route| route.endpoint);
    desk.gateway.metrics.ai.refused(error.code);
    desk.gateway.ledger.refused(Refused {
        id: record.id,
        at: record.started_at,
        addr: record.client.addr,
        method: request.method.clone(),
        path: request.uri.path().to_owned(),
        status: error.status,
        reason: error.code,
    });
    let sent = Client::new(session, &desk.gateway, record.id).refuse(&error, endpoint).await;
    let summary = Summary { outcome: Some(Outcome::Rejected), code: Some(error.code), ..Summary::default() };
    (if sent.is_ok() { Served::Done } else { Served::Cut }, summary)
}

/// A request of an admitted caller.
struct Visit<'v, 's> {
    desk: &'v Desk,
    snapshot: &'v Arc<Snapshot>,
    head: &'v mut Head,
    caller: &'v Caller,
    client: &'v mut Client<'s>,
    record: &'v mut Record,
}

impl<'s> Visit<'_, 's> {
    /// Serves it; also tells the model as it is configured, if it got that far.
    async fn serve(&mut self) -> (Served, Option<Arc<Route>>) {
        match self.limit() {
            Ok(place) => self.record.place = place,
            Err(limited) => return (self.limited(limited).await, None),
        }
        if self.head.endpoint() == Endpoint::Realtime || wants_websocket(&self.head.headers) {
            return (self.reject(&ApiError::no_websockets(), &Bytes::new()).await, None);
        }
        match self.head.endpoint() {
            Endpoint::ModelList => return (self.tell(models::list(self.snapshot, self.caller)).await, None),
            Endpoint::Model => {
                let name = self.head.route.model.clone().unwrap_or_default();
                let served = match models::one(self.snapshot, self.caller, &name) {
                    Some(body) => self.tell(body).await,
                    None => self.reject(&ApiError::model_not_found(&name), &Bytes::new()).await,
                };
                return (served, None);
            }
            _ => {}
        }
        self.call().await
    }

    async fn call(&mut self) -> (Served, Option<Arc<Route>>) {
        let limits = self.snapshot.config.limits;
        let mut reserved = self.desk.gateway.buffers.reserve();
        let ending = &self.desk.gateway.ending;
        let body = match receive::expected(self.head, &limits) {
            Expected::Nothing => Bytes::new(),
            Expected::Kept => {
                let within = self.snapshot.config.timeouts.total;
                match receive::receive(self.client, self.head, &limits, within, &mut reserved, ending).await {
                    Ok(body) => body,
                    Err(NotReceived::Refused(error)) => {
                        // Its room is free before its client knows, and can ask again.
                        drop(reserved);
                        return (self.reject(&error, &Bytes::new()).await, None);
                    }
                    Err(NotReceived::Gone) => {
                        return (self.answering(&Bytes::new()).lost(Outcome::ClientClosed, 499).await, None);
                    }
                }
            }
            Expected::Streamed => {
                let mut asked = Asked::default();
                let route = match self.default_provider() {
                    Ok(route) => route,
                    Err(error) => return (self.reject(&error, &asked.body).await, None),
                };
                // Boxed: calls whose body is kept need no room for this.
                let served = Box::pin(self.made(&route, &mut asked, None).stream_body()).await;
                return (served, Some(route));
            }
        };
        let mut asked = match Asked::of(self.head, body.clone()) {
            Ok(asked) => asked,
            Err(error) => return (self.reject(&error, &body).await, None),
        };
        self.record.model.clone_from(&asked.model);
        let route = match self.route(&asked) {
            Ok(route) => route,
            Err(error) => return (self.reject(&error, &body).await, None),
        };
        drop(body);
        (self.made(&route, &mut asked, Some(reserved)).run().await, Some(route))
    }

    fn route(&self, asked: &Asked) -> Result<Arc<Route>, ApiError> {
        let Some(model) = &asked.model else { return self.default_provider() };
        let route = self.snapshot.model(model).filter(|_| self.caller.may_use(model));
        route.cloned().ok_or_else(|| ApiError::model_not_found(model))
    }

    /// Who has what names no model.
    fn default_provider(&self) -> Result<Arc<Route>, ApiError> {
        let route = self.snapshot.default_provider().filter(|_| self.caller.may_use_any());
        route.cloned().ok_or_else(ApiError::unknown_path)
    }

    fn made<'a>(
        &'a mut self,
        route: &'a Route,
        asked: &'a mut Asked,
        kept: Option<Reserved>,
    ) -> Call<'a, 's> {
        Call {
            desk: self.desk,
            snapshot: self.snapshot,
            route,
            head: self.head,
            asked,
            kept,
            client: self.client,
            record: self.record,
            said: None,
        }
    }

    fn limit(&self) -> Result<Option<Running>, Limited> {
        match self.caller {
            Caller::Known(key) => key.begin(Instant::now()).map(Some),
            Caller::Own(_) | Caller::Anyone => Ok(None),
        }
    }

    /// Tells what the gateway itself knows.
    async fn tell(&mut self, body: Bytes) -> Served {
        let made = ResponseHeader::build(200, Some(4)).and_then(|mut header| {
            header.insert_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
            Ok(header)
        });
        match made {
            Ok(header) => self.answering(&Bytes::new()).whole(header, body, Outcome::Complete).await,
            Err(_) => Served::Cut,
        }
    }

    async fn reject(&mut self, error: &ApiError, body: &Bytes) -> Served {
        self.answering(body).refuse(error, Outcome::Rejected).await
    }

    async fn limited(&mut self, limited: Limited) -> Served {
        let error = match limited {
            Limited::PerMinute { wait, .. } => ApiError::rate_limited(wait),
            Limited::AtOnce { .. } => ApiError::too_many_at_once(),
        };
        self.record.code = Some(error.code);
        let made = error.header().and_then(|mut header| {
            limits_of(&mut header, limited)?;
            Ok(header)
        });
        let body = error.body(self.head.endpoint());
        match made {
            Ok(header) => self.answering(&Bytes::new()).whole(header, body, Outcome::Rejected).await,
            Err(_) => Served::Cut,
        }
    }

    fn answering<'a>(&'a mut self, body: &'a Bytes) -> Answering<'a, 's> {
        Answering {
            client: self.client,
            record: self.record,
            head: self.head,
            body,
            metrics: &self.desk.gateway.metrics.ai,
        }
    }
}

/// OpenAI's headers of a limit. Tokens are not limited here.
fn limits_of(header: &mut ResponseHeader, limited: Limited) -> pingora::Result<()> {
    let (limit, reset) = match limited {
        Limited::PerMinute { limit, reset, .. } => (limit, reset),
        Limited::AtOnce { limit } => (limit, Duration::ZERO),
    };
    let values = [
        ("x-ratelimit-limit-requests", limit.to_string()),
        ("x-ratelimit-remaining-requests", "0".to_owned()),
        ("x-ratelimit-reset-requests", format!("{}ms", crate::clock::millis(reset))),
        ("x-ratelimit-limit-tokens", NO_LIMIT.to_string()),
        ("x-ratelimit-remaining-tokens", NO_LIMIT.to_string()),
        ("x-ratelimit-reset-tokens", "0s".to_owned()),
    ];
    values.into_iter().try_for_each(|(name, value)| header.insert_header(name, value))
}

/// A call that runs, until dropped.
struct InFlight<'d> {
    desk: &'d Desk,
    _call: TaskTrackerToken,
}

impl<'d> InFlight<'d> {
    fn begin(desk: &'d Desk) -> Self {
        desk.gateway.metrics.ai.in_flight.inc();
        Self { desk, _call: desk.gateway.calls.token() }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.desk.gateway.metrics.ai.in_flight.dec();
    }
}

fn describe(session: &Session) -> ledger::Client {
    let headers = &session.req_header().headers;
    let text = |headers: &HeaderMap, name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    ledger::Client {
        addr: Connection::of(session).map(|connection| connection.client),
        user_agent: text(headers, USER_AGENT.as_str()),
        request_id: text(headers, "x-client-request-id").or_else(|| text(headers, "x-request-id")),
        key: None,
    }
}

/// Other protocols that a client would rather speak may be left unanswered (RFC 9110, 7.8).
fn wants_websocket(headers: &HeaderMap) -> bool {
    let named =
        headers.get_all(UPGRADE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    named.into_iter().any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn count(desk: &Desk, record: &Record, route: Option<&Route>) {
    let (Some(route), Some(last), Some(outcome)) = (route, record.attempts.last(), record.outcome) else {
        return;
    };
    let first = record.first_byte.map(|at| at.duration_since(record.started).as_secs_f64());
    let used = record.attempts.iter().filter_map(|attempt| attempt.usage).sum();
    desk.gateway.metrics.ai.ended(&metrics::Ended {
        model: &route.model.name,
        provider: &last.target.provider,
        key: record.client.key.as_ref().map(|key| key.id.as_str()),
        outcome,
        usage: used,
        cost: record.cost(),
        first_byte: first,
        fell_back: record.attempts.first().is_some_and(|first| first.target != last.target),
    });
}

fn summary(record: &Record) -> Summary {
    let target = record.attempts.last().map(|attempt| match &attempt.target.model {
        Some(model) => format!("{}/{model}", attempt.target.provider),
        None => attempt.target.provider.to_string(),
    });
    Summary {
        key: record.client.key.as_ref().map(|key| key.id.clone()),
        model: record.model.clone(),
        target,
        attempts: u32::try_from(record.attempts.len()).unwrap_or(u32::MAX),
        usage: record.usage,
        outcome: record.outcome,
        code: record.code,
    }
}
