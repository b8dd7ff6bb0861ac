//! What the cases are written with.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::time::{sleep, timeout};

use crate::jobs::{
    Claim, Claimed, End, EndOutcome, Enqueued, Finish, Finished, Job, JobId, JobOptions, JobState, NewJob,
    QueueName, Reaped, Storage, StorageError, WorkerId,
};

/// Longer than any case should take on a busy machine.
const CASE: Duration = Duration::from_secs(120);
/// A lease that does not expire while a case runs.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// A time that a case waits out.
pub(super) const SHORT: Duration = Duration::from_millis(150);
/// Much longer than what is prompt.
pub(super) const PROMPT: Duration = Duration::from_secs(5);

/// What a case comes to: panics tell of wrong answers, errors of a storage that failed.
pub type Outcome = Result<(), StorageError>;

type Reopen = Box<dyn FnOnce() -> BoxFuture<'static, Arc<dyn Storage>> + Send + Sync>;

/// A storage under test, and what can be done to it.
pub struct Subject {
    /// A user of it, with a queue.
    pub client: Client,
    second: Option<Arc<dyn Storage>>,
    reopen: Option<Reopen>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

/// A user of a storage, with one queue.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where the jobs are.
    pub storage: Arc<dyn Storage>,
    /// The queue that is used where no other is named.
    pub queue: QueueName,
    /// Who claims.
    pub worker: WorkerId,
}

/// Runs a case to its end.
///
/// # Panics
/// If it fails or takes too long.
#[expect(clippy::panic, reason = "this is how a test fails")]
pub async fn run(case: impl Future<Output = Outcome>) {
    match timeout(CASE, case).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("the storage failed: {error}"),
        Err(_) => panic!("the case was not through after {CASE:?}"),
    }
}

