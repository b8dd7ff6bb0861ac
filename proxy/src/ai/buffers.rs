//! Bounds what all request bodies take together that are kept for another attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of all bodies that are kept at the moment.
#[derive(Debug, Default)]
pub struct Buffers(AtomicU64);

/// What one body takes, until dropped.
#[derive(Debug)]
pub struct Reserved {
    buffers: Arc<Buffers>,
    bytes: u64,
}

impl Buffers {
    /// A body that takes nothing yet.
    #[must_use]
    pub fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved { buffers: Arc::clone(self), bytes: 0 }
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Reserved {
    /// Whether there would be room for more bytes now; takes none.
    #[must_use]
    pub fn would_fit(&self, bytes: u64, most: u64) -> bool {
        self.buffers.used().saturating_add(bytes) <= most
    }

    /// Takes room for more bytes, if all together stay within `most`.
    #[must_use]
    pub fn grow(&mut self, bytes: u64, most: u64) -> bool {
        let before = self.buffers.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_add(bytes);
        before.saturating_add(bytes) <= most
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.buffers.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bodies_together_are_bounded() {
        let buffers = Arc::new(Buffers::default());
        let mut one = buffers.reserve();
        let mut two = buffers.reserve();
        assert!(one.grow(60, 100) && two.grow(40, 100));
        assert!(two.would_fit(0, 100) && !two.would_fit(1, 100));
        assert!(!two.grow(1, 100));
        drop(two);
        assert_eq!(buffers.used(), 60);
        assert!(one.grow(40, 100));
        drop(one);
        assert_eq!(buffers.used(), 0);
    }
}
