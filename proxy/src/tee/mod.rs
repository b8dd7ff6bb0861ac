//! The tee of app traffic: apps with `audit: metadata` or `full` leave a record of each request.
//! It never slows or breaks a request: a record that the sink can't take is dropped and counted.

pub mod capture;
pub mod jsonl;
pub mod record;

use std::sync::Arc;

use thiserror::Error;

pub use capture::Capture;
pub use record::Record;

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
    sink: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
}

impl Tee {
    /// A tee into `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn Sink>, metrics: Arc<Metrics>) -> Self {
        Self { sink, metrics }
    }

    /// Leaves a record.
    pub fn offer(&self, record: Record) {
        let result = if self.sink.offer(record).is_ok() { "taken" } else { "dropped" };
        self.metrics.tee_records.with_label_values(&[result]).inc();
    }
}
