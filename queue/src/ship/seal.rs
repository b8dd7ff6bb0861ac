//! What the journal keeps for the shipper: how far it is, and the batches that are on their way.

use serde::{Deserialize, Serialize};

use super::encoding::Compression;
use super::hash::Hash;
use crate::journal::Position;

const VERSION: u32 = 1;

/// A batch as it was when it was first made. Written to the journal before it is shipped, so that after
/// a crash the same records go to the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    /// Where it goes: prefix, hour, node and range of numbers.
    pub(crate) key: String,
    pub(crate) compression: Compression,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Where its last record ends in the journal.
    pub(crate) to: u64,
    /// Time of its last record.
    pub(crate) at: u64,
    /// Hash of the object.
    pub(crate) sha256: Hash,
    /// Hash of its last line.
    pub(crate) head: Hash,
}

/// Kept with the journal's acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    version: u32,
    /// Number of the first record that is not shipped.
    pub(crate) next: u64,
    /// Time of the record before it.
    pub(crate) at: u64,
    /// Hash of the line before it.
    pub(crate) head: Hash,
    /// No record after the sealed ones gets a lower number.
    pub(crate) resume: u64,
    /// Batches on their way, in order.
    pub(crate) seals: Vec<Seal>,
}

impl Mark {
    /// Nothing shipped yet; the first record gets this number.
    pub(crate) fn new(next: u64) -> Self {
        Self { version: VERSION, next, at: 0, head: Hash::NONE, resume: 0, seals: Vec::new() }
    }

    /// What the journal kept; nothing if it is of a release that says other things, or not a shipper's.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|mark: &Self| mark.version == VERSION)
    }

    /// The oldest batch is shipped.
    pub(crate) fn shipped(&mut self, last: u64, at: u64, head: Hash) {
        self.seals.drain(..self.seals.len().min(1));
        (self.next, self.at, self.head) = (last.saturating_add(1), self.at.max(at), head);
    }

    /// Forgets batches whose records were at the end of the journal and are lost; says whether there
    /// were any. Their numbers are not used again, for they may be shipped.
    pub(crate) fn forget_lost(&mut self, end: Position) -> bool {
        let kept = self.seals.iter().take_while(|seal| seal.to <= end.as_u64()).count();
        let lost = self.seals.split_off(kept);
        let Some(last) = lost.last().map(|seal| seal.last) else { return false };
        tracing::error!(batches = lost.len(), %last, "records of batches on their way are lost from the end of the journal");
        self.resume = last.saturating_add(1);
        if self.seals.is_empty() {
            self.next = self.resume;
        }
        true
    }

    pub(crate) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_and_fit_with_as_many_seals_as_can_be() {
        let seal = Seal {
            key: "k".repeat(512 + 128 + 120),
            compression: Compression::Gzip,
            first: u64::MAX,
            last: u64::MAX,
            to: u64::MAX,
            at: u64::MAX,
            sha256: Hash::of(b"a"),
            head: Hash::of(b"b"),
        };
        let mark = Mark { seals: vec![seal; super::super::options::MOST_IN_FLIGHT], ..Mark::new(7) };
        let bytes = mark.encode().unwrap();
        assert!(bytes.len() < crate::journal::Journal::MAX_MARK, "{}", bytes.len());
        assert_eq!(Mark::decode(&bytes), Some(mark));
        assert_eq!(Mark::decode(br#"{"version":2}"#), None);
    }
}
