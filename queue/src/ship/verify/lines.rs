//! Hashes lines of any length in little memory.

use std::io::{self, BufRead};

use sha2::{Digest as _, Sha256};

use crate::ship::chain::{TAIL, prev_of};
use crate::ship::hash::Hash;

/// What is known of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) hash: Hash,
    /// What it says of the line before it.
    pub(crate) prev: Option<Hash>,
}

/// Reads lines.
pub(crate) struct Lines<R> {
    reader: R,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader }
    }

    /// The next line; nothing at the end. One without a break at its end counts.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut hasher = Sha256::new();
        let mut tail = Vec::with_capacity(2 * TAIL);
        let mut any = false;
        loop {
            let piece = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                piece => piece?,
            };
            if piece.is_empty() {
                return Ok(any.then(|| line(hasher, &tail)));
            }
            any = true;
            let mut parts = piece.splitn(2, |byte| *byte == b'\n');
            let part = parts.next().unwrap_or_default();
            let ended = parts.next().is_some();
            hasher.update(part);
            keep_tail(&mut tail, part);
            let used = part.len() + usize::from(ended);
            self.reader.consume(used);
            if ended {
                return Ok(Some(line(hasher, &tail)));
            }
        }
    }
}

fn line(hasher: Sha256, tail: &[u8]) -> Line {
    Line { hash: Hash::from(<[u8; 32]>::from(hasher.finalize())), prev: prev_of(tail) }
}

/// Keeps the last bytes of a line.
fn keep_tail(tail: &mut Vec<u8>, part: &[u8]) {
    tail.extend_from_slice(part.get(part.len().saturating_sub(TAIL)..).unwrap_or_default());
    let superfluous = tail.len().saturating_sub(TAIL);
    tail.drain(..superfluous);
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use crate::ship::chain::link;

    #[test]
    fn lines_are_told_whatever_the_size_of_the_pieces() {
        let first = link(br#"{"a":"long enough"}"#.to_vec(), Hash::NONE);
        let second = link(b"{}".to_vec(), Hash::of(&first));
        let text = [&first[..], b"\n", &second, b"\n", b"bare"].concat();
        for size in [1, 7, 64, 4096] {
            let mut lines = Lines::new(BufReader::with_capacity(size, &text[..]));
            let wanted = [(&first[..], Some(Hash::NONE)), (&second, Some(Hash::of(&first))), (b"bare", None)];
            for (line, prev) in wanted {
                assert_eq!(lines.next().unwrap(), Some(Line { hash: Hash::of(line), prev }));
            }
            assert_eq!(lines.next().unwrap(), None);
        }
    }
}
