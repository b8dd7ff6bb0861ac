//! The log of a file storage: steps and snapshots in a journal, read back when it is opened.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::super::error::StorageError;
use super::super::index::{Index, Weight};
use super::super::job::StorageTime;
use super::Options;
use super::snapshot::{Builder, Piece};
use super::step::{Entry, Step};
use crate::journal::{Append, GapCause, Item, Journal, JournalError, Kind, OpenError, Position, Stats};

/// A step.
const STEP: Kind = Kind::single::<1>();
/// A piece of a snapshot.
const PIECE: Kind = Kind::single::<2>();
/// The newest kind of frame that this release knows.
const KNOWN: u8 = 2;

/// A snapshot is due when the log has grown by this much, and by twice the last snapshot.
const COMPACT_AFTER: u64 = 16 * 1024 * 1024;

/// New jobs may take the log to this part of what it may hold. The rest is for what becomes of them, and for the
/// snapshot that is written before what it replaces goes.
const OF_JOBS: u64 = 3;
/// This part is for steps that make a snapshot shorter: without them it might never fit.
const OF_REMOVALS: u64 = 16;
/// A snapshot may come out longer than its records say by this part.
const INACCURACY: u64 = 8;
/// From this part on a log is replaced when it has grown by the other part, or that much of what it holds is forgotten, so
/// that new jobs seldom meet the limit.
const CROWDED: u64 = 4;
const PAYS: u64 = 12;
/// Steps may wait for the disk up to so many bytes, and pieces of a snapshot up to so many, or so many of them. The
/// journal takes 64 MiB at once, or one frame of any length.
const STEPS_WAITING: u64 = 32 * 1024 * 1024;
const PIECES_WAITING: u64 = 16 * 1024 * 1024;
const PIECES: usize = 16;

/// The log, open for writing.
#[derive(Debug)]
pub(super) struct Log {
    journal: Journal,
    /// Bytes of steps that the journal does not account for yet.
    unwritten: u64,
    /// Where the last snapshot ended, and how long it was.
    snapshot: (u64, u64),
    /// What all records weighed then, or when it was opened.
    weight: u64,
    /// Whether steps are lost in it. What is written after them would be lost with them at the next start, so a
    /// snapshot must come first.
    torn: bool,
}

/// The log has taken what it may.
#[derive(Debug, Error)]
#[error(
    "the log has, or jobs need, {bytes} bytes, and {what} up to {limit}, of the {capacity} that `max_bytes` allows"
)]
struct NoRoom {
    what: &'static str,
    bytes: u64,
    limit: u64,
    capacity: u64,
}

/// What a log held.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) index: Index,
    /// The last time that was written.
    pub(super) last: StorageTime,
}

#[derive(Debug, Default)]
struct Replay {
    index: Index,
    builder: Option<Builder>,
    /// Where the snapshot that is being read begins.
    began: u64,
    /// Where the last snapshot ends, and how long it is.
    snapshot: (u64, u64),
    last: StorageTime,
    /// What comes after a write that a power loss tore was never acknowledged, and makes no sense without it.
    torn: bool,
}

impl Log {
    /// Opens a log and does its steps again.
    ///
    /// # Errors
    /// If another process has it, a newer release wrote it, it can't be read, or it is damaged and
    /// [`Options::salvage`] is not set.
    pub(super) fn open(options: &Options) -> Result<(Self, Loaded), StorageError> {
        let (journal, _) = Journal::open(options.journal()).map_err(open_error)?;
        let from = journal.acknowledged();
        let mut replay = Replay { snapshot: (from.as_u64(), 0), ..Replay::default() };
        let mut reader = journal.reader(from);
        while let Some(item) = reader.try_next().map_err(|error| journal_error("read", &error))? {
            replay.take(item, options.salvage)?;
        }
        let Replay { index, last, torn, snapshot, .. } = replay;
        let weight = index.weight().all;
        let log = Self { journal, unwritten: 0, snapshot, weight, torn };
        Ok((log, Loaded { index, last }))
    }

    /// Appends a step, encoded; waits for nothing.
    pub(super) fn append(&mut self, step: &Step, body: Bytes) -> Append {
        self.unwritten += length(&body);
        if step.must_be_synced() {
            self.journal.append(STEP, 0, body)
        } else {
            self.journal.append_unsynced(STEP, 0, body)
        }
    }

