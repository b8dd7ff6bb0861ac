//! Reads, seals, ships and acknowledges.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument as _;

use super::build::{BuildError, Builder};
use super::collect::{Batch, Collector};
use super::groups::Groups;
use super::hash::Hash;
use super::options::Options;
use super::seal::{Mark, Seal};
use super::shipper::{Progress, ShipError};
use super::sink::Object;
use super::upload::{Landed, Uploader};
use crate::journal::{Item, JournalError, Position, Reader, Recovery};

/// How long until the journal's disk is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long new records wait for others to be read with them: a batch is not complete for seconds, so nobody waits for
/// the shipper to be woken by each sync.
const GATHER: Duration = Duration::from_millis(50);

/// Everything a shipper does; one future runs it.
pub(crate) struct Engine {
    builder: Arc<Builder>,
    uploader: Arc<Uploader>,
    reader: Reader,
    collector: Collector,
    /// What the journal keeps.
    mark: Mark,
    /// It must be written before anything else is done.
    must_keep: bool,
    acknowledged: Position,
    /// Hash of the last line made.
    head: Hash,
    /// Batches that are sealed, in order.
    flights: VecDeque<Flight>,
    uploads: JoinSet<(u64, Landed)>,
    in_flight: usize,
    flushes: watch::Receiver<u64>,
    flush: Option<Flush>,
    progress: watch::Sender<Progress>,
}

/// A batch on its way.
#[derive(Debug)]
struct Flight {
    first: u64,
    to: Position,
    since: u64,
    at: u64,
    last: u64,
    /// Hash of its last line.
    head: Hash,
    /// It came out otherwise than it was sealed: what follows it is not known until it landed.
    changed: bool,
    landed: bool,
}

/// A flush under way.
#[derive(Debug, Clone, Copy)]
struct Flush {
    number: u64,
    /// All records before this one must be shipped, once everything is read.
    until: Option<u64>,
}

/// What happened.
enum Event {
    Read(Result<Option<Item>, JournalError>),
    Landed(Result<(u64, Landed), JoinError>),
    OldEnough,
    FlushAsked,
}

impl Engine {
    pub(crate) fn new(
        builder: Builder,
        uploader: Uploader,
        recovery: &Recovery,
        options: &Options,
        flushes: watch::Receiver<u64>,
        progress: watch::Sender<Progress>,
    ) -> Result<Self, ShipError> {
        let journal = &builder.journal;
        let from = journal.acknowledged().max(journal.oldest());
        let mut mark = if recovery.mark.is_empty() {
            // Every record takes more than a byte: with a lost mark, no number comes twice.
            Mark::new(from.as_u64())
        } else {
            Mark::decode(&recovery.mark).ok_or(ShipError::Mark)?
        };
        let lost = mark.forget_lost(journal.stats().durable);
        let known = recovery.spanning_groups.iter().chain(&recovery.open_groups);
        let groups = Groups::new(known, from, options.limits.cache);
        let assemble = Arc::clone(&builder.assemble);
        Ok(Self {
            reader: journal.reader(from).gathering(GATHER),
            collector: Collector::new(assemble, groups, options.limits, &mark),
            acknowledged: from,
            head: mark.head,
            mark,
            must_keep: lost,
            builder: Arc::new(builder),
            uploader: Arc::new(uploader),
            flights: VecDeque::new(),
            uploads: JoinSet::new(),
            in_flight: options.in_flight,
            flushes,
            flush: None,
            progress,
        })
    }

    /// Works until the journal ends.
    #[tracing::instrument(name = "ship", level = "info", skip_all, fields(node = %self.builder.node))]
    pub(crate) async fn run(&mut self) -> Result<(), ShipError> {
        if self.must_keep {
            self.keep().await?;
        }
        loop {
            self.advance_flush().await?;
            self.launch().await?;
            self.publish();
            match self.event().await {
                Event::Read(Ok(Some(item))) => self.take(item),
                Event::Read(Ok(None)) => return Err(JournalError::Closed.into()),
                Event::Read(Err(error)) => unreadable(error).await?,
                Event::Landed(landed) => {
                    let (first, landed) = landed.map_err(ShipError::Upload)?;
                    self.landed(first, landed).await?;
                }
                Event::OldEnough => self.collector.cut(),
                Event::FlushAsked => {}
            }
        }
    }

    /// Takes a frame, and those that were read with it.
    fn take(&mut self, item: Item) {
        self.collector.take(item);
        while self.collector.is_hungry()
            && let Some(item) = self.reader.next_read()
        {
            self.collector.take(item);
        }
    }

    /// Ends what is under way.
    pub(crate) async fn end(&mut self) {
        self.uploads.shutdown().await;
        self.flights.clear();
        self.publish();
        self.progress.send_modify(|progress| progress.ended = true);
    }

    async fn event(&mut self) -> Event {
        let room = self.has_room();
        let hungry = self.collector.is_hungry();
        let deadline = self.collector.deadline().filter(|_| room && hungry);
        tokio::select! {
            Some(landed) = self.uploads.join_next() => Event::Landed(landed),
            // Without room for another upload, the batch goes on growing.
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Event::OldEnough,
            // The sender lives as long as somebody can ask.
            Ok(()) = self.flushes.changed() => Event::FlushAsked,
            item = self.reader.next(), if hungry => Event::Read(item),
        }
    }

