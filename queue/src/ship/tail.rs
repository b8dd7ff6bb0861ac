//! Follows records as they end, beside the shipper and without a say in what it does.

use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::assemble::Assemble;
use super::groups::Groups;
use super::source::{self, Source};
use crate::journal::{Gap, GapCause, Item, Journal, JournalError, Lost, Position, Reader, Role, Stamp};

/// Contents of open groups that are kept in memory; what is beyond is read again.
const CACHE: usize = 4 * 1024 * 1024;

/// The records of a journal, as soon as each has ended and is on disk.
///
/// ```
/// # use lockstep_queue::journal::{Frame, Gap, Journal, Kind, Options, Stamp};
/// # use lockstep_queue::ship::{Assemble, Group, Tail};
/// # struct Bodies;
/// # impl Assemble for Bodies {
/// #     fn group(&self, _: Stamp, group: &Group) -> Vec<u8> {
/// #         group.frames.iter().flat_map(|frame| frame.body.to_vec()).collect()
/// #     }
/// #     fn single(&self, _: Stamp, frame: &Frame) -> Vec<u8> { frame.body.to_vec() }
/// #     fn gap(&self, _: Stamp, _: &Gap) -> Vec<u8> { Vec::new() }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (journal, _) = Journal::open(Options::new(dir.path()))?;
/// journal.append(Kind::begin::<0>(), 7, "six times ").await?;
/// let mut tail = Tail::new(journal.clone(), std::sync::Arc::new(Bodies));
/// journal.append(Kind::end::<0>(), 7, "seven").await?;
/// assert_eq!(tail.next().await?, Some(b"six times seven".to_vec()));
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Tail {
    journal: Journal,
    reader: Reader,
    groups: Groups,
    assemble: Arc<dyn Assemble>,
    /// What ended before is passed over.
    since: Position,
    last: Stamp,
    /// A line that is made on another thread; it survives a dropped [`next`](Self::next).
    making: Option<JoinHandle<Result<Vec<u8>, JournalError>>>,
}

impl Tail {
    /// Begins with the records that end from now on. What the shipper has not shipped yet is read
    /// once, for the beginnings of those that are open.
    #[must_use]
    pub fn new(journal: Journal, assemble: Arc<dyn Assemble>) -> Self {
        let since = journal.durable();
        let reader = journal.reader(journal.oldest()).telling_removed();
        let last = Stamp { seq: 0, at_millis: 0 };
        Self { journal, reader, groups: no_groups(), assemble, since, last, making: None }
    }

    /// The next record's line, without `prev`. Its `seq` counts from the beginning of the tail: the final
    /// one is the shipper's to give. Nothing after the journal was closed. May be dropped and called again.
    ///
    /// Nobody waits for a tail: records that are shipped and removed before it comes to them are missing
    /// from it, and a line made by [`Assemble::gap`] stands in the place of each range of them and of each
    /// record that can't be read as a whole any more.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, JournalError> {
        loop {
            if let Some(making) = &mut self.making {
                let made = making.await;
                self.making = None;
                self.last.seq += 1;
                // The assembler panicked, or the runtime is going down.
                return made.map_err(|_| JournalError::Closed)?.map(Some);
            }
            let Some(item) = self.reader.next().await? else { return Ok(None) };
            self.take(item);
        }
    }

    /// Has the line of a record made if the item completes one.
    fn take(&mut self, item: Item) {
        let end = item.end();
        let removed = matches!(&item, Item::Gap(gap) if gap.cause == GapCause::Removed);
        if removed && end > self.since {
            // Of those that were open, some frames may be in what was removed.
            self.groups = no_groups();
        }
        let Some((source, at)) = Source::of(item, &mut self.groups, &*self.assemble) else { return };
        self.last.at_millis = self.last.at_millis.max(at.unwrap_or_default());
        if end > self.since {
            let (journal, assemble) = (self.journal.clone(), Arc::clone(&self.assemble));
            let (stamp, line) = (self.last, Line { source, end });
            self.making = Some(spawn_blocking(move || line.make(stamp, &journal, &*assemble)));
        }
    }
}

/// A record that ended here.
struct Line {
    source: Source,
    end: Position,
}

impl Line {
    fn make(self, stamp: Stamp, journal: &Journal, assemble: &dyn Assemble) -> Result<Vec<u8>, JournalError> {
        let Source::Group(frames) = &self.source else { return self.source.line(stamp, journal, assemble) };
        let from = frames.first().map_or(self.end, |first| first.position);
        let group = source::whole(frames, journal)?;
        let begins = group.frames.first().is_some_and(|first| first.kind.role() == Role::Begin);
        if begins && group.lost == 0 {
            return Ok(assemble.group(stamp, &group));
        }
        let gap = Gap { from, to: self.end, cause: GapCause::Removed, lost: Lost::Unknown };
        Ok(assemble.gap(stamp, &gap))
    }
}

fn no_groups() -> Groups {
    Groups::new(std::iter::empty(), Position::START, CACHE)
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("since", &self.since).finish_non_exhaustive()
    }
}