    /// Whether a step is too much for the journal beside those that it does not account for yet.
    pub(super) fn must_settle_before(&self, body: &Bytes) -> bool {
        self.unwritten > 0 && self.unwritten + length(body) > STEPS_WAITING
    }

    /// Whether a snapshot must be written before the next step.
    pub(super) const fn is_torn(&self) -> bool {
        self.torn
    }

    /// Takes note that the journal accounts for all steps that were appended.
    pub(super) const fn settle(&mut self) {
        self.unwritten = 0;
    }

    /// Checks that there is room for a step, with as much in the index: for jobs, unless what is left is for what
    /// becomes of those that are there; for that, unless what is left is for the snapshot of those that last.
    ///
    /// # Errors
    /// If there is not.
    pub(super) fn check_room(&self, step: &Step, body: &Bytes, weight: Weight) -> Result<(), StorageError> {
        let Stats { bytes_on_disk, capacity, .. } = self.journal.stats();
        let written = bytes_on_disk + self.unwritten + length(body);
        let (what, bytes, limit) = match step {
            Step::Enqueue(_) => {
                // Their snapshot has to have a third, too.
                let lasting = longest(weight.lasting + length(body));
                ("new jobs are taken", written.max(lasting), capacity / OF_JOBS)
            }
            Step::Cancel(_) | Step::Remove(_) | Step::Reap { .. } => return Ok(()),
            _ => {
                let kept = longest(weight.lasting) + capacity / OF_REMOVALS;
                ("what becomes of jobs is taken", written, capacity.saturating_sub(kept))
            }
        };
        if bytes <= limit {
            return Ok(());
        }
        Err(StorageError::Full(Arc::new(NoRoom { what, bytes, limit, capacity })))
    }

    /// Checks that a snapshot can be written beside what is there: half of one would take room for nothing.
    ///
    /// # Errors
    /// If it can't.
    pub(super) fn check_snapshot(&self, weight: Weight) -> Result<(), StorageError> {
        let Stats { bytes_on_disk: bytes, capacity, .. } = self.journal.stats();
        let limit = capacity.saturating_sub(longest(weight.all));
        if bytes <= limit {
            return Ok(());
        }
        let what = "a snapshot fits beside";
        Err(StorageError::Full(Arc::new(NoRoom { what, bytes, limit, capacity })))
    }

    /// Whether so much was written since the last snapshot that another one pays.
    pub(super) fn is_long(&self, weight: Weight) -> bool {
        let (at, size) = self.snapshot;
        let Stats { durable, bytes_on_disk, capacity, .. } = self.journal.stats();
        let grown = durable.as_u64().saturating_sub(at);
        let is_crowded = bytes_on_disk > capacity / CROWDED;
        let lost = self.weight.saturating_sub(weight.all);
        grown > COMPACT_AFTER.max(2 * size) || (is_crowded && grown.max(lost) > capacity / PAYS)
    }

    /// Writes a snapshot of records that weigh so much, and says where it begins once it counts. Not on a thread of an async runtime.
    ///
    /// # Errors
    /// If the disk has no room for it; the log goes on as it was.
    pub(super) fn write_snapshot(
        &mut self,
        pieces: impl Iterator<Item = Result<Piece, StorageError>>,
        weight: Weight,
    ) -> Result<Option<Position>, StorageError> {
        let mut span: Option<(Position, Position)> = None;
        let (mut appends, mut waiting) = (Vec::new(), 0);
        for piece in pieces {
            let piece = piece?;
            let is_last = piece == Piece::End;
            let body = encode(&piece)?;
            // A few at a time, so that a long snapshot does not wait in memory, and the journal takes them.
            if appends.len() >= PIECES || waiting + length(&body) > PIECES_WAITING {
                written(&mut appends, &mut span)?;
                waiting = 0;
            }
            waiting += length(&body);
            appends.push(if is_last {
                self.journal.append(PIECE, 0, body)
            } else {
                self.journal.append_unsynced(PIECE, 0, body)
            });
        }
        written(&mut appends, &mut span)?;
        self.snapshot =
            span.map_or(self.snapshot, |(begin, end)| (end.as_u64(), end.as_u64() - begin.as_u64()));
        self.weight = weight.all;
        Ok(span.map(|(begin, _)| begin))
    }