    fn has_room(&self) -> bool {
        self.flights.len() < self.in_flight && !self.flights.iter().any(|flight| flight.changed)
    }

    /// Reads all that was there when somebody asked to flush, as far as there is room for it.
    async fn advance_flush(&mut self) -> Result<(), ShipError> {
        let asked = *self.flushes.borrow_and_update();
        let known = self.flush.map_or(self.progress.borrow().flushed, |flush| flush.number);
        if asked > known {
            self.flush = Some(Flush { number: asked, until: None });
        }
        let Some(mut flush) = self.flush else { return Ok(()) };
        while flush.until.is_none() && self.collector.is_hungry() {
            match self.reader.try_next() {
                Ok(Some(item)) => self.collector.take(item),
                Ok(None) => {
                    self.collector.cut();
                    flush.until = Some(self.collector.next());
                }
                Err(error) => unreadable(error).await?,
            }
        }
        self.flush = Some(flush);
        Ok(())
    }

    /// Seals complete batches and sends them on their way.
    async fn launch(&mut self) -> Result<(), ShipError> {
        while self.has_room()
            && let Some(batch) = self.collector.pop()
        {
            let batch = Arc::new(batch);
            let object = self.build(&batch).await?;
            let sealed = batch.seal.as_ref().map(|seal| seal.sha256);
            let changed = sealed.is_some_and(|sealed| sealed != object.sha256);
            if changed {
                self.uploader.counters.changed.add(1);
                tracing::error!(key = %object.key, "a batch does not come out as it was sealed before the restart");
            }
            if sealed.is_none() {
                self.mark.seals.push(seal(&batch, &object));
                self.keep().await?;
            }
            self.head = object.head;
            let (first, last) = (object.first, object.last);
            let (to, since, at, head) = (batch.to, batch.since(), batch.at(), object.head);
            self.flights.push_back(Flight { first, to, since, at, last, head, changed, landed: false });
            if batch.sources.is_empty() {
                self.landed(first, Landed::AsMade).await?;
                continue;
            }
            let uploader = Arc::clone(&self.uploader);
            let was = sealed.filter(|_| changed);
            let upload = async move { (first, uploader.upload(object, was).await) };
            self.uploads.spawn(upload.in_current_span());
        }
        self.finish_flush();
        Ok(())
    }

    /// Makes the object of a batch, on a thread that may take its time.
    async fn build(&self, batch: &Arc<Batch>) -> Result<Object, ShipError> {
        loop {
            let (builder, batch, head) = (Arc::clone(&self.builder), Arc::clone(batch), self.head);
            let build = tokio::task::spawn_blocking(move || builder.build(&batch, head));
            match build.await.map_err(ShipError::Assemble)? {
                Ok(object) => return Ok(object),
                Err(BuildError::Journal(error)) => unreadable(error).await?,
                Err(error @ BuildError::Encode(_)) => {
                    tracing::error!(%error, "a batch can't be made now");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Notes that a batch is shipped, and acknowledges all before the first one that is not.
    async fn landed(&mut self, first: u64, landed: Landed) -> Result<(), ShipError> {
        let sealed = self.mark.seals.iter().find(|seal| seal.first == first).map(|seal| seal.head);
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.first == first) {
            flight.landed = true;
            if flight.changed {
                flight.changed = false;
                flight.head = sealed.filter(|_| landed == Landed::AsSealed).unwrap_or(flight.head);
                self.head = flight.head;
            }
        }
        let mut upto = None;
        while let Some(flight) = self.flights.pop_front_if(|flight| flight.landed) {
            self.mark.shipped(flight.last, flight.at, flight.head);
            upto = Some(flight.to);
        }
        if let Some(upto) = upto {
            self.acknowledged = upto;
            self.keep().await?;
        }
        self.finish_flush();
        Ok(())
    }

    /// Brings the mark and the acknowledgement to the disk.
    async fn keep(&self) -> Result<(), ShipError> {
        loop {
            let mark = self.mark.encode().unwrap_or_default();
            match self.builder.journal.acknowledge_with(self.acknowledged, mark).await {
                Ok(()) => return Ok(()),
                Err(error @ (JournalError::Write(_) | JournalError::DiskFull(_))) => {
                    tracing::warn!(%error, "the journal takes no acknowledgement now");
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn finish_flush(&mut self) {
        let until = self.flush.and_then(|flush| flush.until);
        if let Some(flush) = self.flush
            && until.is_some_and(|until| self.mark.next >= until)
        {
            self.progress.send_modify(|progress| progress.flushed = flush.number);
            self.flush = None;
        }
    }

    fn publish(&self) {
        let oldest = self.flights.front().map(|flight| flight.since).or(self.collector.oldest());
        self.uploader.counters.publish(self.flights.len(), oldest);
    }
}

fn seal(batch: &Batch, object: &Object) -> Seal {
    Seal {
        key: object.key.clone(),
        compression: object.compression,
        first: object.first,
        last: object.last,
        to: batch.to.as_u64(),
        at: batch.at(),
        sha256: object.sha256,
        head: object.head,
    }
}

/// Waits for a disk that can't be read now.
async fn unreadable(error: JournalError) -> Result<(), ShipError> {
    if !matches!(error, JournalError::Read(_)) {
        return Err(error.into());
    }
    tracing::error!(%error, "the shipper can't read the journal now");
    sleep(PAUSE).await;
    Ok(())
}
