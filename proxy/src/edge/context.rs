//! What one request carries through its phases.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Uri};

use super::Edge;
use super::request::Refused;
use crate::ai::call::serve::Summary;
use crate::config::model::Limits;
use crate::endpoints::Endpoint;
use crate::endpoints::endpoint::EndpointInFlight;
use crate::front::tracked::Running;
use crate::reason::Reason;
use crate::routing::decision::{Pinning, Skew};
use crate::routing::{AppRoute, VersionRoute};
use crate::stats::InFlight;
use crate::tee::Capture;

/// The state of one request, from its head to its last byte.
pub struct RequestContext {
    /// Where it ends up when it is over.
    pub(crate) edge: Edge,
    /// When its head was complete.
    pub(crate) started: Instant,
    /// How long it took to answer, if the client went on sending after that.
    pub(crate) took: Option<Duration>,
    /// The limits that it began with.
    pub(crate) limits: Limits,
    /// Counts it as traffic of the version that serves it.
    pub(crate) in_flight: Option<InFlight>,
    /// Where it goes, once that is decided.
    pub(crate) routed: Option<Routed>,
    /// What kept it from going anywhere, if that was decided.
    pub(crate) refused: Option<Box<Refused>>,
    /// Why it is refused, once it is.
    pub(crate) refusal: Option<Reason>,
    /// What the access log says of its head.
    pub(crate) seen: Option<Box<Seen>>,
    /// Whether the client came by https.
    pub(crate) https: bool,
    /// The id that upstream and logs know it by.
    pub(crate) request_id: Option<HeaderValue>,
    /// The attempts so far.
    pub(crate) attempts: Attempts,
    /// Interim responses so far.
    pub(crate) interim: u16,
    /// Bytes of the request body that came in this attempt.
    pub(crate) body_bytes: u64,
    /// What the client was sent of the upstream's answer.
    pub(crate) sent: Sent,
    /// What the tee has gathered, on apps that want it.
    pub(crate) capture: Option<Box<Capture>>,
    /// Keeps the connection from being taken for idle.
    pub(crate) running: Option<Running>,
    /// What the access log says of a call of the AI gateway.
    pub(crate) ai: Option<Box<Summary>>,
    /// Whether it was counted and logged: requests that are cut never get to that by themselves.
    pub(crate) finished: bool,
}

/// The head of a request, as far as the access log names it. Kept apart from Pingora's session,
/// which is gone when a request is cut.
pub(crate) struct Seen {
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: Method,
    pub(crate) host: Option<String>,
    pub(crate) uri: Uri,
}

/// How much of an upstream's answer has left. Kept apart from Pingora's session, like [`Seen`].
#[derive(Default)]
pub(crate) struct Sent {
    /// Of the final answer, once there is one.
    pub(crate) status: Option<u16>,
    /// Bytes of its body.
    pub(crate) bytes: u64,
}

/// The version that serves a request.
pub struct Routed {
    /// The app.
    pub app: Arc<AppRoute>,
    /// The version.
    pub version: Arc<VersionRoute>,
    /// Why this one.
    pub reason: Reason,
    /// Whether the response pins.
    pub pinning: Pinning,
    /// The pin that could not be honoured.
    pub skew: Option<Skew>,
    /// Whether it loads a page.
    pub page_load: bool,
}

/// The attempts to get an answer from an endpoint.
#[derive(Default)]
pub struct Attempts {
    /// How many were begun.
    pub begun: u32,
    /// When the running one was.
    pub begun_at: Option<Instant>,
    /// Endpoints that are not to be asked again.
    pub tried: Vec<SocketAddr>,
    /// The endpoint of the running attempt.
    pub current: Option<EndpointInFlight>,
    /// Whether the next one needs a connection that was never used.
    pub fresh: bool,
}

impl RequestContext {
    /// The context of a request whose head just arrived.
    #[must_use]
    pub fn new(edge: Edge) -> Self {
        let limits = edge.plane.table_for_request().limits();
        Self {
            edge,
            started: Instant::now(),
            took: None,
            limits,
            in_flight: None,
            routed: None,
            refused: None,
            refusal: None,
            seen: None,
            https: false,
            request_id: None,
            attempts: Attempts::default(),
            interim: 0,
            body_bytes: 0,
            sent: Sent::default(),
            capture: None,
            running: None,
            ai: None,
            finished: false,
        }
    }

    /// Notes why the request is refused and makes the error that ends it.
    pub(crate) fn refuse(&mut self, reason: Reason) -> Box<pingora::Error> {
        self.refusal = Some(reason);
        let status = reason.status().unwrap_or(500);
        pingora::Error::explain(pingora::ErrorType::HTTPStatus(status), reason.as_str())
    }

    /// The reason for log and metric: the refusal, if there is one.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.refusal.or(self.routed.as_ref().map(|routed| routed.reason)).unwrap_or(Reason::Internal)
    }

    /// The app that it is for, if it got that far.
    #[must_use]
    pub fn app(&self) -> Option<&Arc<AppRoute>> {
        let refused = || self.refused.as_ref()?.app.as_ref();
        self.routed.as_ref().map(|routed| &routed.app).or_else(refused)
    }

    /// The version that was chosen, if it got that far.
    #[must_use]
    pub fn version(&self) -> Option<&Arc<VersionRoute>> {
        let refused = || self.refused.as_ref()?.version.as_ref();
        self.routed.as_ref().map(|routed| &routed.version).or_else(refused)
    }

    /// Time from the end of its head to that of its answer.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took.unwrap_or_else(|| self.started.elapsed())
    }

    /// Notes that it is answered, although its client goes on sending: that is no traffic of anybody's.
    pub(crate) fn answered(&mut self) {
        self.took = Some(self.took());
        self.in_flight = None;
        self.attempts.give_up_current();
    }
}

impl Attempts {
    /// The endpoint of the running attempt.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        self.current.as_ref().map(EndpointInFlight::endpoint)
    }

    /// Leaves the endpoint of the running attempt out from now on.
    pub fn give_up_current(&mut self) {
        if let Some(current) = self.current.take() {
            self.tried.push(current.endpoint().address());
        }
    }
}
