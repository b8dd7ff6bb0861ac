//! A place in the journal, and how to read on from it.

use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::blocks::{BLOCK, Blocks};
use super::disk::{DiskFile, read_full};
use super::error::JournalError;
use super::frame::{self, HEADER, Header, Parsed};
use super::gap::{Gap, GapCause, Lost};
use super::kind::{Kind, Role};
use super::notes;
use super::position::{Position, narrow, wide};
use super::reader::{Frame, Item};
use super::scan::{self, Piece};
use super::segment;
use super::shared::Shared;
use super::stamp;

/// Bytes read at once, if there are as many.
pub(crate) const READ: u64 = 256 * 1024;
/// The same, for one frame.
const READ_ONE: u64 = 4096;

/// Some bytes of a file, read in whole blocks if that spares a cache.
struct Window {
    blocks: Blocks,
    wanted: Range<usize>,
}

/// Where a reader is.
#[derive(Debug)]
pub(crate) struct Cursor {
    position: u64,
    /// Whether it says where it passed over what was removed.
    tells_removed: bool,
    file: Option<(u64, Box<dyn DiskFile>)>,
}

impl Cursor {
    pub(crate) fn new(position: u64) -> Self {
        Self { position, tells_removed: false, file: None }
    }

    /// Another one at the same place.
    pub(crate) fn another(&self) -> Self {
        Self { file: None, ..*self }
    }

    pub(crate) fn telling_removed(self) -> Self {
        Self { tells_removed: true, ..self }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Reads some of what is on disk before `durable`.
    pub(crate) fn read(&mut self, shared: &Shared, durable: u64) -> Result<Vec<Item>, JournalError> {
        let mut items = Vec::new();
        while items.is_empty() && self.position < durable {
            let Some((base, end)) = shared.segment_at(self.position) else {
                self.pass_over(durable, &mut items);
                break;
            };
            // What is between was removed, so it was acknowledged.
            self.pass_over(base.min(durable), &mut items);
            let limit = end.min(durable);
            if self.position >= limit {
                break;
            }
            match self.read_segment(shared, base, limit, READ, &mut items) {
                Ok(()) => {}
                // What was read before is given first; the cursor is past it.
                Err(_) if !items.is_empty() => {}
                // Removed since it was looked up.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_gone(shared, base) => {}
                Err(error) => return Err(JournalError::Read(Arc::new(error))),
            }
        }
        Ok(items)
    }

    /// The one frame that begins at this place.
    pub(crate) fn read_one(&mut self, shared: &Shared, durable: u64) -> Result<Frame, JournalError> {
        let wanted = self.position;
        let mut items = Vec::new();
        if let Some((base, end)) =
            shared.segment_at(wanted).filter(|(base, _)| *base <= wanted && wanted < durable)
        {
            match self.read_segment(shared, base, end.min(durable), READ_ONE, &mut items) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(JournalError::Read(Arc::new(error))),
            }
        }
        let frame = items.into_iter().next().and_then(Item::into_frame);
        let wanted = Position::new(wanted);
        frame.filter(|frame| frame.position == wanted).ok_or(JournalError::NotFound(wanted))
    }

    fn pass_over(&mut self, to: u64, items: &mut Vec<Item>) {
        if self.position >= to {
            return;
        }
        let from = Position::new(std::mem::replace(&mut self.position, to));
        if self.tells_removed {
            let to = Position::new(to);
            items.push(Item::Gap(Gap { from, to, cause: GapCause::Removed, lost: Lost::Unknown }));
        }
    }

    fn is_gone(&self, shared: &Shared, base: u64) -> bool {
        shared.segment_at(self.position).is_none_or(|(found, _)| found != base)
    }

    /// Reads a stretch of a segment, at least one frame of it.
    fn read_segment(
        &mut self,
        shared: &Shared,
        base: u64,
        limit: u64,
        window: u64,
        items: &mut Vec<Item>,
    ) -> io::Result<()> {
        let file = match self.file.take() {
            Some((opened, file)) if opened == base => file,
            _ => shared.options.disk.open(&segment::path(&shared.options.dir, base))?,
        };
        let start = self.position;
        let mut bytes = load(&*file, start - base, window.min(limit - start))?;
        while self.position < limit {
            let at = self.position - start;
            match parse(&bytes, start, at) {
                Parsed::Whole(header) => self.frame(header, &bytes, at, items),
                Parsed::Short(header)
                    if at == 0 && header.size() <= limit - start && wide(bytes.len()) < header.size() =>
                {
                    bytes = load(&*file, start - base, header.size())?;
                }
                Parsed::Short(header) if at > 0 && header.size() <= limit - self.position => break,
                // The header may go on after the bytes read.
                Parsed::Nothing
                    if at > 0 && wide(bytes.len()) < at + HEADER && self.position + HEADER <= limit =>
                {
                    break;
                }
                Parsed::BadBody(_) | Parsed::Short(_) | Parsed::Nothing => {
                    self.damage(&*file, base, limit, items)?;
                    break;
                }
            }
        }
        self.file = Some((base, file));
        Ok(())
    }

    fn frame(&mut self, header: Header, bytes: &[u8], at: u64, items: &mut Vec<Item>) {
        let body = header.body(bytes.get(narrow(at)..).unwrap_or_default());
        let position = self.position;
        self.position += header.size();
        if let Some(kind) = Kind::from_byte(header.kind) {
            let (stamp, body) = match (kind.role(), stamp::split(body)) {
                (Role::End, Some((stamp, body))) => (Some(stamp), body),
                _ => (None, body),
            };
            items.push(Item::Frame(Frame {
                position: Position::new(position),
                end: Position::new(self.position),
                kind,
                group: header.group,
                stamp,
                // A copy, so that a frame that is kept keeps no others.
                body: Bytes::copy_from_slice(body),
            }));
        } else if header.kind == notes::GAP {
            items.push(Item::Gap(notes::decode_gap(body, header.group, position, self.position)));
        }
    }

    /// The disk changed under the journal since it was opened.
    fn damage(
        &mut self,
        file: &dyn DiskFile,
        base: u64,
        limit: u64,
        items: &mut Vec<Item>,
    ) -> io::Result<()> {
        let from = self.position;
        let bytes = load(file, from - base, limit - from)?;
        let (to, lost) = match scan::next(&bytes, from, 0) {
            Piece::Damaged { to, lost, .. } => (from + to.max(HEADER), lost),
            // It can be read after all.
            Piece::Frame { .. } => return Ok(()),
        };
        self.position = to.min(limit);
        let (from, to) = (Position::new(from), Position::new(self.position));
        tracing::error!(%from, %to, "the journal was damaged after it was opened");
        items.push(Item::Gap(Gap { from, to, cause: GapCause::Damaged, lost }));
        Ok(())
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.blocks.get(self.wanted.clone()).unwrap_or_default()
    }
}

fn parse(bytes: &[u8], start: u64, at: u64) -> Parsed {
    frame::parse(bytes.get(narrow(at)..).unwrap_or_default(), start + at)
}

/// Bytes of a file; what is missing from it becomes zeros.
fn load(file: &dyn DiskFile, offset: u64, len: u64) -> io::Result<Window> {
    let block = if file.is_direct() { BLOCK } else { 1 };
    let (from, to) = (offset - offset % block, (offset + len).next_multiple_of(block));
    let mut blocks = Blocks::zeros(narrow(to - from));
    read_full(file, &mut blocks, from)?;
    let start = narrow(offset - from);
    Ok(Window { blocks, wanted: start..start + narrow(len) })
}
