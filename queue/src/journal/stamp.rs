//! The stamp before the contents of a frame that ends a group.

use super::append::Stamp;
use super::frame::u64_of;

pub(crate) const LEN: u64 = 16;

pub(crate) fn encode(stamp: Stamp) -> [u8; 16] {
    (u128::from(stamp.seq) | (u128::from(stamp.at_millis) << 64)).to_le_bytes()
}

/// The stamp, and the contents after it.
pub(crate) fn split(body: &[u8]) -> Option<(Stamp, &[u8])> {
    let (seq, body) = u64_of(body)?;
    let (at_millis, body) = u64_of(body)?;
    Some((Stamp { seq, at_millis }, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_the_disk() {
        let stamp = Stamp { seq: 1, at_millis: u64::MAX };
        let body = [&encode(stamp)[..], b"rest"].concat();
        assert_eq!(split(&body), Some((stamp, &b"rest"[..])));
        assert_eq!(split(&body[..15]), None);
    }
}
