//! The journal as a whole, on a disk in memory that obeys the tests.

mod chaos;
mod damage;
mod faults;
mod flow;
mod mem_disk;
mod model;
mod power;

use std::sync::Arc;
use std::time::Duration;

use mem_disk::{Content, MemDisk};

use super::{Item, Journal, Kind, Options, Position, Receipt, Recovery};

const SINGLE: Kind = Kind::single::<0>();
const BEGIN: Kind = Kind::begin::<0>();
const PART: Kind = Kind::part::<0>();
const END: Kind = Kind::end::<0>();

fn options(disk: &MemDisk) -> Options {
    Options::new("/journal")
        .disk(Arc::new(disk.clone()))
        .segment_bytes(4096)
        .max_bytes(1 << 20)
        .idle_after(Duration::from_secs(3600))
        .retry_after(Duration::ZERO)
}

fn open(disk: &MemDisk) -> (Journal, Recovery) {
    Journal::open(options(disk)).unwrap()
}

fn append(journal: &Journal, kind: Kind, group: u64, body: &[u8]) -> Receipt {
    journal.append(kind, group, body.to_vec()).wait().unwrap().receipt().unwrap()
}

/// Everything from a position to the end.
fn read(journal: &Journal, from: Position) -> Vec<Item> {
    let mut reader = journal.reader(from);
    std::iter::from_fn(|| reader.try_next().unwrap()).collect()
}

fn bodies(items: &[Item]) -> Vec<Vec<u8>> {
    let frames = items.iter().cloned().filter_map(Item::into_frame);
    frames.map(|frame| frame.body.to_vec()).collect()
}
