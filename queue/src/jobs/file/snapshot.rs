//! The whole index as frames of the log, so that what is before them can go.

use std::iter;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::super::error::StorageError;
use super::super::index::{Index, Record};
use super::super::job::{Generation, StorageTime};
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

/// A queue without its records.
struct Head {
    name: QueueName,
    settings: Settings,
    counter: u64,
    generations: Vec<Generation>,
}

/// An index that is being put together.
#[derive(Debug, Default)]
pub(super) struct Builder {
    at: StorageTime,
    index: Index,
    queue: Option<QueueName>,
}

/// The pieces of an index as of a time. The index is locked for one piece after the other, so that who reads it does
/// not wait for the disk; nobody may change it meanwhile. A closed one gives an error and ends.
///
/// Whoever reads them back makes all jobs ready whose time had come, which the index must do too once they are written.
pub(super) fn pieces(
    index: &Mutex<Option<Index>>,
    at: StorageTime,
) -> Result<impl Iterator<Item = Result<Piece, StorageError>> + '_, StorageError> {
    let heads = heads(index.lock().as_ref().ok_or(StorageError::Closed)?);
    let of_queue = move |Head { name, settings, counter, generations }| {
        let head = Piece::Queue { name: QueueName::clone(&name), settings, counter };
        let mut left = generations.into_iter();
        let records = iter::from_fn(move || {
            let chunk = index.lock().as_ref().map(|index| chunk(index, &name, &mut left));
            let chunk = chunk.ok_or(StorageError::Closed);
            (!matches!(&chunk, Ok(chunk) if chunk.is_empty())).then(|| chunk.map(Piece::Records))
        });
        iter::once(Ok(head)).chain(records)
    };
    let queues = heads.into_iter().flat_map(of_queue);
    Ok(iter::once(Ok(Piece::Begin { at })).chain(queues).chain([Ok(Piece::End)]))
}

/// The queues that hold anything.
fn heads(index: &Index) -> Vec<Head> {
    let queues = index.queues().filter(|(_, queue)| queue.counter() > 0 || !queue.is_empty());
    let heads = queues.map(|(name, queue)| Head {
        name: name.clone(),
        settings: queue.settings(),
        counter: queue.counter(),
        generations: queue.records().map(|record| record.generation).collect(),
    });
    heads.collect()
}

/// The next records; none if there are no more.
fn chunk(index: &Index, name: &QueueName, left: &mut impl Iterator<Item = Generation>) -> Vec<Record> {
    let mut chunk = Vec::new();
    let mut size = 0;
    while size <= CHUNK
        && let Some(generation) = left.next()
    {
        let record = index.queue(name).and_then(|queue| queue.at(generation));
        size += record.map_or(0, Record::size);
        chunk.extend(record.cloned());
    }
    chunk
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jobs::job::{JobOptions, NewJob};
    use crate::jobs::name::{JobId, WorkerId};
    use crate::jobs::storage::Claim;

    /// One step makes some jobs ready at a time; what a snapshot gives must not depend on how far that was.
    #[test]
    fn what_is_read_back_gives_the_same_jobs() {
        let (begin, later) = (StorageTime::default(), StorageTime::default().after(Duration::from_secs(9)));
        let jobs = (0..3000).map(|number| NewJob {
            id: JobId::new(number.to_string()).unwrap(),
            payload: "payload".into(),
            options: JobOptions {
                // Those that come first are ready last.
                priority: number,
                delay: Duration::from_secs(u64::from(number % 5 == 0) + 1),
                ..JobOptions::default()
            },
        });
        let name = QueueName::new("queue").unwrap();
        let mut index = Index::default();
        index.queue_mut(&name).enqueue(begin, &jobs.collect::<Vec<_>>()).unwrap();
        let live = Mutex::new(Some(index));
        let mut builder = Builder::default();
        let mut read = pieces(&live, later).unwrap().find_map(|piece| builder.take(piece.unwrap())).unwrap();
        let mut live = live.into_inner().unwrap();
        live.promote_all(later);
        let claim =
            Claim { worker: WorkerId::new("worker").unwrap(), max: 100, lease: Duration::from_secs(1) };
        for _ in 0..30 {
            let [live, read] = [&mut live, &mut read].map(|index| {
                let finished = index.queue_mut(&name).finish(later, &[], Some(&claim));
                finished.claimed.into_iter().map(|job| (job.id, job.token)).collect::<Vec<_>>()
            });
            assert_eq!((live.len(), &live), (100, &read));
        }
    }
}
