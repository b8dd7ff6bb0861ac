//! The pump: one loop that runs the handlers, reports what ended, and claims what is next, with one call to the
//! storage under way at a time.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{Fuse, FusedFuture as _, FutureExt as _};
use futures::stream::FuturesUnordered;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::lease::Lease;
use super::report::{Report, Settled};
use super::run::{Done, Runner};
use super::{Backoff, JobContext, Settings};
use crate::jobs::codec::Codec;
use crate::jobs::error::StorageError;
use crate::jobs::failure::Failure;
use crate::jobs::job::Claimed;
use crate::jobs::observe::Ending;
use crate::jobs::storage::{Claim, End, Finish, Finished};

/// After a failed call to the storage.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(50), most: Duration::from_secs(5), jitter: 0.5 };
/// How long after the grace the last reports may take.
const LAST_REPORTS: Duration = Duration::from_secs(5);
/// A worker that waits does not ask again sooner than this because of a job that is due.
const LEAST_WAIT: Duration = Duration::from_millis(250);

/// The state of the loop.
pub(super) struct Pump<'a, P, O, H, C> {
    runner: &'a Runner<P, O, H, C>,
    report: Report,
    /// How many were asked for in the call under way.
    wanted: usize,
    /// Whether a claim may give something.
    may_have_work: bool,
    /// When nothing was left: when something is due.
    next_in: Option<Duration>,
    /// Calls that failed in a row, and until when not to try again.
    failures: u32,
    paused_until: Option<Instant>,
    /// Once told to stop: until when handlers may run.
    stop_at: Option<Instant>,
}

