//! The whole index as frames of the log, so that what is before them can go.

use serde::{Deserialize, Serialize};

use super::super::index::{Index, Record};
use super::super::job::StorageTime;
use super::super::name::QueueName;
use super::super::storage::Settings;

/// Bytes of payloads and outputs that one frame holds, roughly.
const CHUNK: usize = 256 * 1024;

/// A part of a snapshot. Variants are numbered on disk: new ones go to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Piece {
    /// It begins: an index as of this time.
    Begin { at: StorageTime },
    /// The records that follow are of this queue.
    Queue { name: QueueName, settings: Settings, counter: u64 },
    /// Records of that queue.
    Records(Vec<Record>),
    /// It is complete.
    End,
}

/// An index that is being put together.
#[derive(Debug, Default)]
pub(super) struct Builder {
    at: StorageTime,
    index: Index,
    queue: Option<QueueName>,
}

/// The pieces of an index.
pub(super) fn pieces(index: &Index, at: StorageTime) -> impl Iterator<Item = Piece> + '_ {
    let queues = index.queues().filter(|(_, queue)| queue.counter() > 0 || !queue.is_empty());
    let of_queue = |(name, queue): (&QueueName, &'_ super::super::index::QueueIndex)| {
        let (settings, counter) = (queue.settings(), queue.counter());
        let head = Piece::Queue { name: name.clone(), settings, counter };
        std::iter::once(head)
            .chain(chunks(queue.records()).into_iter().map(Piece::Records))
            .collect::<Vec<_>>()
    };
    std::iter::once(Piece::Begin { at }).chain(queues.flat_map(of_queue)).chain([Piece::End])
}

fn chunks<'r>(records: impl Iterator<Item = &'r Record>) -> Vec<Vec<Record>> {
    let mut chunks = vec![Vec::new()];
    let mut size = 0;
    for record in records {
        if size > CHUNK {
            chunks.push(Vec::new());
            size = 0;
        }
        size += record.size();
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(record.clone());
        }
    }
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

impl Builder {
    /// Takes the next piece; the index once it is complete.
    pub(super) fn take(&mut self, piece: Piece) -> Option<Index> {
        match piece {
            Piece::Begin { at } => *self = Self { at, ..Self::default() },
            Piece::Queue { name, settings, counter } => {
                let queue = self.index.queue_mut(&name);
                queue.configure(settings);
                queue.advance_counter(counter);
                self.queue = Some(name);
            }
            Piece::Records(records) => {
                if let Some(name) = &self.queue {
                    let queue = self.index.queue_mut(name);
                    records.into_iter().for_each(|record| queue.put(record, self.at));
                }
            }
            Piece::End => return Some(std::mem::take(&mut self.index)),
        }
        None
    }
}
