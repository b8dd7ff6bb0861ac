//! What the provider answers with. The name of the model says it, for that is what every gateway passes on.

use std::time::Duration;

/// Chunks of a stream that stays open: one, and then silence until the client goes.
const OPEN: &str = "open";
const PLAIN: &str = "plain";

/// An answer of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// A whole answer of 1 kB.
    Plain,
    /// So many chunks with so much time between two of them; none: all in one write.
    Stream {
        /// Chunks with content.
        chunks: usize,
        /// The time between two of them.
        every: Duration,
    },
    /// One chunk, and then silence until the client goes.
    Open,
}

impl Model {
    /// The name by which clients ask for it.
    pub fn name(self) -> String {
        match self {
            Self::Plain => PLAIN.to_owned(),
            Self::Open => OPEN.to_owned(),
            Self::Stream { chunks, every } => format!("stream-{chunks}-{}", every.as_micros()),
        }
    }

    /// Whether it answers with a stream.
    pub fn streams(self) -> bool {
        self != Self::Plain
    }

    /// The model that a request's body names.
    pub fn of(body: &[u8]) -> Option<Self> {
        const FIELD: &[u8] = b"\"model\":";
        let at = memchr::memmem::find(body, FIELD)? + FIELD.len();
        let name = body.get(at..)?.trim_ascii_start().strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', name)?;
        Self::named(std::str::from_utf8(name.get(..end)?).ok()?)
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            PLAIN => return Some(Self::Plain),
            OPEN => return Some(Self::Open),
            _ => {}
        }
        let (chunks, micros) = name.strip_prefix("stream-")?.split_once('-')?;
        Some(Self::Stream {
            chunks: chunks.parse().ok()?,
            every: Duration::from_micros(micros.parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_is_wanted() {
        let paced = Model::Stream { chunks: 100, every: Duration::from_millis(20) };
        for model in [Model::Plain, Model::Open, paced] {
            let body = format!("{{\"messages\":[], \"model\": \"{}\",\"stream\":true}}", model.name());
            assert_eq!(Model::of(body.as_bytes()), Some(model));
        }
        assert_eq!(Model::of(b"{\"model\":\"gpt\"}"), None);
        assert_eq!(Model::of(b"{}"), None);
    }
}
