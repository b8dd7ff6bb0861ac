//! Memory laid out in the blocks of a disk: from there to a file and back, bytes need not pass the kernel's cache.

use std::ops::{Deref, DerefMut};

use super::position::{narrow, wide};

/// Files are read and written in blocks of so many bytes where no cache is wanted. It is a multiple of what disks ask for.
pub(crate) const BLOCK: u64 = 4096;
const BLOCK_LEN: usize = 4096;

/// Bytes whose memory begins at a multiple of [`BLOCK`].
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    /// Bytes of the memory before that.
    lead: usize,
}

/// What is to be written at the end of a file: new bytes, and before them those of the same block that the file has.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    blocks: Blocks,
    /// How many of those there are: always less than a block.
    old: usize,
}

impl Blocks {
    /// So many zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let bytes = vec![0; len + BLOCK_LEN];
        let lead = lead(&bytes);
        let mut blocks = Self { bytes, lead };
        blocks.bytes.truncate(lead + len);
        blocks
    }

    /// None, with memory for so many.
    fn with_capacity(len: usize) -> Self {
        let mut bytes = Vec::with_capacity(len + BLOCK_LEN);
        let lead = lead(&bytes);
        bytes.resize(lead, 0);
        Self { bytes, lead }
    }

    /// Where bytes are added: there is room for so many without moving.
    fn room(&mut self, more: usize) -> &mut Vec<u8> {
        if self.bytes.capacity() - self.bytes.len() < more {
            let mut larger = Self::with_capacity((2 * self.len()).max(self.len() + more));
            larger.bytes.extend_from_slice(self);
            *self = larger;
        }
        &mut self.bytes
    }
}

impl Staged {
    /// Nothing new yet, at the end of a file whose last block begins with `old`.
    pub(crate) fn after(old: &[u8]) -> Self {
        let mut blocks = Blocks::with_capacity(BLOCK_LEN);
        blocks.bytes.extend_from_slice(old);
        Self { blocks, old: old.len() }
    }

    /// The new bytes.
    pub(crate) fn new_bytes(&self) -> &[u8] {
        self.blocks.get(self.old..).unwrap_or_default()
    }

    /// How many bytes are new.
    pub(crate) fn len(&self) -> u64 {
        wide(self.blocks.len() - self.old)
    }

    /// How many are not, but are written again where whole blocks are written.
    pub(crate) fn old(&self) -> u64 {
        wide(self.old)
    }

    /// Where new bytes are added: there is room for so many, which are not moved until they are written.
    pub(crate) fn room(&mut self, more: u64) -> &mut Vec<u8> {
        // And for what completes the last block.
        self.blocks.room(narrow(more + BLOCK))
    }

    /// Has all of it written in whole blocks, the last of which ends in zeros.
    pub(crate) fn in_whole_blocks<T>(&mut self, write: impl FnOnce(&[u8]) -> T) -> T {
        let (lead, len) = (self.blocks.lead, self.blocks.len());
        self.blocks.bytes.resize(lead + len.next_multiple_of(BLOCK_LEN), 0);
        let result = write(&self.blocks);
        self.blocks.bytes.truncate(lead + len);
        result
    }

    /// What was new is in the file.
    pub(crate) fn written(&mut self) {
        let len = self.blocks.len();
        let end = len - len % BLOCK_LEN;
        let lead = self.blocks.lead;
        self.blocks.bytes.drain(lead..lead + end);
        self.old = self.blocks.len();
    }

    /// What was new is not to be written.
    pub(crate) fn forget(&mut self) {
        self.blocks.bytes.truncate(self.blocks.lead + self.old);
    }

    /// Another file is written, from its beginning on.
    pub(crate) fn restart(&mut self) {
        self.blocks.bytes.truncate(self.blocks.lead);
        self.old = 0;
    }

    /// Gives memory back if there is more than this.
    pub(crate) fn keep_at_most(&mut self, bytes: usize) {
        if self.blocks.bytes.capacity() > bytes && self.len() == 0 {
            *self = Self::after(&self.blocks);
        }
    }
}

// === impl Blocks ===

impl Deref for Blocks {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.lead..).unwrap_or_default()
    }
}

impl DerefMut for Blocks {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.lead..).unwrap_or_default()
    }
}

/// Whether these are whole blocks in memory that begins at one.
pub(crate) fn are_blocks(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len().is_multiple_of(BLOCK_LEN) && bytes.as_ptr().align_offset(BLOCK_LEN) == 0
}

/// Bytes of the memory before its first block.
fn lead(memory: &[u8]) -> usize {
    memory.as_ptr().align_offset(BLOCK_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_begins_at_a_block_whatever_is_added() {
        assert!(are_blocks(&Blocks::zeros(BLOCK_LEN)) && *Blocks::zeros(10) == [0; 10]);
        let mut staged = Staged::after(b"old");
        for size in [1, 5000, 100_000, 3] {
            let before = staged.len();
            staged.room(size).extend_from_slice(&vec![7; narrow(size)]);
            assert_eq!(staged.len(), before + size);
            staged.in_whole_blocks(|blocks| {
                assert!(are_blocks(blocks));
                assert!(blocks.starts_with(b"old\x07"));
            });
        }
    }

    #[test]
    fn the_last_block_is_written_again() {
        let mut staged = Staged::after(b"");
        staged.room(5000).extend_from_slice(&[1; 5000]);
        staged.in_whole_blocks(|blocks| assert_eq!((blocks.len(), blocks[5000]), (8192, 0)));
        staged.written();
        assert_eq!((staged.len(), staged.old()), (0, 5000 - BLOCK));
        staged.room(1).push(2);
        assert_eq!(staged.new_bytes(), [2]);
        staged.forget();
        assert_eq!((staged.len(), staged.old()), (0, 5000 - BLOCK));
        staged.room(2).extend_from_slice(&[3; 2]);
        staged.in_whole_blocks(|blocks| {
            assert_eq!(blocks[..904], [1; 904]);
            assert_eq!(blocks[904..907], [3, 3, 0]);
        });
        staged.keep_at_most(0);
        assert_eq!(staged.new_bytes(), [3; 2]);
        staged.written();
        staged.keep_at_most(0);
        assert_eq!((staged.len(), staged.old()), (0, 906));
    }
}