    /// Lets go of everything before a snapshot. Not on a thread of an async runtime.
    ///
    /// # Errors
    /// If that can't be written down.
    pub(super) fn let_go(&mut self, before: Position) -> Result<(), StorageError> {
        let acknowledged = self.journal.acknowledge(before).wait();
        acknowledged.map_err(|error| journal_error("remove the old log", &error))?;
        self.torn = false;
        Ok(())
    }

    /// Writes and syncs what was taken.
    pub(super) fn close(&self) -> Result<(), StorageError> {
        self.journal.close().map_err(|error| journal_error("close", &error))
    }
}

impl Replay {
    fn take(&mut self, item: Item, salvage: bool) -> Result<(), StorageError> {
        let frame = match item {
            Item::Frame(frame) => frame,
            Item::Gap(gap) if gap.cause == GapCause::Unconfirmed => {
                self.torn = true;
                return Ok(());
            }
            Item::Gap(gap) if salvage => {
                tracing::error!(?gap, "steps of jobs are lost; some may be run again");
                self.torn = true;
                return Ok(());
            }
            Item::Gap(gap) => {
                let what = format!(
                    "its log is damaged from {} to {}; `FileOptions::salvage(true)` opens it with what was before",
                    gap.from, gap.to
                );
                return Err(StorageError::Corrupt { what });
            }
        };
        if self.torn {
            return Ok(());
        }
        match frame.kind {
            STEP => {
                let entry: Entry = decode(&frame.body)?;
                self.builder = None;
                self.last = self.last.max(entry.at);
                // What came out was told when it was done first.
                let _told = entry.apply(&mut self.index);
            }
            PIECE => {
                let piece: Piece = decode(&frame.body)?;
                if let Piece::Begin { at } = piece {
                    self.last = self.last.max(at);
                    self.began = frame.position.as_u64();
                }
                if let Some(index) = self.builder.get_or_insert_default().take(piece) {
                    self.index = index;
                    self.builder = None;
                    let end = frame.end.as_u64();
                    self.snapshot = (end, end - self.began);
                }
            }
            kind => {
                let found = u32::from(kind.tag());
                return Err(StorageError::NewerSchema { found, known: u32::from(KNOWN) });
            }
        }
        Ok(())
    }
}

/// Waits for pieces of a snapshot, and notes where they are.
fn written(appends: &mut Vec<Append>, span: &mut Option<(Position, Position)>) -> Result<(), StorageError> {
    for append in appends.drain(..) {
        let outcome = append.wait().map_err(|error| journal_error("write a snapshot", &error))?;
        if let Some(receipt) = outcome.receipt() {
            let begin = span.map_or(receipt.position, |(begin, _)| begin);
            *span = Some((begin, receipt.end));
        }
    }
    Ok(())
}

fn length(body: &Bytes) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}

/// How long a snapshot of records may come out.
const fn longest(bytes: u64) -> u64 {
    bytes + bytes / INACCURACY
}

/// What is written of a step or a piece.
///
/// # Errors
/// If it can't be encoded, which none can bring about.
pub(super) fn encode(value: &impl Serialize) -> Result<Bytes, StorageError> {
    postcard::to_allocvec(value)
        .map(Bytes::from)
        .map_err(|error| StorageError::Corrupt { what: error.to_string() })
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, StorageError> {
    postcard::from_bytes(body)
        .map_err(|error| StorageError::Corrupt { what: format!("a frame of the log: {error}") })
}

fn open_error(error: OpenError) -> StorageError {
    match error {
        OpenError::Locked(dir) => StorageError::Locked(dir),
        OpenError::Format { format, .. } => StorageError::NewerSchema {
            found: u32::try_from(format).unwrap_or(u32::MAX),
            known: u32::from(KNOWN),
        },
        OpenError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            StorageError::Full(Arc::new(error))
        }
        error => StorageError::Refused { action: "open the log", source: Arc::new(error) },
    }
}

/// What a failed write, or read, means.
pub(super) fn journal_error(action: &'static str, error: &JournalError) -> StorageError {
    let source = Arc::new(error.clone());
    match error {
        error if error.is_full() => StorageError::Full(source),
        JournalError::Busy { .. } => StorageError::Unavailable { action, source },
        JournalError::Closed => StorageError::Closed,
        _ => StorageError::Refused { action, source },
    }
}
