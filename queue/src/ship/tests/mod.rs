//! The shipper as a whole: a real journal, a sink in memory that obeys the tests.

mod flow;
mod mem_sink;
mod restart;
mod tail;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mem_sink::MemSink;

use super::{Assemble, Compression, Group, Options, Shipper};
use crate::journal::{self, Frame, Gap, Journal, Kind, Receipt, Recovery, Stamp};

const SINGLE: Kind = Kind::single::<0>();
const BEGIN: Kind = Kind::begin::<0>();
const PART: Kind = Kind::part::<0>();
const END: Kind = Kind::end::<0>();

/// Lines that show what they were made from.
struct Plain;

impl Assemble for Plain {
    fn group(&self, stamp: Stamp, group: &Group) -> Vec<u8> {
        let frames = group.frames.iter().map(|frame| String::from_utf8_lossy(&frame.body));
        let text: Vec<_> = frames.collect();
        format!(r#"{{"seq":{},"text":"{}","lost":{}}}"#, stamp.seq, text.join("+"), group.lost).into_bytes()
    }

    fn single(&self, stamp: Stamp, frame: &Frame) -> Vec<u8> {
        self.group(stamp, &Group { frames: vec![frame.clone()], lost: 0 })
    }

    fn gap(&self, stamp: Stamp, _: &Gap) -> Vec<u8> {
        format!(r#"{{"seq":{},"text":"gap"}}"#, stamp.seq).into_bytes()
    }

    /// A text that is a number is the hour of the record.
    fn single_at(&self, frame: &Frame) -> Option<u64> {
        Some(std::str::from_utf8(&frame.body).ok()?.parse::<u64>().ok()? * 3_600_000)
    }
}

fn open(dir: &Path) -> (Journal, Recovery) {
    let options = journal::Options::new(dir).segment_bytes(4096).max_bytes(1 << 22);
    Journal::open(options).unwrap()
}

fn options() -> Options {
    Options::new("node").unwrap().compression(Compression::None)
}

fn shipper(journal: &Journal, recovery: &Recovery, sink: &Arc<MemSink>, options: &Options) -> Shipper {
    shipper_with(Arc::new(Plain), journal, recovery, sink, options)
}

fn shipper_with(
    assemble: Arc<dyn Assemble>,
    journal: &Journal,
    recovery: &Recovery,
    sink: &Arc<MemSink>,
    options: &Options,
) -> Shipper {
    Shipper::new(journal.clone(), recovery, assemble, Arc::clone(sink) as _, None, options).unwrap()
}

/// Runs the shipper as long as the other future takes.
async fn while_running<T>(shipper: &Shipper, other: impl Future<Output = T>) -> T {
    tokio::select! {
        result = shipper.run(std::future::pending()) => panic!("it ended: {result:?}"),
        value = other => value,
    }
}

async fn append(journal: &Journal, kind: Kind, group: u64, body: impl ToString) -> Receipt {
    journal.append(kind, group, body.to_string()).await.unwrap().receipt().unwrap()
}
