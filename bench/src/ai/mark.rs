//! The content of chunks: the moment at which the provider wrote it, so that the client knows how long it
//! was on its way. Both run on one machine and share its clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const BEGIN: u8 = b'@';
const END: u8 = b';';

/// The time of the clock that both sides read.
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The content of a chunk that is written now.
pub fn mark() -> String {
    format!("@{:020};", now().as_nanos())
}

/// The moments of all marks in some text, and how much of it need not be looked at again.
pub fn marks(text: &[u8]) -> (impl Iterator<Item = Duration> + '_, usize) {
    let seen = memchr::memrchr(END, text).map_or(0, |at| at + 1);
    let whole = text.get(..seen).unwrap_or_default();
    let marks = whole.split(|byte| *byte == BEGIN).skip(1).filter_map(moment);
    (marks, seen)
}

fn moment(text: &[u8]) -> Option<Duration> {
    let end = memchr::memchr(END, text)?;
    let nanos = std::str::from_utf8(text.get(..end)?).ok()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_where_they_are_whole() {
        let text = format!("data: {{\"content\":\"{}\"}}\n\ndata: {}, @0000", mark(), mark());
        let (found, seen) = marks(text.as_bytes());
        assert_eq!(found.filter(|moment| *moment <= now()).count(), 2);
        assert_eq!(text.get(seen..), Some(", @0000"));
    }
}
