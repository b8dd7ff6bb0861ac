//! The sink that writes records as lines into a file of the data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::{Record, Sink, SinkFull};

/// The file's name in the data directory.
pub const FILE: &str = "http-records.jsonl";
/// Records that may wait for the writer.
const QUEUE: usize = 4096;
/// Bytes that waiting records may hold together.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// The file grows no further than this; what comes then is dropped and counted.
const MAX_FILE: u64 = 1024 * 1024 * 1024;

/// The sending side of the file.
pub struct JsonlSink {
    records: SyncSender<Option<Record>>,
    waiting: Arc<AtomicUsize>,
}

/// The writer thread, to be joined after the last request.
pub struct Writer {
    thread: JoinHandle<()>,
    records: SyncSender<Option<Record>>,
}

impl JsonlSink {
    /// Opens the file, readable by its owner alone, and starts its writer.
    ///
    /// # Errors
    /// If the file can't be opened, or the system gives no thread.
    pub fn start(data_dir: &Path) -> io::Result<(Self, Writer)> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(data_dir.join(FILE))?;
        let written = file.metadata()?.len();
        let (records, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let sink = Self { records: records.clone(), waiting: Arc::clone(&waiting) };
        let thread = std::thread::Builder::new()
            .name("tee".to_owned())
            .spawn(move || write_all(&queue, &waiting, file, written))?;
        Ok((sink, Writer { thread, records }))
    }
}

impl Sink for JsonlSink {
    fn offer(&self, record: Record) -> Result<(), SinkFull> {
        let size = record.size();
        if self.waiting.fetch_add(size, Ordering::AcqRel) + size > QUEUE_BYTES
            || self.records.try_send(Some(record)).is_err()
        {
            self.waiting.fetch_sub(size, Ordering::AcqRel);
            return Err(SinkFull);
        }
        Ok(())
    }
}

impl Writer {
    /// Writes what is queued and ends.
    pub fn finish(self) {
        // A writer that is gone has nothing to write.
        let _gone = self.records.send(None);
        if self.thread.join().is_err() {
            tracing::error!("the writer of the tee panicked");
        }
    }
}

fn write_all(queue: &Receiver<Option<Record>>, waiting: &AtomicUsize, file: File, mut written: u64) {
    let mut output = io::BufWriter::new(file);
    while let Ok(Some(first)) = queue.recv() {
        let more = std::iter::from_fn(|| queue.try_recv().ok());
        for record in std::iter::once(Some(first)).chain(more) {
            let Some(record) = record else {
                report(output.flush());
                return;
            };
            waiting.fetch_sub(record.size(), Ordering::AcqRel);
            let line = format!("{}\n", record.to_json());
            if written.saturating_add(line.len() as u64) > MAX_FILE {
                report(Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file of the tee is full")));
                continue;
            }
            written += line.len() as u64;
            report(output.write_all(line.as_bytes()));
        }
        report(output.flush());
    }
}

fn report(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "records of app traffic are lost");
    }
}
