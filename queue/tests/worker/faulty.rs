//! A storage that fails, hangs or forgets to answer when it is told to.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use lockstep_queue::jobs::*;
use parking_lot::Mutex;

/// What is wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It fails, and nothing was done.
    Unreachable,
    /// It was done, but the answer was lost.
    AnswerLost,
    /// It never answers.
    Hangs,
    /// The end of this job is refused for ever, and whatever comes with it.
    Refuses(&'static str),
}

/// Jobs in memory behind a connection with faults.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) inner: MemoryStorage,
    /// Of [`Storage::finish`].
    pub(crate) finish: Mutex<Fault>,
    /// Of [`Storage::extend`].
    pub(crate) extend: Mutex<Fault>,
    /// Of [`Storage::lead`].
    pub(crate) lead: Mutex<Fault>,
    /// Calls of [`Storage::reap`].
    pub(crate) reaps: Mutex<u32>,
    /// Of all else that workers and waiters ask.
    pub(crate) other: Mutex<Fault>,
    /// Calls of finish and their ends.
    pub(crate) calls: Mutex<Vec<usize>>,
}

impl Faulty {
    pub(crate) fn new(inner: MemoryStorage) -> Self {
        let (finish, extend, lead, other) = Default::default();
        Self { inner, finish, extend, lead, reaps: Mutex::default(), other, calls: Mutex::default() }
    }

    pub(crate) fn set(&self, fault: Fault) {
        for of in [&self.finish, &self.extend, &self.lead, &self.other] {
            *of.lock() = fault;
        }
    }

    async fn through<T>(
        &self,
        fault: Fault,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        match fault {
            Fault::None | Fault::Refuses(_) => call.await,
            Fault::Unreachable => Err(unavailable()),
            Fault::AnswerLost => call.await.and_then(|_| Err(unavailable())),
            Fault::Hangs => std::future::pending().await,
        }
    }

    async fn other<T>(&self, call: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
        let fault = *self.other.lock();
        self.through(fault, call).await
    }
}

fn unavailable() -> StorageError {
    let source = std::sync::Arc::new(std::io::Error::other("the cable is cut"));
    StorageError::Unavailable { action: "test", source }
}

#[async_trait]
impl Storage for Faulty {
    async fn enqueue(&self, queue: &QueueName, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StorageError> {
        self.other(self.inner.enqueue(queue, jobs)).await
    }

    async fn finish(
        &self,
        queue: &QueueName,
        ends: Vec<Finish>,
        next: Option<Claim>,
    ) -> Result<Finished, StorageError> {
        self.calls.lock().push(ends.len());
        let fault = *self.finish.lock();
        if let Fault::Refuses(name) = fault
            && ends.iter().any(|end| end.id.as_str() == name)
        {
            let source = std::sync::Arc::new(std::io::Error::other("not this one"));
            return Err(StorageError::Refused { action: "test", source });
        }
        self.through(fault, self.inner.finish(queue, ends, next)).await
    }

    async fn wait_for_work(&self, queue: &QueueName, at_most: Duration) -> Result<(), StorageError> {
        self.other(self.inner.wait_for_work(queue, at_most)).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        leases: Vec<(JobId, Token)>,
        lease: Duration,
    ) -> Result<Vec<Extended>, StorageError> {
        let fault = *self.extend.lock();
        self.through(fault, self.inner.extend(queue, leases, lease)).await
    }

    async fn get(&self, queue: &QueueName, id: &JobId) -> Result<Option<Job>, StorageError> {
        self.other(self.inner.get(queue, id)).await
    }

    async fn cancel(&self, queue: &QueueName, id: &JobId) -> Result<Cancelled, StorageError> {
        self.other(self.inner.cancel(queue, id)).await
    }

    async fn retry(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        self.other(self.inner.retry(queue, id)).await
    }

    async fn remove(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        self.other(self.inner.remove(queue, id)).await
    }

    async fn set_retention(
        &self,
        queue: &QueueName,
        id: &JobId,
        keep: Duration,
    ) -> Result<bool, StorageError> {
        self.other(self.inner.set_retention(queue, id, keep)).await
    }

    async fn list(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<Job>, StorageError> {
        self.other(self.inner.list(queue, state, after, limit)).await
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts, StorageError> {
        self.other(self.inner.counts(queue)).await
    }

    async fn queues(&self) -> Result<Vec<QueueName>, StorageError> {
        self.other(self.inner.queues()).await
    }

    async fn configure(&self, queue: &QueueName, settings: Settings) -> Result<(), StorageError> {
        self.other(self.inner.configure(queue, settings)).await
    }

    async fn settings(&self, queue: &QueueName) -> Result<Settings, StorageError> {
        self.other(self.inner.settings(queue)).await
    }

    async fn reap(&self, queue: &QueueName, limit: usize, error: Bytes) -> Result<Reaped, StorageError> {
        *self.reaps.lock() += 1;
        self.other(self.inner.reap(queue, limit, error)).await
    }

    async fn lead(&self, role: &QueueName, holder: &WorkerId, ttl: Duration) -> Result<bool, StorageError> {
        let fault = *self.lead.lock();
        self.through(fault, self.inner.lead(role, holder, ttl)).await
    }

    async fn resign(&self, role: &QueueName, holder: &WorkerId) -> Result<(), StorageError> {
        self.other(self.inner.resign(role, holder)).await
    }

    /// Hints are lost for ever while the fault lasts: the stream is silent.
    async fn events(&self, queue: &QueueName) -> Result<BoxStream<'static, Event>, StorageError> {
        if *self.other.lock() == Fault::None {
            return self.inner.events(queue).await;
        }
        Ok(Box::pin(futures::stream::pending()))
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.inner.close().await
    }
}
