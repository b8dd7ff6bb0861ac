//! Makes batches of what the journal holds.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::assemble::Assemble;
use super::groups::Groups;
use super::key::hour_of;
use super::options::Limits;
use super::seal::{Mark, Seal};
use super::source::Source;
use crate::journal::{Gap, Item, Position, Stamp};

/// Records in the order in which they ended.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) sources: Vec<(Stamp, Source)>,
    /// Number of its first record.
    pub(crate) first: u64,
    /// Where its last record ends in the journal.
    pub(crate) to: Position,
    pub(crate) bytes: u64,
    /// The hour of its records; unknown as long as no record said any time.
    pub(crate) hour: Option<u64>,
    pub(crate) opened: Instant,
    /// What an earlier process sealed.
    pub(crate) seal: Option<Seal>,
}

/// Takes what the journal holds, in order, and numbers the records.
pub(crate) struct Collector {
    assemble: Arc<dyn Assemble>,
    groups: Groups,
    limits: Limits,
    /// Batches that an earlier process sealed, and whose records are not read yet.
    sealed: VecDeque<Seal>,
    /// No record after those gets a lower number.
    resume: u64,
    next: u64,
    at: u64,
    open: Option<Batch>,
    ready: VecDeque<Batch>,
}

impl Collector {
    /// One that goes on from where a mark says.
    pub(crate) fn new(assemble: Arc<dyn Assemble>, groups: Groups, limits: Limits, mark: &Mark) -> Self {
        Self {
            assemble,
            groups,
            limits,
            sealed: mark.seals.iter().cloned().collect(),
            resume: mark.resume,
            next: mark.next,
            at: mark.at,
            open: None,
            ready: VecDeque::new(),
        }
    }

    /// The next complete batch.
    pub(crate) fn pop(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }

    /// Whether no batch is complete.
    pub(crate) fn is_hungry(&self) -> bool {
        self.ready.is_empty()
    }

    /// The number of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// When the batch that is being filled is old enough. Sealed ones wait for their last record.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let open = self.open.as_ref().filter(|_| self.sealed.is_empty())?;
        Some(open.opened + self.limits.age)
    }

    /// The time of the oldest record that is not in a batch that was taken.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.ready.front().or(self.open.as_ref()).map(Batch::since)
    }

    /// Takes the next item of the journal. What is missing may cross the ends of batches that were sealed: each tells its
    /// part, as one that is in the sink already stays as it is, and tells nothing.
    pub(crate) fn take(&mut self, item: Item) {
        let Item::Gap(mut gap) = item else {
            self.take_part(item);
            return;
        };
        while let Some(end) =
            self.sealed.front().map(|seal| Position::new(seal.to)).filter(|end| *end < gap.to)
        {
            if end > gap.from {
                self.take_part(Item::Gap(Gap { to: end, ..gap }));
                gap.from = end;
            } else {
                self.close();
            }
        }
        self.take_part(Item::Gap(gap));
    }

    fn take_part(&mut self, item: Item) {
        let to = item.end();
        if let Some((source, at)) = Source::of(item, &mut self.groups, &*self.assemble) {
            self.add(source, at, to);
        }
        if self.sealed.front().is_some_and(|seal| to.as_u64() >= seal.to) {
            self.close();
        }
    }

    /// Completes the batch that is being filled, unless it was sealed with more records.
    pub(crate) fn cut(&mut self) {
        if self.sealed.is_empty() {
            self.close();
        }
    }

    fn add(&mut self, source: Source, at: Option<u64>, to: Position) {
        self.at = self.at.max(at.unwrap_or_default());
        let hour = (self.at > 0).then(|| hour_of(self.at));
        let bytes = source.bytes();
        let turned = |open: &Batch| open.hour.is_some() && open.hour != hour;
        let overfull = |open: &Batch| open.bytes.saturating_add(bytes) > self.limits.bytes;
        if self.open.as_ref().is_some_and(|open| turned(open) || overfull(open)) {
            self.cut();
        }
        let last = self.sealed.front().map_or(u64::MAX, |seal| seal.last);
        let stamp = Stamp { seq: self.next.min(last), at_millis: self.at };
        let batch = self.open.get_or_insert_with(|| Batch::new(self.next, to));
        batch.sources.push((stamp, source));
        batch.to = to;
        batch.bytes = batch.bytes.saturating_add(bytes);
        batch.hour = batch.hour.or(hour);
        self.next += 1;
        if batch.sources.len() >= self.limits.records || batch.bytes >= self.limits.bytes {
            self.cut();
        }
    }

    fn close(&mut self) {
        let seal = self.sealed.pop_front();
        let Some(seal) = seal else {
            self.ready.extend(self.open.take());
            return;
        };
        // Nothing is left of it if all its records were lost since, in a gap that began before it.
        let open = self.open.take();
        let mut batch = open.unwrap_or_else(|| Batch::new(seal.first, Position::new(seal.to)));
        batch.to = batch.to.max(Position::new(seal.to));
        self.next = seal.last.saturating_add(1);
        if self.sealed.is_empty() {
            self.next = self.next.max(self.resume);
        }
        self.at = self.at.max(seal.at);
        batch.seal = Some(seal);
        self.ready.push_back(batch);
    }
}

impl Batch {
    fn new(first: u64, to: Position) -> Self {
        let opened = Instant::now();
        Self { sources: Vec::new(), first, to, bytes: 0, hour: None, opened, seal: None }
    }

    /// The number of its last record.
    pub(crate) fn last(&self) -> u64 {
        let records = u64::try_from(self.sources.len()).unwrap_or(u64::MAX);
        let last = self.first.saturating_add(records.saturating_sub(1));
        self.seal.as_ref().map_or(last, |seal| seal.last)
    }

    /// The time of its last record.
    pub(crate) fn at(&self) -> u64 {
        self.sources.last().map_or(0, |(stamp, _)| stamp.at_millis)
    }

    /// The time of its first record.
    pub(crate) fn since(&self) -> u64 {
        self.sources.first().map_or(0, |(stamp, _)| stamp.at_millis)
    }
}
