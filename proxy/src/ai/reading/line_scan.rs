//! Finds where a block of an event stream ends: after its blank line.
//!
//! Works on any split of the bytes, looks at each byte once, and decides by the bytes alone, never
//! by where a chunk ends.

use memchr::memchr2;

/// The byte order mark, which a stream may begin with and which belongs to no line.
pub(super) const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The state between two bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct LineScan {
    /// Bytes of a byte order mark seen at the very start; `BOM.len()` once that is decided.
    mark: usize,
    /// Whether the current line has bytes.
    in_line: bool,
    /// What the last line break was.
    last: Break,
    /// What a carriage return at the end of the bytes so far leaves open.
    after_return: AfterReturn,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Break {
    #[default]
    Single,
    CrLf,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum AfterReturn {
    #[default]
    Nothing,
    /// It ended a line; a line feed now belongs to it.
    Line,
    /// It ended the blank line of a stream with CRLF: the line feed is waited for.
    Block,
    /// It ended a block at once; a line feed now belongs to it, but goes with the next block.
    Swallow,
}

impl LineScan {
    /// Looks at the next `bytes` of the stream. `Some(n)`: the block ends before `bytes[n]`, and
    /// the rest is to be passed again.
    pub(super) fn end_of_block(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.skip_mark(bytes);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.after_return != AfterReturn::Nothing {
                let feed = rest.first() == Some(&b'\n');
                at += usize::from(feed);
                if self.settle_return(feed) {
                    return Some(at);
                }
                continue;
            }
            let Some(length) = memchr2(b'\n', b'\r', rest) else {
                self.in_line = true;
                return None;
            };
            let blank = length == 0 && !self.in_line;
            let feed = rest.get(length) == Some(&b'\n');
            at += length + 1;
            self.in_line = false;
            if feed {
                self.last = Break::Single;
                if blank {
                    return Some(at);
                }
            } else if self.see_return(blank) {
                return Some(at);
            }
        }
        None
    }

    /// Whether what is left at the end of the stream is a whole block after all.
    pub(super) fn whole_at_end(&self) -> bool {
        self.after_return == AfterReturn::Block
    }

    /// A line was ended by a carriage return. True if the block ends with it.
    fn see_return(&mut self, blank: bool) -> bool {
        self.after_return = match (blank, self.last) {
            (false, _) => AfterReturn::Line,
            (true, Break::CrLf) => AfterReturn::Block,
            (true, Break::Single) => AfterReturn::Swallow,
        };
        self.after_return == AfterReturn::Swallow
    }

    /// The byte after a carriage return is known. True if the block ends here.
    fn settle_return(&mut self, feed: bool) -> bool {
        let before = std::mem::take(&mut self.after_return);
        self.last = if feed { Break::CrLf } else { Break::Single };
        before == AfterReturn::Block
    }

    /// Passes over the byte order mark, which may come in pieces. Bytes that only began like one
    /// belong to the first line.
    fn skip_mark(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let (Some(expected), Some(byte)) = (BOM.get(self.mark), bytes.get(at)) {
            if byte != expected {
                self.in_line = self.mark > 0;
                self.mark = BOM.len();
                break;
            }
            self.mark += 1;
            at += 1;
        }
        at
    }
}
