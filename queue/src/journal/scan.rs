//! Finds the frames in the bytes of a segment, and what is between them.

use super::frame::{self, HEADER, Header, MAGIC, Parsed};
use super::gap::Lost;
use super::position::{narrow, wide};

/// A stretch of a segment; offsets count from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A whole frame.
    Frame { at: u64, header: Header },
    /// What is no frame, followed by a frame or by the end of a sealed segment.
    Damaged { from: u64, to: u64, lost: Lost },
}

/// The pieces of a segment, in order and without holes, and where the last of them ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) end: u64,
}

/// Reads a segment that begins at `base`. A sealed one must be frames to its last byte; another one
/// ends after its last whole frame.
pub(crate) fn scan(bytes: &[u8], base: u64, sealed: bool) -> Scan {
    let len = wide(bytes.len());
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < len {
        let piece = next(bytes, base, at);
        at = match piece {
            Piece::Frame { at, header } => at + header.size(),
            Piece::Damaged { to, .. } => to,
        };
        pieces.push(piece);
    }
    if !sealed {
        while pieces.pop_if(|piece| matches!(piece, Piece::Damaged { .. })).is_some() {}
    }
    let end = match pieces.last() {
        Some(Piece::Frame { at, header }) => at + header.size(),
        Some(Piece::Damaged { to, .. }) => *to,
        None => 0,
    };
    Scan { pieces, end }
}

/// The piece at an offset.
pub(crate) fn next(bytes: &[u8], base: u64, at: u64) -> Piece {
    let len = wide(bytes.len());
    match parse(bytes, base, at) {
        Parsed::Whole(header) => Piece::Frame { at, header },
        Parsed::BadBody(header) => Piece::Damaged {
            from: at,
            to: at + header.size(),
            lost: Lost::of_frame(header.kind, header.group),
        },
        Parsed::Short(header) => {
            Piece::Damaged { from: at, to: len, lost: Lost::of_frame(header.kind, header.group) }
        }
        Parsed::Nothing => Piece::Damaged { from: at, to: resume(bytes, base, at), lost: Lost::Unknown },
    }
}

/// The next offset where a frame begins, at least a header further on, so that the gap can be noted
/// in its place.
fn resume(bytes: &[u8], base: u64, at: u64) -> u64 {
    let start = at + HEADER;
    let rest = bytes.get(narrow(start)..).unwrap_or_default();
    rest.chunks(8)
        .zip((start..).step_by(8))
        .filter(|(word, _)| word.starts_with(&MAGIC))
        .map(|(_, offset)| offset)
        .find(|offset| matches!(parse(bytes, base, *offset), Parsed::Whole(_) | Parsed::BadBody(_)))
        .unwrap_or(wide(bytes.len()))
}

fn parse(bytes: &[u8], base: u64, at: u64) -> Parsed {
    frame::parse(bytes.get(narrow(at)..).unwrap_or_default(), base + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 1 << 20;

    fn segment(bodies: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for body in bodies {
            let position = BASE + wide(out.len());
            frame::put(&mut out, position, 64, 0, 0, [*body].into_iter());
        }
        out
    }

    fn frames(scan: &Scan) -> usize {
        scan.pieces.iter().filter(|piece| matches!(piece, Piece::Frame { .. })).count()
    }

    #[test]
    fn zeros_after_the_last_frame_are_its_end() {
        let mut bytes = segment(&[b"one", b"two"]);
        let end = wide(bytes.len());
        bytes.resize(4096, 0);
        let scan = scan(&bytes, BASE, false);
        assert_eq!((frames(&scan), scan.pieces.len(), scan.end), (2, 2, end));
    }

    #[test]
    fn frames_after_damage_are_found() {
        let mut bytes = segment(&[b"one", b"two", b"three"]);
        bytes[41] ^= 1;
        let found = scan(&bytes, BASE, false);
        assert_eq!((frames(&found), found.pieces.len()), (2, 3));
        assert_eq!(found.pieces[1], Piece::Damaged { from: 40, to: 80, lost: Lost::Unknown });
        bytes[41] ^= 1;
        bytes[40 + 32] ^= 1;
        let lost = Lost::of_frame(64, 0);
        assert_eq!(scan(&bytes, BASE, false).pieces[1], Piece::Damaged { from: 40, to: 80, lost });
    }

    #[test]
    fn a_sealed_segment_that_ends_early_is_damaged() {
        let mut bytes = segment(&[b"one", b"two"]);
        bytes.truncate(60);
        bytes.resize(80, 0);
        let sealed = scan(&bytes, BASE, true);
        assert_eq!((frames(&sealed), sealed.end), (1, 80));
        let last = scan(&bytes, BASE, false);
        assert_eq!((frames(&last), last.pieces.len(), last.end), (1, 1, 40));
    }
}
