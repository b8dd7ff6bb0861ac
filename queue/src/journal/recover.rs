//! Opens what an earlier run left behind.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::Path;

use super::blocks::{BLOCK, Staged};
use super::disk::{DiskFile, read_full, write_all};
use super::error::OpenError;
use super::gap::{Cut, Gap, GapCause};
use super::log::Log;
use super::notes::{self, FORMAT};
use super::options::Options;
use super::position::{Position, narrow, wide};
use super::recovery::Recovery;
use super::repair;
use super::replay::Replay;
use super::scan::{Piece, Scan, scan};
use super::segment::{self, NEXT, Zeros};
use super::survey::{Planned, survey};

/// A journal's state as found on disk.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) log: Log,
    pub(crate) replay: Replay,
    pub(crate) id: u64,
    /// The last segment lost its first frame and with it what is known of the others.
    pub(crate) headless: bool,
    pub(crate) report: Recovery,
}

/// Reads all segments, mends what is damaged, and opens the last one for writing.
pub(crate) fn recover(options: &Options) -> Result<Recovered, OpenError> {
    let (disk, dir) = (&*options.disk, options.dir.as_path());
    let names = disk.list(dir).map_err(at(dir))?;
    let mut files: BTreeSet<u64> = names.iter().filter_map(|name| segment::base_of(name)).collect();
    if names.iter().any(|name| name == NEXT) {
        disk.remove(&dir.join(NEXT)).map_err(at(&dir.join(NEXT)))?;
    }
    if files.is_empty() {
        let path = segment::path(dir, 0);
        segment::prepare(disk, dir, u64::from(options.segment_bytes), Zeros::Written).map_err(at(&path))?;
        disk.rename(&dir.join(NEXT), &path).map_err(at(&path))?;
        files.insert(0);
    }
    let plan = survey(options, &files)?;
    for base in plan.superfluous {
        let path = segment::path(dir, base);
        disk.remove(&path).map_err(at(&path))?;
    }
    disk.sync_dir(dir).map_err(at(dir))?;

    let mut recoverer = Recoverer { options, replay: Replay::new(plan.ack), report: Recovery::default() };
    let mut last = None;
    for planned in plan.segments {
        last = recoverer.segment(planned)?;
    }
    let Some((log, headless)) = last else {
        return Err(at(dir)(io::Error::other("the last segment vanished while the journal was opened")));
    };
    let Recoverer { mut replay, mut report, .. } = recoverer;
    report.open_groups = replay.take_open_groups();
    report.spanning_groups = std::mem::take(&mut replay.spanning);
    report.mark = replay.mark.clone();
    let id = replay.id.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
    Ok(Recovered { log, replay, id, headless, report })
}

struct Recoverer<'a> {
    options: &'a Options,
    replay: Replay,
    report: Recovery,
}

