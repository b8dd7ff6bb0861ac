//! The tee of app traffic: apps with `audit: metadata` or `full` leave a record of each request.
//! It never slows or breaks a request: a record that the sink can't take is dropped and counted.

pub mod capture;
pub mod journal;
pub mod record;

use std::sync::Arc;

use thiserror::Error;

pub use capture::Capture;
pub use record::Record;

use pingora::protocols::http::server::Session as HttpSession;

use crate::config::model::AuditLevel;
use crate::front::Connection;
use crate::metrics::Metrics;

/// Takes finished records. Bounded: it refuses rather than waits.
pub trait Sink: Send + Sync {
    /// Takes a record, or says at once that it can't.
    ///
    /// # Errors
    /// If it is full or gone; the record is lost then.
    fn offer(&self, record: Record) -> Result<(), SinkFull>;
}

/// The sink can't take more at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the sink of the tee is full")]
pub struct SinkFull;

/// Where requests leave their records. Cheap to clone.
#[derive(Clone)]
pub struct Tee {
    /// None: nothing is recorded, whatever apps ask for.
    sink: Option<Arc<dyn Sink>>,
    metrics: Arc<Metrics>,
}

impl Tee {
    /// A tee into `sink`; without one it records nothing.
    #[must_use]
    pub fn new(sink: Option<Arc<dyn Sink>>, metrics: Arc<Metrics>) -> Self {
        Self { sink, metrics }
    }

    /// Begins to record a request, if its app wants that and there is a sink.
    #[must_use]
    pub fn capture(
        &self,
        level: AuditLevel,
        session: &HttpSession,
        connection: &Connection,
    ) -> Option<Box<Capture>> {
        self.sink.as_ref().and_then(|_| Capture::begin(level, session, connection))
    }

    /// Leaves a record.
    pub fn offer(&self, record: Record) {
        let Some(sink) = &self.sink else { return };
        let result = if sink.offer(record).is_ok() { "taken" } else { "dropped" };
        self.metrics.tee_records.with_label_values(&[result]).inc();
    }
}
