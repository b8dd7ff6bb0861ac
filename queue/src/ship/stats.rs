//! What a shipper counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::sink::Object;

/// Counters since the shipper was made, and what it is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records that the sink confirmed.
    pub records: u64,
    /// Objects that the sink confirmed.
    pub batches: u64,
    /// Their bytes, as they were shipped.
    pub bytes: u64,
    /// Uploads that failed and were tried again soon.
    pub retries: u64,
    /// Uploads that the sink refused for good; they are tried again every few minutes.
    pub refusals: u64,
    /// Objects that found another one under their key: somebody else writes to the same place.
    pub conflicts: u64,
    /// Batches that did not come out as they were sealed before a crash: the journal was damaged, or
    /// the assembler changed.
    pub changed: u64,
    /// Uploads under way.
    pub in_flight: u64,
    /// How long ago the oldest record ended that is read and not shipped.
    pub oldest_unshipped: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    records: Counter,
    batches: Counter,
    bytes: Counter,
    pub(crate) retries: Counter,
    pub(crate) refusals: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) changed: Counter,
    in_flight: Counter,
    /// In milliseconds since 1970; 0 if there is none.
    oldest: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    pub(crate) fn shipped(&self, object: &Object) {
        self.records.add((object.last - object.first).saturating_add(1));
        self.batches.add(1);
        self.bytes.add(u64::try_from(object.bytes.len()).unwrap_or(u64::MAX));
    }

    pub(crate) fn publish(&self, in_flight: usize, oldest: Option<u64>) {
        self.in_flight.0.store(u64::try_from(in_flight).unwrap_or(u64::MAX), Relaxed);
        self.oldest.0.store(oldest.unwrap_or_default(), Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let oldest = Duration::from_millis(self.oldest.get());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stats {
            records: self.records.get(),
            batches: self.batches.get(),
            bytes: self.bytes.get(),
            retries: self.retries.get(),
            refusals: self.refusals.get(),
            conflicts: self.conflicts.get(),
            changed: self.changed.get(),
            in_flight: self.in_flight.get(),
            oldest_unshipped: (!oldest.is_zero()).then(|| now.saturating_sub(oldest)),
        }
    }
}
