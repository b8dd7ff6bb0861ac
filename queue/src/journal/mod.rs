//! An append-only log in a directory: what it says is on disk is on disk, what it lost it says.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use lockstep_queue::journal::{Item, Journal, Kind, Options};
//!
//! let (journal, recovery) = Journal::open(Options::new(dir.path().join("journal")))?;
//! assert!(recovery.open_groups.is_empty() && recovery.gaps.is_empty());
//!
//! // Resolves when the bytes are on disk. All that wait at the same time share one sync.
//! journal.append(Kind::begin::<0>(), 7, "question").await?;
//! journal.append(Kind::end::<0>(), 7, "answer").await?;
//!
//! let mut reader = journal.reader(journal.acknowledged());
//! while let Some(item) = reader.next().await? {
//!     let end = item.end();
//!     match item {
//!         Item::Frame(frame) if frame.stamp.is_some() => {
//!             assert_eq!(frame.body, "answer");
//!             journal.acknowledge(end).await?;
//!             break;
//!         }
//!         Item::Frame(frame) => assert_eq!((frame.group, &*frame.body), (7, &b"question"[..])),
//!         Item::Gap(gap) => println!("lost: {gap:?}"),
//!     }
//! }
//! journal.shutdown().await?;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Frames, groups, positions
//!
//! A frame has a [`Kind`], a group id and opaque contents. A group is a begin, any number of parts
//! and an end, among frames of other groups; a single frame stands alone. Opening the journal lists
//! the groups without an end. A [`Position`] names one place, for as long as what is there is not cut off.
//!
//! Acknowledging works by position, from the oldest on. A reader that hands on groups as they end
//! and acknowledges the ends finds the earlier frames of a group still there: a segment is kept
//! while a group has frames in it whose end is not acknowledged. After a restart it reads on from
//! [`Journal::acknowledged`]; [`Recovery`] says where earlier frames of groups that end after that
//! are, and [`Journal::read`] gets them.
//!
//! # What is certain
//!
//! - An [`append`](Journal::append) that resolved with a receipt is on disk: neither the end of the
//!   process nor a power loss undoes it. One that failed left nothing, except after a failed sync.
//! - Frames are in the order of the calls.
//! - An acknowledgement that resolved holds after a restart.
//! - Nothing is skipped silently. Damage becomes a [`Gap`] in its place, which says what was there as
//!   far as that is known; the segment as it was found is kept in a file that ends in `.damaged` (the
//!   first eight of them). If the journal's own notes are among what is lost, what was acknowledged may
//!   be seen again, and a group that ended may be listed as open.
//!   Bytes after the last whole frame are cut off and reported as [`Cut`]: after a crash that is an
//!   append that was under way. A damaged last frame looks the same, unless the journal was closed.
//! - What somebody removes from the end, the journal can't know of: a last segment that is cut short or deleted looks
//!   as after a crash, or as if it had never been.
//!
//! # When there is no room
//!
//! At its size limit or on a full disk, the journal refuses new groups and single frames, or drops
//! and counts them ([`WhenFull`]). Open groups may use one more segment, half of which is for their ends,
//! and acknowledgements always get through, so that room can be made. Too many waiting appends fail with
//! [`JournalError::Busy`]. After a failed sync nobody knows what the disk holds: everybody who
//! waits gets [`JournalError::Poisoned`], and so does every later append, until the journal is
//! opened again.
//!
//! # Files
//!
//! Segments are named after the position of their first byte, and filled with zeros ahead of the
//! writer; when it syncs much at a time, their room is only reserved. Where the file system can, whole blocks go past
//! the page cache; one that is not full is written again, with the same bytes before what is new. One thread writes, one makes
//! the next segment, and one tells who need not wait any more while the first is at the next batch.
//! The directory is locked; files have mode 0600.

mod append;
mod blocks;
mod body;
mod chunk;
mod cursor;
mod disk;
mod error;
mod frame;
mod gap;
mod handle;
mod kind;
mod log;
mod notes;
mod options;
mod position;
mod prepare;
mod queue;
mod reader;
mod recover;
mod recovery;
mod repair;
mod replay;
mod retention;
mod scan;
mod segment;
mod shared;
mod stamp;
mod stats;
mod survey;
mod tell;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

pub use append::{Acknowledge, Append, Outcome, Pending, Receipt, Stamp};
pub use body::Body;
pub use disk::{Disk, DiskFile, OsDisk};
pub use error::{JournalError, OpenError};
pub use gap::{Cut, Gap, GapCause, Lost};
pub use handle::Journal;
pub use kind::{Kind, Role};
pub use options::{Options, WhenFull};
pub use position::Position;
pub use reader::{Frame, Item, Reader};
pub use recovery::{OpenGroup, Recovery};
pub use stats::Stats;
