//! The request path: Pingora's phases, each a few lines that gather what a pure function decides
//! on, and the way past them for streams of the AI gateway (`engine`). `request` refuses what is malformed and routes the rest, `upstream` chooses endpoints and
//! retries, `forwarded` and `response` write headers, `errors` turns every failure into its answer.

mod ai;
mod begin;
pub mod context;
pub mod engine;
pub mod errors;
mod fail;
mod finish;
pub mod forwarded;
pub mod hygiene;
mod linger;
mod phases;
pub mod request;
pub mod response;
pub mod retry;
pub mod upstream;

use std::sync::Arc;

use crate::access_log::AccessLog;
use crate::ai::gateway::Desk;
use crate::metrics::Metrics;
use crate::plane::Plane;
use crate::tee::Tee;

pub use context::RequestContext;

/// Our side of Pingora's proxy. Cheap to clone; each worker has one that it shares with none, so
/// that counting its clones costs no traffic between cores.
#[derive(Clone)]
pub struct Edge(Arc<Parts>);

/// Where requests leave their traces, and what they are routed by.
#[derive(Clone)]
pub struct Parts {
    pub(crate) plane: Arc<Plane>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    pub(crate) tee: Tee,
    pub(crate) ai: Arc<Desk>,
}

impl Edge {
    /// Puts the request path together.
    #[must_use]
    pub fn new(
        plane: Arc<Plane>,
        metrics: Arc<Metrics>,
        access_log: AccessLog,
        tee: Tee,
        ai: Arc<Desk>,
    ) -> Self {
        Self(Arc::new(Parts { plane, metrics, access_log, tee, ai }))
    }

    /// The same for another thread.
    #[must_use]
    pub fn unshared(&self) -> Self {
        Self(Arc::new(Parts { ai: self.ai.gateway.desk(), ..Parts::clone(&self.0) }))
    }
}

impl std::ops::Deref for Edge {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