impl Subject {
    /// A storage with nothing in it.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        let client = Client { storage, queue: queue("conformance: {a}/../b"), worker: worker("w:{1}/../é") };
        Self { client, second: None, reopen: None, kept: Vec::new() }
    }

    /// With another handle to the same store, such as another process would have. Without it, cases about several
    /// processes do nothing.
    #[must_use]
    pub fn with_second(mut self, second: Arc<dyn Storage>) -> Self {
        self.second = Some(second);
        self
    }

    /// With a way to open the store again after it was closed. Without it, cases about restarts do nothing.
    #[must_use]
    pub fn with_reopen<F, O>(mut self, reopen: F) -> Self
    where
        F: FnOnce() -> O + Send + Sync + 'static,
        O: Future<Output = Arc<dyn Storage>> + Send + 'static,
    {
        self.reopen = Some(Box::new(move || Box::pin(reopen())));
        self
    }

    /// Keeps something until the case is through, such as a folder or a server.
    #[must_use]
    pub fn keeping(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(kept));
        self
    }

    /// The same queue through the other handle.
    pub(super) fn second(&self) -> Option<Client> {
        let storage = Arc::clone(self.second.as_ref()?);
        Some(Client { storage, worker: worker("second"), ..self.client.clone() })
    }

    /// Closes the storage and opens it again.
    pub(super) async fn restart(&mut self) -> Result<bool, StorageError> {
        let Some(reopen) = self.reopen.take() else { return Ok(false) };
        self.client.storage.close().await?;
        if let Some(second) = self.second.take() {
            second.close().await?;
        }
        self.client.storage = reopen().await;
        Ok(true)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Subject").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) async fn put(&self, name: &str) -> Result<Enqueued, StorageError> {
        self.put_with(name, JobOptions::default()).await
    }

    pub(super) async fn put_with(&self, name: &str, options: JobOptions) -> Result<Enqueued, StorageError> {
        let answers = self.storage.enqueue(&self.queue, vec![new(name, options)]).await?;
        assert_eq!(answers.len(), 1);
        Ok(answers.into_iter().next().unwrap_or(Enqueued::Duplicate(JobState::Dead)))
    }

    pub(super) async fn put_new(&self, names: &[&str]) -> Outcome {
        let jobs = names.iter().map(|name| new(name, JobOptions::default())).collect();
        let answers = self.storage.enqueue(&self.queue, jobs).await?;
        assert!(answers.iter().all(|answer| matches!(answer, Enqueued::New(_))), "{answers:?}");
        Ok(())
    }

    pub(super) fn wish(&self, max: usize, lease: Duration) -> Claim {
        Claim { worker: self.worker.clone(), max, lease }
    }

    pub(super) async fn claim(&self, max: usize, lease: Duration) -> Result<Vec<Claimed>, StorageError> {
        let wish = self.wish(max, lease);
        let finished = self.storage.finish(&self.queue, Vec::new(), Some(wish)).await?;
        assert!(finished.claimed.len() <= max);
        Ok(finished.claimed)
    }

    /// Claims one job, which must be there.
    pub(super) async fn take(&self) -> Result<Claimed, StorageError> {
        self.take_for(LONG).await
    }

    #[expect(clippy::expect_used, reason = "this is how a test fails")]
    pub(super) async fn take_for(&self, lease: Duration) -> Result<Claimed, StorageError> {
        let claimed = self.claim(1, lease).await?.pop();
        Ok(claimed.expect("a job should have been there to claim"))
    }

    /// The ids that are claimed, in order.
    pub(super) async fn take_ids(&self, max: usize) -> Result<Vec<String>, StorageError> {
        Ok(self.claim(max, LONG).await?.iter().map(|job| job.id.as_str().to_owned()).collect())
    }

    /// Ends one delivery; whether it took effect.
    pub(super) async fn end(&self, job: &Claimed, end: End) -> Result<bool, StorageError> {
        let Finished { outcomes, .. } = self.finish(vec![(job, end)]).await?;
        Ok(outcomes == [EndOutcome::Done])
    }

    pub(super) async fn finish(&self, ends: Vec<(&Claimed, End)>) -> Result<Finished, StorageError> {
        let count = ends.len();
        let ends = ends.into_iter().map(|(job, end)| Finish { id: job.id.clone(), token: job.token, end });
        let finished = self.storage.finish(&self.queue, ends.collect(), None).await?;
        assert_eq!(finished.outcomes.len(), count);
        assert_eq!(finished.claimed, []);
        Ok(finished)
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<Job>, StorageError> {
        self.storage.get(&self.queue, &id(name)).await
    }

    #[expect(clippy::panic, reason = "this is how a test fails")]
    pub(super) async fn job(&self, name: &str) -> Result<Job, StorageError> {
        Ok(self.get(name).await?.unwrap_or_else(|| panic!("{name:?} should have been there")))
    }

    pub(super) async fn state(&self, name: &str) -> Result<Option<JobState>, StorageError> {
        Ok(self.get(name).await?.map(|job| job.state))
    }

    pub(super) async fn reap(&self) -> Result<Reaped, StorageError> {
        self.storage.reap(&self.queue, 1000, late()).await
    }

    /// Brings a job with this id into a state.
    pub(super) async fn put_in_state(&self, name: &str, state: JobState) -> Outcome {
        let delay = if state == JobState::Delayed { LONG } else { Duration::ZERO };
        // Those to be claimed are first in line.
        let priority = if state == JobState::Waiting { 0 } else { i32::MAX };
        let options = JobOptions { delay, priority, ..JobOptions::default() };
        assert!(matches!(self.put_with(name, options).await?, Enqueued::New(_)));
        if matches!(state, JobState::Waiting | JobState::Delayed) {
            return Ok(());
        }
        let job = self.take().await?;
        assert_eq!(job.id, id(name));
        match state {
            JobState::Completed => assert!(self.end(&job, complete("done")).await?),
            JobState::Dead => assert!(self.end(&job, dead("why")).await?),
            JobState::Waiting | JobState::Delayed | JobState::Active => {}
        }
        Ok(())
    }
}

/// All states.
pub(super) const STATES: [JobState; 5] =
    [JobState::Waiting, JobState::Delayed, JobState::Active, JobState::Completed, JobState::Dead];

pub(super) fn new(name: &str, options: JobOptions) -> NewJob {
    NewJob { id: id(name), payload: Bytes::from(format!("payload of {name}")), options }
}

#[expect(clippy::expect_used, reason = "cases use names that are valid")]
pub(super) fn id(name: &str) -> JobId {
    JobId::new(name).expect("a valid id")
}

#[expect(clippy::expect_used, reason = "cases use names that are valid")]
pub(super) fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a valid name")
}

#[expect(clippy::expect_used, reason = "cases use names that are valid")]
pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).expect("a valid name")
}

pub(super) fn complete(output: &str) -> End {
    End::Complete { output: Bytes::from(output.to_owned()), retention: LONG }
}

pub(super) fn dead(error: &str) -> End {
    End::Dead { error: Bytes::from(error.to_owned()) }
}

pub(super) fn retry(delay: Duration) -> End {
    End::Retry { delay, error: Bytes::from("failed") }
}

/// The error of a job whose last lease expired.
pub(super) fn late() -> Bytes {
    Bytes::from("the lease expired")
}

/// Waits out a short time, by the storage's clock too.
pub(super) async fn wait_out(time: Duration) {
    sleep(time + Duration::from_millis(60)).await;
}
