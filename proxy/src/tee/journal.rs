//! The sink that writes records into the audit journal. A thread of its own turns them into JSON, so that
//! requests pay for neither that nor the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use lockstep_queue::journal::{Append, Journal, Outcome};

use super::{Record, Sink, SinkFull};
use crate::audit::body::BodyRules;
use crate::audit::contents::{Malformed, WHOLE, whole};
use crate::metrics::Metrics;
use crate::writer_thread;

/// Records that may wait for the thread.
const QUEUE: usize = 4096;
/// Bytes that waiting records may hold together.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Records that are handed to the journal before the thread looks what became of them.
const BATCH: usize = 256;
/// Bytes of them: they wait in the queue that calls of the gateway need too, and that takes no more than 64 MiB.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The sending side.
pub struct JournalSink {
    records: SyncSender<Option<Record>>,
    waiting: Arc<AtomicUsize>,
}

/// The thread, to be joined after the last request and before the journal is closed.
pub struct Writer {
    thread: JoinHandle<()>,
    records: SyncSender<Option<Record>>,
}

impl JournalSink {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(
        journal: Journal,
        rules: Arc<BodyRules>,
        metrics: Arc<Metrics>,
    ) -> io::Result<(Self, Writer)> {
        let (records, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let sink = Self { records: records.clone(), waiting: Arc::clone(&waiting) };
        let thread = std::thread::Builder::new().name("tee".to_owned()).spawn(move || {
            Frames { journal, rules, appends: Vec::new(), failing: false, metrics }
                .write_all(&queue, &waiting);
        })?;
        Ok((sink, Writer { thread, records }))
    }
}

impl Sink for JournalSink {
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

/// The thread's side.
struct Frames {
    journal: Journal,
    rules: Arc<BodyRules>,
    appends: Vec<Append>,
    /// Whether the last record was lost: the first of several is reported.
    failing: bool,
    metrics: Arc<Metrics>,
}

impl Frames {
    fn write_all(mut self, queue: &Receiver<Option<Record>>, waiting: &AtomicUsize) {
        while let Ok(Some(first)) = queue.recv() {
            let more = std::iter::from_fn(|| queue.try_recv().ok());
            let mut handed_over = 0;
            for record in std::iter::once(Some(first)).chain(more) {
                let Some(record) = record else {
                    self.settle();
                    return;
                };
                let contents = record.fields(&self.rules).map_err(Malformed::from).and_then(whole);
                waiting.fetch_sub(record.size(), Ordering::AcqRel);
                match contents {
                    Ok(contents) => {
                        handed_over += contents.len();
                        self.appends.push(self.journal.append_unsynced(WHOLE, 0, contents));
                    }
                    Err(error) => self.lost(&error),
                }
                if self.appends.len() >= BATCH || handed_over >= BATCH_BYTES {
                    self.settle();
                    handed_over = 0;
                }
            }
            self.settle();
        }
    }

    /// Waits until the operating system has what was handed over.
    fn settle(&mut self) {
        for append in std::mem::take(&mut self.appends) {
            match append.wait() {
                Ok(Outcome::Stored(_)) => self.failing = false,
                Ok(Outcome::Dropped) => self.lost(&"the journal is full"),
                Err(error) => self.lost(&error),
            }
        }
    }

    fn lost(&mut self, why: &dyn std::fmt::Display) {
        self.metrics.tee_records.with_label_values(&["lost"]).inc();
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%why, "records of app traffic are lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lockstep_queue::journal::Options;

    use super::super::capture::Body;
    use super::super::record::Side;
    use super::*;

    fn record(bytes: usize) -> Record {
        let side = |bytes| {
            let mut body = Body::new(true);
            body.push(&Bytes::from(vec![b'x'; bytes]));
            Side { headers: Vec::new(), body }
        };
        Record {
            id: ulid::Ulid::generate(),
            started_at: jiff::Timestamp::now(),
            first_byte_at: None,
            refusal: None,
            client: [127, 0, 0, 1].into(),
            user_agent: None,
            request_id: None,
            route: None,
            method: http::Method::POST,
            path: "/".to_owned(),
            request: side(bytes),
            status: 200,
            response: side(0),
        }
    }

    #[test]
    fn what_waits_for_a_slow_disk_is_bounded_by_its_bytes() {
        const SIZE: usize = 200 * 1024;
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(Options::new(dir.path())).unwrap();
        let (records, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let sink = JournalSink { records, waiting: Arc::clone(&waiting) };
        let taken = (0..QUEUE).take_while(|_| sink.offer(record(SIZE)).is_ok()).count();
        assert_eq!(taken, QUEUE_BYTES / record(SIZE).size());
        assert!(sink.offer(record(0)).is_ok(), "there is room for a small one");
        sink.records.send(None).unwrap();
        let metrics = Metrics::new().unwrap();
        Frames { journal, rules: Arc::default(), appends: Vec::new(), failing: false, metrics }
            .write_all(&queue, &waiting);
        assert_eq!(waiting.load(Ordering::Acquire), 0);
        assert!(sink.offer(record(SIZE)).is_ok(), "there is room again");
    }
}