impl<'a, P, O, H, F, C> Pump<'a, P, O, H, C>
where
    P: DeserializeOwned,
    O: Serialize,
    H: Fn(JobContext<P>) -> F,
    F: Future<Output = Result<O, Failure>>,
    C: Codec,
{
    pub(super) fn new(runner: &'a Runner<P, O, H, C>) -> Self {
        Self {
            runner,
            report: Report::default(),
            wanted: 0,
            may_have_work: true,
            next_in: None,
            failures: 0,
            paused_until: None,
            stop_at: None,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), StorageError> {
        let runner = self.runner;
        let mut running = FuturesUnordered::new();
        let (mut call, mut wait) = (pin!(Fuse::terminated()), pin!(Fuse::terminated()));
        let mut stopped = pin!(stop.cancelled().fuse());
        loop {
            // Handlers and storage may always be ready: others must get their turn.
            consume_budget().await;
            let is_idle = call.is_terminated() && self.paused_until.is_none();
            if is_idle && let Some((ends, claim)) = self.next_call(running.len()) {
                call.set(runner.call(ends, claim).fuse());
            }
            if self.is_through(running.is_empty(), call.is_terminated()) {
                return Ok(());
            }
            let may_wait =
                call.is_terminated() && self.paused_until.is_none() && self.has_room(running.len());
            if !may_wait {
                // Whoever waits without room would keep the news from others.
                wait.set(Fuse::terminated());
            } else if wait.is_terminated() {
                wait.set(runner.wait(self.next_in).fuse());
            }
            let alarm = self.alarm(running.is_empty());
            tokio::select! {
                biased;
                () = &mut stopped => self.stop_at = Some(Instant::now() + runner.settings.grace),
                result = &mut call, if !call.is_terminated() => {
                    running.extend(self.answer(result)?.into_iter().map(|job| runner.begin(job)));
                }
                Some(ended) = running.next(), if !running.is_empty() => {
                    self.ended(ended);
                    self.drain(&mut running);
                }
                result = &mut wait, if !wait.is_terminated() => self.woken(result)?,
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                    self.paused_until = self.paused_until.filter(|until| *until > Instant::now());
                    if self.stop_at.is_some_and(|at| at <= Instant::now()) {
                        running.clear();
                        self.hand_back();
                    }
                }
            }
        }
    }

    /// What the next call to the storage is to do, if there is anything.
    fn next_call(&mut self, running: usize) -> Option<(Vec<Finish>, Option<Claim>)> {
        let has_news = self.report.is_waiting();
        let may_claim = self.has_room(running) && !self.report.is_alone();
        self.wanted = if may_claim && (has_news || self.may_have_work) {
            self.runner.settings.concurrency - running
        } else {
            0
        };
        let Settings { id, lease, .. } = &self.runner.settings;
        let claim = Claim { worker: id.clone(), max: self.wanted, lease: *lease };
        let claim = (self.wanted > 0).then_some(claim);
        (has_news || claim.is_some()).then(|| (self.report.begin(), claim))
    }

    /// Takes the answer of the storage, and gives the jobs to run.
    fn answer(&mut self, result: Result<Finished, StorageError>) -> Result<Vec<Claimed>, StorageError> {
        let finished = match result {
            Ok(finished) => finished,
            Err(error) => {
                let given_up = self.report.fail(&error);
                self.settled(given_up);
                return self.failed(error).map(|()| Vec::new());
            }
        };
        self.failures = 0;
        let settled = self.report.settle(&finished.outcomes);
        self.settled(settled);
        if self.wanted > 0 {
            self.may_have_work = finished.claimed.len() >= self.wanted;
            self.next_in = finished.next_in;
        }
        if self.stop_at.is_none() {
            return Ok(finished.claimed);
        }
        for job in finished.claimed {
            let lease = self.runner.lease(&job);
            self.report.add(Done { lease, end: End::Release, how: Ending::Released, ran: Duration::ZERO });
        }
        Ok(Vec::new())
    }

    /// The wait for work is over.
    fn woken(&mut self, result: Result<(), StorageError>) -> Result<(), StorageError> {
        self.may_have_work = true;
        result.or_else(|error| self.failed(error))
    }

    /// Waits before the next call; gives up where the storage is closed.
    fn failed(&mut self, error: StorageError) -> Result<(), StorageError> {
        if matches!(error, StorageError::Closed) {
            return Err(error);
        }
        let queue = &self.runner.queue.core;
        queue.observe.storage_failed(&queue.name);
        self.failures = self.failures.saturating_add(1);
        let pause = BACKOFF.after(self.failures);
        warn!(queue = %queue.name, %error, ?pause, "the storage could not be asked; trying again");
        self.paused_until = Some(Instant::now() + pause);
        Ok(())
    }

    fn settled(&self, settled: Vec<Settled>) {
        let queue = &self.runner.queue.core;
        for settled in settled {
            let (done, how) = match settled {
                Settled::Done(done) => {
                    let how = done.how;
                    (done, how)
                }
                Settled::Lost(done) => (done, Ending::Lost),
            };
            self.runner.leases.remove(&done.lease);
            queue.observe.ended(&queue.name, how, done.ran);
        }
    }

    /// A handler has ended.
    fn ended(&mut self, (lease, done): (Arc<Lease>, Option<Done>)) {
        if let Some(done) = done {
            return self.report.add(done);
        }
        self.runner.leases.remove(&lease);
        let queue = &self.runner.queue.core;
        queue.observe.ended(&queue.name, Ending::Lost, Duration::ZERO);
    }

    /// What has ended too by now goes into the same report.
    fn drain<R>(&mut self, running: &mut FuturesUnordered<R>)
    where
        R: Future<Output = (Arc<Lease>, Option<Done>)>,
    {
        while let Some(Some(ended)) = running.next().now_or_never() {
            self.ended(ended);
        }
    }

    /// Hands back all jobs whose handlers have been ended.
    fn hand_back(&mut self) {
        let reported: HashSet<_> = self.report.all().map(|done| done.lease.proof()).collect();
        for lease in self.runner.leases.held() {
            if !reported.contains(&lease.proof()) {
                let (end, how, ran) = (End::Release, Ending::Released, Duration::ZERO);
                self.report.add(Done { lease, end, how, ran });
            }
        }
    }

    fn has_room(&self, running: usize) -> bool {
        self.stop_at.is_none() && running < self.runner.settings.concurrency
    }

    /// When something is to be done without news: after a failed call, at the end of the grace, and when the last
    /// reports have taken too long.
    fn alarm(&self, is_empty: bool) -> Option<Instant> {
        let end = self.stop_at.map(|at| if is_empty { at + LAST_REPORTS } else { at });
        self.paused_until.into_iter().chain(end).min()
    }

    fn is_through(&self, is_empty: bool, is_quiet: bool) -> bool {
        let Some(stop_at) = self.stop_at else { return false };
        let is_late = Instant::now() >= stop_at + LAST_REPORTS;
        if is_late {
            warn!("the storage could not be told of all jobs in time; their leases will expire");
        }
        is_late || (is_empty && is_quiet && self.report.is_empty())
    }
}

impl<P, O, H, F, C> Runner<P, O, H, C>
where
    P: DeserializeOwned,
    O: Serialize,
    H: Fn(JobContext<P>) -> F,
    F: Future<Output = Result<O, Failure>>,
    C: Codec,
{
    /// Runs a job that was claimed just now.
    fn begin(&self, job: Claimed) -> impl Future<Output = (Arc<Lease>, Option<Done>)> {
        let lease = self.lease(&job);
        self.run(job, lease)
    }

    fn lease(&self, job: &Claimed) -> Arc<Lease> {
        self.leases.add(job.id.clone(), job.token, Instant::now() + self.settings.lease)
    }

    /// One call to the storage. No answer for as long as a lease is as bad as an error.
    async fn call(&self, ends: Vec<Finish>, claim: Option<Claim>) -> Result<Finished, StorageError> {
        let core = &self.queue.core;
        let call = timeout(self.settings.lease, core.storage.finish(&core.name, ends, claim)).await;
        call.unwrap_or_else(|elapsed| {
            let action = "finish and claim jobs";
            Err(StorageError::Unavailable { action, source: Arc::new(elapsed) })
        })
    }

    async fn wait(&self, next_in: Option<Duration>) -> Result<(), StorageError> {
        let Settings { idle, .. } = self.settings;
        let at_most = next_in.map_or(idle, |next| next.max(LEAST_WAIT).min(idle));
        self.queue.core.storage.wait_for_work(&self.queue.core.name, at_most).await
    }
}
