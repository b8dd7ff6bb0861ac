//! Frames on disk: a header of 32 bytes, the body, zeros up to a multiple of 8.
//!
//! ```text
//!  0  magic "LSJ1"
//!  4  CRC-32C of the frame's position and of the header from byte 8 on
//!  8  CRC-32C of the body
//! 12  length of the body
//! 16  group id
//! 24  bytes before this frame that were not known to be on disk when it was written
//! 28  kind, then three zeros
//! ```
//!
//! Numbers are little-endian. The position is part of the checksum, so bytes of another place (an
//! older file, a frame within a frame) never pass for a frame. The header has a checksum of its own,
//! so the length of a frame with a damaged body can be trusted.

use crc_fast::{CrcAlgorithm, Digest};

use super::position::{narrow, wide};

/// Length of a header.
pub(crate) const HEADER: u64 = 32;
const HEADER_LEN: usize = 32;
/// Frames begin at multiples of this.
pub(crate) const ALIGN: u64 = 8;
pub(crate) const MAGIC: [u8; 4] = *b"LSJ1";

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) group: u64,
    pub(crate) len: u32,
    pub(crate) unsynced: u32,
    body_crc: u32,
}

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A whole frame.
    Whole(Header),
    /// A header whose body has another checksum.
    BadBody(Header),
    /// A header whose body goes on after the end of the bytes given.
    Short(Header),
    /// No header.
    Nothing,
}

impl Header {
    /// Bytes that the frame takes.
    pub(crate) fn size(&self) -> u64 {
        size(u64::from(self.len))
    }

    /// The body within the bytes of the frame.
    pub(crate) fn body<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let end = HEADER + u64::from(self.len);
        frame.get(HEADER_LEN..narrow(end)).unwrap_or_default()
    }
}

/// Bytes that a frame takes with a body of this length.
pub(crate) fn size(len: u64) -> u64 {
    HEADER + len.next_multiple_of(ALIGN)
}

/// Appends a frame, whose body is given in pieces, to `out`.
pub(crate) fn put<'a>(
    out: &mut Vec<u8>,
    position: u64,
    kind: u8,
    group: u64,
    unsynced: u64,
    body: impl Iterator<Item = &'a [u8]> + Clone,
) {
    let len: u64 = body.clone().map(|piece| wide(piece.len())).sum();
    let body_crc = crc(body.clone());
    out.reserve(narrow(size(len)));
    let mut rest = [0; 24];
    // Both numbers are bounded by the options, far below 4 GiB.
    let fields = (body_crc.to_le_bytes().into_iter())
        .chain(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes())
        .chain(group.to_le_bytes())
        .chain(u32::try_from(unsynced).unwrap_or(u32::MAX).to_le_bytes())
        .chain([kind]);
    for (to, from) in rest.iter_mut().zip(fields) {
        *to = from;
    }
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&header_crc(position, &rest).to_le_bytes());
    out.extend_from_slice(&rest);
    body.for_each(|piece| out.extend_from_slice(piece));
    let padding = narrow(len.next_multiple_of(ALIGN) - len);
    out.resize(out.len() + padding, 0);
}

/// Looks for a frame at the beginning of `bytes`, which are those at `position`.
pub(crate) fn parse(bytes: &[u8], position: u64) -> Parsed {
    let Some(header) = header(bytes, position) else { return Parsed::Nothing };
    let size = header.size();
    if size > wide(bytes.len()) {
        Parsed::Short(header)
    } else if crc([header.body(bytes)].into_iter()) == header.body_crc {
        Parsed::Whole(header)
    } else {
        Parsed::BadBody(header)
    }
}

fn header(bytes: &[u8], position: u64) -> Option<Header> {
    let bytes = bytes.strip_prefix(&MAGIC)?;
    let (crc, bytes) = u32_of(bytes)?;
    let rest = bytes.first_chunk::<24>()?;
    if header_crc(position, rest) != crc {
        return None;
    }
    let (body_crc, bytes) = u32_of(rest)?;
    let (len, bytes) = u32_of(bytes)?;
    let (group, bytes) = u64_of(bytes)?;
    let (unsynced, bytes) = u32_of(bytes)?;
    Some(Header { kind: *bytes.first()?, group, len, unsynced, body_crc })
}

fn header_crc(position: u64, rest: &[u8; 24]) -> u32 {
    crc([position.to_le_bytes().as_slice(), rest].into_iter())
}

/// CRC-32C (RFC 3720, B.4) of the pieces, one behind the other.
fn crc<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    pieces.for_each(|piece| digest.update(piece));
    // It has 32 bits, in a type for those that have more.
    u32::try_from(digest.finalize()).unwrap_or(u32::MAX)
}

fn u32_of(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// The number at the beginning, and what follows it.
pub(crate) fn u64_of(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(position: u64, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, position, 64, 7, 16, [body].into_iter());
        out
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let whole = frame(4096, b"thirteen long");
        assert_eq!(whole.len(), 48);
        assert!(
            matches!(parse(&whole, 4096), Parsed::Whole(header) if header.body(&whole) == b"thirteen long")
        );
        for bit in 0..(32 + 13) * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let parsed = parse(&flipped, 4096);
            let expected = if bit < 32 * 8 { Parsed::Nothing } else { parsed };
            assert_eq!(parsed, expected);
            assert!(!matches!(parsed, Parsed::Whole(_)), "bit {bit}");
        }
    }

    #[test]
    fn checksums_are_those_of_the_format() {
        for pieces in [vec!["123456789"], vec!["1234", "", "56789"]] {
            assert_eq!(crc(pieces.iter().map(|piece| piece.as_bytes())), 0xE306_9283);
        }
    }

    #[test]
    fn a_frame_is_whole_only_where_it_was_written() {
        let whole = frame(4096, b"body");
        assert_eq!(parse(&whole, 4104), Parsed::Nothing);
        for len in 0..whole.len() {
            assert!(matches!(parse(&whole[..len], 4096), Parsed::Nothing | Parsed::Short(_)));
        }
    }

    proptest! {
        #[test]
        fn what_was_put_is_parsed(position: u64, kind: u8, group: u64, unsynced: u32, body: Vec<Vec<u8>>) {
            let mut out = Vec::new();
            put(&mut out, position, kind, group, u64::from(unsynced), body.iter().map(AsRef::as_ref));
            let Parsed::Whole(header) = parse(&out, position) else { panic!("not whole") };
            prop_assert_eq!((header.kind, header.group, header.unsynced), (kind, group, unsynced));
            prop_assert_eq!(wide(out.len()), header.size());
            prop_assert_eq!(header.body(&out), body.concat());
        }

        #[test]
        fn noise_is_never_a_frame(bytes: Vec<u8>, position: u64) {
            prop_assert_eq!(parse(&bytes, position), Parsed::Nothing);
        }
    }
}
