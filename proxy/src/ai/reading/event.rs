//! One event of a stream: its bytes as they came, and a view of what they say.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;

/// One block of an event stream, up to and with its blank line.
///
/// A block without `data` (a comment, `retry`, stray blank lines) is an event to nobody, but its
/// bytes are forwarded like all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    raw: Bytes,
    name: Option<Range<usize>>,
    data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Data {
    None,
    /// The value of the only `data` line, within the raw bytes.
    Line(Range<usize>),
    /// Several lines, joined by line feeds.
    Joined(Vec<u8>),
}

impl Event {
    /// Reads a block; the first `skip` bytes are in no line.
    pub(super) fn parse(raw: Bytes, skip: usize) -> Self {
        let mut event = Self { name: None, data: Data::None, raw };
        let mut at = skip;
        while let Some(line) = line_at(&event.raw, at) {
            at = line.next;
            let (field, value) = field(&event.raw, line.text);
            match event.raw.get(field) {
                Some(b"data") => event.add_data(value),
                Some(b"event") => event.name = Some(value).filter(|name| !name.is_empty()),
                _ => {}
            }
        }
        event
    }

    /// The bytes as they came.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The bytes as they came.
    #[must_use]
    pub fn into_raw(self) -> Bytes {
        self.raw
    }

    /// The value of `event`. `None` without one, if it is empty or not UTF-8.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        std::str::from_utf8(self.raw.get(self.name.clone()?)?).ok()
    }

    /// The value of the `data` lines, joined by line feeds. `None` if there is none.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        match &self.data {
            Data::None => None,
            Data::Line(range) => self.raw.get(range.clone()),
            Data::Joined(bytes) => Some(bytes),
        }
    }

    /// Whether there is more than white space in its data: what only keeps a connection alive has none.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.data().is_some_and(|data| !data.trim_ascii().is_empty())
    }

    /// Whether this is the `[DONE]` of OpenAI's streams. Its SDKs take anything that begins so.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.data().is_some_and(|data| data.starts_with(b"[DONE]"))
    }

    fn add_data(&mut self, value: Range<usize>) {
        let line = self.raw.get(value.clone()).unwrap_or_default();
        match &mut self.data {
            Data::None => self.data = Data::Line(value),
            Data::Line(first) => {
                let first = self.raw.get(first.clone()).unwrap_or_default();
                self.data = Data::Joined([first, line].join(&b'\n'));
            }
            Data::Joined(joined) => {
                joined.push(b'\n');
                joined.extend_from_slice(line);
            }
        }
    }
}

struct Line {
    text: Range<usize>,
    next: usize,
}

/// The line that begins at `start`; `None` at the end of the block. A last line needs no break.
fn line_at(raw: &[u8], start: usize) -> Option<Line> {
    let rest = raw.get(start..).filter(|rest| !rest.is_empty())?;
    let Some(length) = memchr2(b'\n', b'\r', rest) else {
        return Some(Line { text: start..raw.len(), next: raw.len() });
    };
    let end = start + length;
    let pair = raw.get(end..end + 2) == Some(b"\r\n");
    Some(Line { text: start..end, next: end + 1 + usize::from(pair) })
}

/// Splits a line into field name and value, which loses one leading space. A comment has an empty
/// name.
fn field(raw: &[u8], line: Range<usize>) -> (Range<usize>, Range<usize>) {
    let text = raw.get(line.clone()).unwrap_or_default();
    let Some(colon) = text.iter().position(|byte| *byte == b':') else {
        return (line.clone(), line.end..line.end);
    };
    let colon = line.start + colon;
    let space = raw.get(colon + 1..line.end).is_some_and(|value| value.first() == Some(&b' '));
    (line.start..colon, colon + 1 + usize::from(space)..line.end)
}
