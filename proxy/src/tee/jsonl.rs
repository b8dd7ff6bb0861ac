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
use crate::metrics::Metrics;
use crate::writer_thread;

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
    pub fn start(data_dir: &Path, metrics: Arc<Metrics>) -> io::Result<(Self, Writer)> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(data_dir.join(FILE))?;
        let written = file.metadata()?.len();
        let (records, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let sink = Self { records: records.clone(), waiting: Arc::clone(&waiting) };
        let thread = std::thread::Builder::new().name("tee".to_owned()).spawn(move || {
            let lines = Lines { output: io::BufWriter::new(file), written, failing: false, metrics };
            lines.write_all(&queue, &waiting);
        })?;
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
        writer_thread::finish("tee", &self.records, None, self.thread);
    }
}

/// The writer's side of the file.
struct Lines {
    output: io::BufWriter<File>,
    /// Bytes in the file.
    written: u64,
    /// Whether the last line was lost: the first of several is reported.
    failing: bool,
    metrics: Arc<Metrics>,
}

impl Lines {
    fn write_all(mut self, queue: &Receiver<Option<Record>>, waiting: &AtomicUsize) {
        while let Ok(Some(first)) = queue.recv() {
            let more = std::iter::from_fn(|| queue.try_recv().ok());
            for record in std::iter::once(Some(first)).chain(more) {
                let Some(record) = record else {
                    self.flush();
                    return;
                };
                waiting.fetch_sub(record.size(), Ordering::AcqRel);
                let written = self.write(&record);
                self.report(written);
            }
            self.flush();
        }
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        let line = format!("{}\n", record.to_json());
        let written = self.written.saturating_add(line.len() as u64);
        if written > MAX_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file of the tee is full"));
        }
        self.output.write_all(line.as_bytes())?;
        self.written = written;
        Ok(())
    }

    fn flush(&mut self) {
        if let Err(error) = self.output.flush() {
            // How many lines were in the buffer is not known any more.
            self.report(Err(error));
        }
    }

    fn report(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.metrics.tee_records.with_label_values(&["lost"]).inc();
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "records of app traffic are lost");
                }
            }
        }
    }
}
