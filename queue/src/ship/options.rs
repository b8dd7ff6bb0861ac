//! How a shipper behaves.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::encoding::Compression;
use super::key::{NameError, check_node, check_prefix};

/// The most uploads at a time: what is on its way is kept with the journal's acknowledgement.
pub(crate) const MOST_IN_FLIGHT: usize = 12;

/// The options of a [`Shipper`](super::Shipper). The defaults suit an audit log.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) node: String,
    pub(crate) prefix: String,
    pub(crate) limits: Limits,
    pub(crate) compression: Compression,
    pub(crate) in_flight: usize,
    pub(crate) retry: Retry,
}

/// When a batch is complete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) records: usize,
    pub(crate) age: Duration,
    pub(crate) bytes: u64,
    pub(crate) cache: usize,
}

/// How long until an upload is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) refused: Duration,
}

impl Options {
    /// The defaults for a node, whose name is part of every key: no other shipper to the same sink may
    /// have it, nor this one with another journal. Letters, digits, `.`, `_` and `-`.
    ///
    /// # Errors
    /// If the node can't be part of a key.
    pub fn new(node: impl Into<String>) -> Result<Self, NameError> {
        let node = node.into();
        check_node(&node)?;
        Ok(Self {
            node,
            prefix: String::new(),
            limits: Limits {
                records: 100,
                age: Duration::from_secs(5),
                bytes: 16 * 1024 * 1024,
                cache: 16 * 1024 * 1024,
            },
            compression: Compression::default(),
            in_flight: 4,
            retry: Retry {
                first: Duration::from_millis(200),
                longest: Duration::from_secs(30),
                refused: Duration::from_secs(180),
            },
        })
    }

    /// What all keys begin with (default: nothing), such as `audit/`.
    ///
    /// # Errors
    /// If it can't be the beginning of a key.
    pub fn prefix(self, prefix: impl Into<String>) -> Result<Self, NameError> {
        let prefix = prefix.into();
        check_prefix(&prefix)?;
        Ok(Self { prefix, ..self })
    }

    /// How many records make a batch (default 100, at least 1).
    #[must_use]
    pub fn records(mut self, records: usize) -> Self {
        self.limits.records = records.max(1);
        self
    }

    /// How long the first record of a batch waits for others (default 5 s).
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.limits.age = age;
        self
    }

    /// How many bytes make a batch (default 16 MiB), counted as the contents of frames. A larger record
    /// is a batch of its own.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// How many bytes of frames of open groups stay in memory (default 16 MiB). Others are read again
    /// when their group has ended.
    #[must_use]
    pub fn cache(mut self, bytes: usize) -> Self {
        self.limits.cache = bytes;
        self
    }

    /// How objects are compressed (default gzip).
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// How many uploads are under way at a time (default 4, from 1 to 12).
    #[must_use]
    pub fn in_flight(self, in_flight: usize) -> Self {
        Self { in_flight: in_flight.clamp(1, MOST_IN_FLIGHT), ..self }
    }

    /// How long after a failure an upload is tried again: first (default 200 ms), then twice as long
    /// each time, up to the longest (default 30 s), each with as much again at random.
    #[must_use]
    pub fn retry(mut self, first: Duration, longest: Duration) -> Self {
        (self.retry.first, self.retry.longest) = (first, longest.max(first));
        self
    }

    /// How long after the sink refused an upload for good it is tried again (default 3 minutes).
    #[must_use]
    pub fn retry_refused(mut self, after: Duration) -> Self {
        self.retry.refused = after;
        self
    }
}

impl Retry {
    /// Pauses without end.
    pub(crate) fn pauses(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
    }
}
