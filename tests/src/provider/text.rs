//! Dates and compression.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The moment that is so far ahead, as HTTP writes dates (RFC 9110, 5.6.7).
///
/// # Panics
/// If it is beyond all calendars.
pub fn http_date(ahead: Duration) -> String {
    let moment = jiff::Timestamp::now().checked_add(ahead).expect("a moment in this calendar");
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Bytes, compressed.
pub(super) fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory").into()
}
