//! Jobs in files: a log of steps in a [journal] and the index in memory. One process has it open
//! at a time.
//!
//! What is enqueued, completed, failed, cancelled or configured is synced to the disk before its caller hears of
//! it; callers that wait at the same time share one sync. A claim is written and not waited for: it survives the
//! end of the process, and after a power loss the job is delivered again. A log that has grown long is replaced
//! by a snapshot.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! use lockstep_queue::jobs::{FileOptions, FileStorage, QueueName, Storage};
//!
//! let storage = FileStorage::open(&FileOptions::new(dir.path().join("jobs")))?;
//! assert_eq!(storage.counts(&QueueName::new("mail")?).await?.waiting, 0);
//! storage.close().await?;
//! # Ok(())
//! # })
//! # }
//! ```

mod log;
mod snapshot;
mod step;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::error::StorageError;
use super::event::Event;
use super::index::{Outlook, QueueIndex, Weight};
use super::job::{Generation, Job, JobState, NewJob, Token};
use super::local;
use super::name::{JobId, QueueName, WorkerId};
use super::state::State;
use super::storage::{
    Cancelled, Claim, Counts, Enqueued, Extended, Finish, Finished, Reaped, Settings, Storage,
};
use crate::journal;
use log::{Loaded, Log};
use step::{Outcome, Step};
use writer::{Request, Writer};

/// Steps that may wait for the thread; who asks for more waits.
const REQUESTS: usize = 4096;

/// The least number of files that `max_bytes` is made of: only whole ones go when what is in them is not needed.
const SEGMENTS: u64 = 32;

/// Where a file storage is and how it behaves.
#[derive(Debug, Clone)]
pub struct Options {
    dir: PathBuf,
    segment_bytes: u32,
    max_bytes: u64,
    salvage: bool,
}

/// Keeps jobs in files. Clones share them.
#[derive(Debug, Clone)]
pub struct FileStorage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Arc<State>,
    /// None once closed.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    ended: watch::Receiver<Option<Result<(), StorageError>>>,
}

impl Options {
    /// The defaults, for jobs in `dir`, which is made if need be.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned(), segment_bytes: 16 << 20, max_bytes: 64 << 30, salvage: false }
    }

    /// Size of a file, made ahead with zeros (default 16 MiB, from 4 KiB to 1 GiB). Files are smaller where more than
    /// a 32nd of [`max_bytes`](Self::max_bytes) would go into one.
    #[must_use]
    pub fn segment_bytes(self, segment_bytes: u32) -> Self {
        Self { segment_bytes, ..self }
    }

    /// The most that the files may take, in bytes (default 64 GiB, at least 128 KiB). New jobs are taken up to a third
    /// of it, themselves included, and then refused with [`StorageError::Full`]. The rest is for what becomes of them,
    /// their outputs included, and for the snapshot that replaces a long log.
    #[must_use]
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// Whether a damaged log is opened with what was before the damage (default: no, opening it fails). Jobs
    /// that were completed after that run again, and those enqueued after it are lost.
    #[must_use]
    pub fn salvage(self, salvage: bool) -> Self {
        Self { salvage, ..self }
    }

    fn journal(&self) -> journal::Options {
        let share = u32::try_from(self.max_bytes / SEGMENTS).unwrap_or(u32::MAX);
        let segment = self.segment_bytes.min(share);
        journal::Options::new(&self.dir).segment_bytes(segment).max_bytes(self.max_bytes)
    }
}

impl FileStorage {
    /// Opens the jobs of a directory. Reads all of them, on this thread.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if another process has it open, [`StorageError::NewerSchema`] if a newer release
    /// wrote it, [`StorageError::Corrupt`] if it is damaged, [`StorageError::Full`] or
    /// [`StorageError::Refused`] if the file system refuses.
    pub fn open(options: &Options) -> Result<Self, StorageError> {
        let (log, Loaded { index, last }) = Log::open(options)?;
        let state = Arc::new(State::new(index, last));
        let (requests, queue) = mpsc::channel(REQUESTS);
        let (end, ended) = watch::channel(None);
        let weight = Weight::default();
        let writer = Writer { state: Arc::clone(&state), log, requests: queue, last, weight, paused: None };
        let run = move || drop(end.send(Some(writer.run())));
        let thread = thread::Builder::new()
            .name("jobs".to_owned())
            .spawn(run)
            .map_err(|error| StorageError::Refused { action: "start a thread", source: Arc::new(error) })?;
        let requests = Mutex::new(Some(requests));
        Ok(Self(Arc::new(Inner { state, requests, thread: Mutex::new(Some(thread)), ended })))
    }

    /// Has a step done. It is done whether or not the future is kept, once it was handed over.
    async fn step(&self, queue: &QueueName, step: Step) -> Result<Outcome, StorageError> {
        let requests = self.0.requests.lock().clone().ok_or(StorageError::Closed)?;
        let (reply, outcome) = oneshot::channel();
        let request = Request { queue: queue.clone(), step, reply };
        requests.send(request).await.map_err(|_| StorageError::Closed)?;
        // The thread ends when nobody can ask any more, and whoever waits does not.
        drop(requests);
        outcome.await.unwrap_or(Err(StorageError::Closed))
    }

