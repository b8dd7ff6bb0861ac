//! Follows records as they end, beside the shipper and without a say in what it does.

use std::sync::Arc;

use super::assemble::Assemble;
use super::groups::Groups;
use super::source::Source;
use crate::journal::{Journal, JournalError, Position, Reader, Stamp};

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
}

impl Tail {
    /// Begins with the records that end from now on. What the shipper has not shipped yet is read
    /// once, for the beginnings of those that are open.
    #[must_use]
    pub fn new(journal: Journal, assemble: Arc<dyn Assemble>) -> Self {
        let since = journal.durable();
        let reader = journal.reader(journal.oldest());
        let groups = Groups::new(std::iter::empty(), Position::START, CACHE);
        Self { journal, reader, groups, assemble, since, last: Stamp { seq: 0, at_millis: 0 } }
    }

    /// The next record's line, without `prev`. Its `seq` counts from the beginning of the tail: the final
    /// one is the shipper's to give. Nothing after the journal was closed. May be dropped and called again.
    ///
    /// # Errors
    /// If the journal can't be read.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, JournalError> {
        while let Some(item) = self.reader.next().await? {
            let end = item.end();
            let Some((source, at)) = Source::of(item, &mut self.groups, &*self.assemble) else { continue };
            self.last.at_millis = self.last.at_millis.max(at.unwrap_or_default());
            if end > self.since {
                let line = source.line(self.last, &self.journal, &*self.assemble)?;
                self.last.seq += 1;
                return Ok(Some(line));
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("since", &self.since).finish_non_exhaustive()
    }
}
