//! What a frame is to hold.

use bytes::Bytes;

/// The contents of a frame: bytes in one piece, or in several that stand one behind the other on disk. What is in
/// pieces already need not be copied together for that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    first: Bytes,
    /// Without a second piece this takes no memory of its own.
    rest: Vec<Bytes>,
}

impl Body {
    /// How many bytes all pieces have.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces().map(Bytes::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces().all(Bytes::is_empty)
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> + Clone {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self { first: bytes.into(), rest: Vec::new() }
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut pieces = pieces.into_iter();
        Self { first: pieces.next().unwrap_or_default(), rest: pieces.collect() }
    }
}
