//! Cuts the bytes of an event stream into events, without copying those that came in one piece.
//!
//! Follows the event stream format of the HTML standard: lines end with LF, CRLF or CR, mixed as
//! they may be; a blank line ends an event. The raw bytes of all events together are the stream,
//! byte for byte.

use bytes::{Bytes, BytesMut};

use super::event::Event;
use super::line_scan::{BOM, LineScan};

/// The cutter of one stream.
///
/// ```
/// use lockstep::ai::reading::Splitter;
///
/// let mut splitter = Splitter::new(1024);
/// let mut chunk = bytes::Bytes::from_static(b"data: 1\n\ndata:");
/// let mut seen = Vec::new();
/// while let Some(event) = splitter.next_event(&mut chunk)? {
///     seen.push(event.data().unwrap_or_default().to_vec());
/// }
/// assert_eq!(seen, [b"1"]);
/// # Ok::<(), lockstep::ai::reading::EventTooLarge>(())
/// ```
#[derive(Debug)]
pub struct Splitter {
    max: usize,
    /// The beginning of an event whose end has not come yet.
    pending: BytesMut,
    scan: LineScan,
    first: bool,
    failed: bool,
}

/// What was left when the stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last {
    /// Nothing: it ended after an event.
    Nothing,
    /// A whole event, whose end only the end of the stream could tell (CRLF without its LF).
    Whole(Event),
    /// An event without its blank line. Clients ignore it.
    Unfinished(Event),
}

/// An event is longer than what the splitter may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {max} bytes")]
pub struct EventTooLarge {
    /// The limit in bytes, raw, with the blank line.
    pub max: usize,
}

impl Splitter {
    /// A splitter that holds and yields events of up to `max` bytes, raw, with the blank line.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, pending: BytesMut::new(), scan: LineScan::default(), first: true, failed: false }
    }

    /// Takes the next event off the front of `chunk`. With `None` all of the chunk was taken, and
    /// the beginning of the next event is held.
    ///
    /// # Errors
    ///
    /// When the next event is too long. The stream can't be followed any further: every later call
    /// fails too.
    pub fn next_event(&mut self, chunk: &mut Bytes) -> Result<Option<Event>, EventTooLarge> {
        if self.failed {
            return Err(EventTooLarge { max: self.max });
        }
        let end = self.scan.end_of_block(chunk);
        let length = end.unwrap_or(chunk.len());
        if self.pending.len() + length > self.max {
            self.failed = true;
            return Err(EventTooLarge { max: self.max });
        }
        let piece = chunk.split_to(length);
        if end.is_none() {
            self.pending.extend_from_slice(&piece);
            return Ok(None);
        }
        let raw = if self.pending.is_empty() {
            piece
        } else {
            self.pending.extend_from_slice(&piece);
            std::mem::take(&mut self.pending).freeze()
        };
        Ok(Some(self.event(raw)))
    }

    /// The bytes held of an event that has not ended.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        &self.pending
    }

    /// The stream has ended.
    #[must_use]
    pub fn finish(mut self) -> Last {
        if self.pending.is_empty() {
            return Last::Nothing;
        }
        let raw = std::mem::take(&mut self.pending).freeze();
        let whole = self.scan.whole_at_end() && !self.failed;
        let event = self.event(raw);
        if whole { Last::Whole(event) } else { Last::Unfinished(event) }
    }

    fn event(&mut self, raw: Bytes) -> Event {
        let first = std::mem::take(&mut self.first);
        let skip = if first && raw.starts_with(&BOM) { BOM.len() } else { 0 };
        Event::parse(raw, skip)
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
