//! What the handles, the readers and the writer thread share.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::error::JournalError;
use super::options::Options;
use super::queue::Queue;
use super::stats::Stats;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) id: u64,
    pub(crate) queue: Queue,
    /// Beginning of each segment, and its end if it is sealed.
    pub(crate) catalog: Mutex<BTreeMap<u64, Option<u64>>>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) stats: Mutex<Stats>,
}

/// How far the writer is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Up to where everything is on disk.
    pub(crate) durable: u64,
    /// Why nothing more will come.
    pub(crate) ended: Option<JournalError>,
}

impl Shared {
    /// The segment that holds a position, or the next one after it: its beginning and end.
    pub(crate) fn segment_at(&self, position: u64) -> Option<(u64, u64)> {
        let catalog = self.catalog.lock();
        let whole = |(base, end): (&u64, &Option<u64>)| (*base, end.unwrap_or(u64::MAX));
        let holder = catalog.range(..=position).next_back().map(whole).filter(|(_, end)| *end > position);
        holder.or_else(|| catalog.range(position..).next().map(whole))
    }
}