    async fn done(&self, queue: &QueueName, step: Step) -> Result<bool, StorageError> {
        match self.step(queue, step).await? {
            Outcome::Done(done) => Ok(done),
            _ => Err(StorageError::Closed),
        }
    }
}

impl Inner {
    fn join(&self) {
        if self.thread.lock().take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of a file storage panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.requests.lock().take();
        self.join();
    }
}

#[async_trait]
impl Storage for FileStorage {
    async fn enqueue(&self, queue: &QueueName, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StorageError> {
        local::check_jobs(&jobs)?;
        match self.step(queue, Step::Enqueue(jobs)).await? {
            Outcome::Enqueued(enqueued) => enqueued,
            _ => Err(StorageError::Closed),
        }
    }

    async fn finish(
        &self,
        queue: &QueueName,
        ends: Vec<Finish>,
        next: Option<Claim>,
    ) -> Result<Finished, StorageError> {
        local::check_ends(&ends)?;
        let idle = ends.is_empty() && !matches!(self.0.state.ask(queue, QueueIndex::outlook)?, Outlook::Work);
        if idle {
            // Nothing would happen, so nothing is written.
            let next_in = next.and(self.0.state.ask(queue, |queue, now| queue.next_in(now))?);
            return Ok(Finished { next_in, ..Finished::default() });
        }
        match self.step(queue, Step::Finish { ends, next }).await? {
            Outcome::Finished { finished, .. } => Ok(finished),
            _ => Err(StorageError::Closed),
        }
    }

    async fn wait_for_work(&self, queue: &QueueName, at_most: Duration) -> Result<(), StorageError> {
        self.0.state.wait_for_work(queue, at_most).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        leases: Vec<(JobId, Token)>,
        lease: Duration,
    ) -> Result<Vec<Extended>, StorageError> {
        match self.step(queue, Step::Extend { leases, lease }).await? {
            Outcome::Extended(extended) => Ok(extended),
            _ => Err(StorageError::Closed),
        }
    }

    async fn get(&self, queue: &QueueName, id: &JobId) -> Result<Option<Job>, StorageError> {
        self.0.state.get(queue, id)
    }

    async fn cancel(&self, queue: &QueueName, id: &JobId) -> Result<Cancelled, StorageError> {
        match self.step(queue, Step::Cancel(id.clone())).await? {
            Outcome::Cancelled(cancelled) => Ok(cancelled),
            _ => Err(StorageError::Closed),
        }
    }

    async fn retry(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        self.done(queue, Step::Retry(id.clone())).await
    }

    async fn remove(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        self.done(queue, Step::Remove(id.clone())).await
    }

    async fn set_retention(
        &self,
        queue: &QueueName,
        id: &JobId,
        retention: Duration,
    ) -> Result<bool, StorageError> {
        self.done(queue, Step::SetRetention { id: id.clone(), retention }).await
    }

    async fn list(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<Job>, StorageError> {
        self.0.state.list(queue, state, after, limit)
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts, StorageError> {
        self.0.state.counts(queue)
    }

    async fn queues(&self) -> Result<Vec<QueueName>, StorageError> {
        self.0.state.queues()
    }

    async fn configure(&self, queue: &QueueName, settings: Settings) -> Result<(), StorageError> {
        self.step(queue, Step::Configure(settings)).await.map(drop)
    }

    async fn settings(&self, queue: &QueueName) -> Result<Settings, StorageError> {
        self.0.state.settings(queue)
    }

    async fn reap(
        &self,
        queue: &QueueName,
        limit: usize,
        lease_expired: Bytes,
    ) -> Result<Reaped, StorageError> {
        local::check_len(lease_expired.len())?;
        if !self.0.state.ask(queue, |queue, now| queue.is_behind(now))? {
            return Ok(Reaped::default());
        }
        match self.step(queue, Step::Reap { limit, error: lease_expired }).await? {
            Outcome::Reaped(swept) => Ok(swept.reaped),
            _ => Err(StorageError::Closed),
        }
    }

    async fn lead(&self, role: &QueueName, holder: &WorkerId, ttl: Duration) -> Result<bool, StorageError> {
        self.0.state.lead(role, holder, ttl)
    }

    async fn resign(&self, role: &QueueName, holder: &WorkerId) -> Result<(), StorageError> {
        self.0.state.resign(role, holder)
    }

    async fn events(&self, queue: &QueueName) -> Result<BoxStream<'static, Event>, StorageError> {
        self.0.state.events(queue)
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.0.requests.lock().take();
        let mut ended = self.0.ended.clone();
        let result = match ended.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Ok(())),
            Err(_) => Err(StorageError::Closed),
        };
        // The thread is at its end: joining it waits for nothing.
        self.0.join();
        result
    }
}