impl Recoverer<'_> {
    /// Takes in one segment. Gives back the last one, and whether it lost its first frame.
    fn segment(&mut self, planned: Planned) -> Result<Option<(Log, bool)>, OpenError> {
        let Planned { base, end, present } = planned;
        let path = segment::path(&self.options.dir, base);
        let (file, bytes) = if present {
            let file = self.options.disk.open(&path).map_err(at(&path))?;
            let bytes = segment::load(&*file, end.map(|end| end - base)).map_err(at(&path))?;
            (Some(file), bytes)
        } else {
            (None, vec![0; narrow(end.unwrap_or(base) - base)])
        };
        check_format(&bytes, base, &path)?;
        let found = scan(&bytes, base, end.is_some());
        if let Some(file) = file.as_ref().filter(|_| end.is_none()) {
            rewrite(base, &bytes, &found, &**file).map_err(at(&path))?;
        }
        self.mend(base, &bytes, &found, file.as_deref(), end.is_none());
        self.replay.segment(base, &bytes, &found);
        if let Some(end) = end {
            self.replay.retention.seal(base, end);
            return Ok(None);
        }
        let Some(file) = file else { return Ok(None) };
        self.cut(base, &bytes, found.end, &*file).map_err(at(&path))?;
        file.sync_data().map_err(at(&path))?;
        let head = base + found.end;
        let log = Log {
            disk: self.options.disk.clone(),
            dir: self.options.dir.clone(),
            allocated: file.size().map_err(at(&path))?,
            base,
            head,
            staged: staged(&*file, found.end).map_err(at(&path))?,
            file,
            durable: head,
            syncs: 0,
        };
        Ok(Some((log, found.end > 0 && !starts_with_note(&found))))
    }

    /// Notes each gap in its place. If the disk refuses, the gap is found again by every reader.
    fn mend(&mut self, base: u64, bytes: &[u8], found: &Scan, file: Option<&dyn DiskFile>, last: bool) {
        let confirmed = if last { confirmed(base, found) } else { u64::MAX };
        let gaps: Vec<Gap> = found
            .pieces
            .iter()
            .filter_map(|piece| match *piece {
                Piece::Damaged { from, to, lost } => Some((base + from, base + to, lost)),
                Piece::Frame { .. } => None,
            })
            .map(|(from, to, lost)| {
                let cause = match file {
                    None => GapCause::MissingSegment,
                    Some(_) if from < confirmed => GapCause::Damaged,
                    Some(_) => GapCause::Unconfirmed,
                };
                Gap { from: Position::new(from), to: Position::new(to), cause, lost }
            })
            .collect();
        if gaps.is_empty() {
            return;
        }
        // What was under way during a crash is no evidence of anything.
        if gaps.iter().any(|gap| gap.cause == GapCause::Damaged) {
            match repair::set_aside(&*self.options.disk, &self.options.dir, base, bytes) {
                Ok(copy) => self.report.set_aside.push(copy),
                Err(error) => tracing::error!(%error, "a damaged segment is not set aside"),
            }
        }
        if let Err(error) = repair::note(self.options, base, file, &gaps) {
            tracing::error!(%error, segment = base, "gaps in the journal can't be noted in their place");
        }
        for gap in &gaps {
            tracing::error!(from = %gap.from, to = %gap.to, cause = ?gap.cause, lost = ?gap.lost, "the journal has a gap");
        }
        self.report.gaps.extend(gaps);
    }

    /// Zeros what follows the last whole frame, lest it pass for a frame later.
    fn cut(&mut self, base: u64, bytes: &[u8], end: u64, file: &dyn DiskFile) -> io::Result<()> {
        let tail = bytes.get(narrow(end)..).unwrap_or_default();
        let Some(last) = tail.iter().rposition(|byte| *byte != 0) else { return Ok(()) };
        write_all(file, &vec![0; last + 1], end)?;
        let cut = Cut { at: Position::new(base + end), bytes: wide(last + 1) };
        tracing::warn!(at = %cut.at, bytes = cut.bytes, "an unfinished write at the end of the journal was cut off");
        self.report.cut = Some(cut);
        Ok(())
    }
}

/// Writes again what may not be on disk: after a failed sync, the cache may hold what the disk does not
/// and will not be given by another sync.
fn rewrite(base: u64, bytes: &[u8], found: &Scan, file: &dyn DiskFile) -> io::Result<()> {
    let from = confirmed(base, found) - base;
    let bytes = bytes.get(narrow(from)..narrow(found.end)).unwrap_or_default();
    write_all(file, bytes, from)
}

/// Nothing to be written yet, at this place of the file.
fn staged(file: &dyn DiskFile, end: u64) -> io::Result<Staged> {
    let len = end % BLOCK;
    let mut block = vec![0; narrow(len)];
    read_full(file, &mut block, end - len)?;
    Ok(Staged::after(&block))
}

/// Up to where everything was on disk when one of the frames was written.
fn confirmed(base: u64, found: &Scan) -> u64 {
    let frames = found.pieces.iter().filter_map(|piece| match piece {
        Piece::Frame { at, header } => Some((base + at).saturating_sub(u64::from(header.unsynced))),
        Piece::Damaged { .. } => None,
    });
    frames.max().unwrap_or(base)
}

fn starts_with_note(found: &Scan) -> bool {
    matches!(found.pieces.first(), Some(Piece::Frame { header, .. }) if header.kind == notes::SEGMENT)
}

/// Refuses a segment of a format that this release does not know, before anything is done to it.
pub(crate) fn check_format(bytes: &[u8], base: u64, path: &Path) -> Result<(), OpenError> {
    match notes::format(bytes, base) {
        Some(format) if format > FORMAT => Err(OpenError::Format { path: path.to_owned(), format }),
        _ => Ok(()),
    }
}

/// Says where an error happened.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { path: path.to_owned(), source }
}
