//! One delivery: from its payload, through the handler, to what is to be reported.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{Instrument as _, debug, info_span, warn};

use super::hook::{self, Ended, Hook};
use super::lease::{Lease, Leases};
use super::{JobContext, Settings};
use crate::jobs::codec::Codec;
use crate::jobs::failure::{Failure, JobError, JobErrorKind, Retry};
use crate::jobs::job::{Claimed, MAX_PAYLOAD, StorageTime};
use crate::jobs::observe::Ending;
use crate::jobs::queue::Queue;
use crate::jobs::storage::End;

/// What every delivery of a worker needs.
pub(super) struct Runner<P, O, H, C> {
    pub(super) queue: Queue<P, O, C>,
    pub(super) handler: H,
    pub(super) settings: Settings,
    pub(super) hook: Option<Hook<O>>,
    pub(super) leases: Arc<Leases>,
}

/// A delivery whose handler has ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) lease: Arc<Lease>,
    pub(super) end: End,
    pub(super) how: Ending,
    pub(super) ran: Duration,
}

/// What there is to know of a delivery beside its payload.
struct Delivery {
    job: Claimed,
    lease: Arc<Lease>,
    started: Instant,
}

impl<P, O, H, F, C> Runner<P, O, H, C>
where
    P: DeserializeOwned,
    O: Serialize,
    H: Fn(JobContext<P>) -> F,
    F: Future<Output = Result<O, Failure>>,
    C: Codec,
{
    /// Runs the handler. None if the lease was lost meanwhile: then the handler was dropped, and there is nothing
    /// to report.
    pub(super) async fn run(&self, job: Claimed, lease: Arc<Lease>) -> (Arc<Lease>, Option<Done>) {
        self.queue.core.observe.claimed(&self.queue.core.name, waited(&job));
        let span = info_span!("job", queue = %self.queue.core.name, id = %job.id, delivery = job.delivery);
        let delivery = Delivery { job, lease: Arc::clone(&lease), started: Instant::now() };
        let handled = async {
            tokio::select! {
                biased;
                done = self.deliver(delivery) => Some(done),
                () = lease.lost() => {
                    warn!("the lease was lost; the handler was ended");
                    None
                }
            }
        };
        let done = handled.instrument(span).await.filter(|_| !lease.is_lost());
        (lease, done)
    }

    async fn deliver(&self, delivery: Delivery) -> Done {
        let result = self.handle(&delivery).await;
        let ran = delivery.started.elapsed();
        match result {
            Err(_) if delivery.lease.is_end_wanted() => {
                Done { lease: delivery.lease, end: End::Cancelled, how: Ending::Cancelled, ran }
            }
            Err(failure) if self.is_retried(&delivery.job, &failure) => {
                debug!(error = %failure.error, "an attempt failed; another follows");
                let delay = match failure.retry {
                    Retry::After(delay) => delay,
                    Retry::Backoff | Retry::Never => self.settings.backoff.after(delivery.job.delivery),
                };
                let end = End::Retry { delay, error: failure.error.to_bytes() };
                Done { lease: delivery.lease, end, how: Ending::Retried, ran }
            }
            result => self.end(delivery, result.map_err(|failure| failure.error), ran).await,
        }
    }

    fn is_retried(&self, job: &Claimed, failure: &Failure) -> bool {
        failure.retry != Retry::Never && job.delivery < job.options.max_deliveries
    }

    /// Decodes the payload and calls the handler; a panic is a failed attempt.
    async fn handle(&self, delivery: &Delivery) -> Result<O, Failure> {
        let job = &delivery.job;
        let payload = self.queue.core.codec.decode(&job.payload);
        let payload = payload.map_err(|error| Failure::of(JobErrorKind::Undecodable, error.0))?;
        let context = JobContext {
            id: job.id.clone(),
            payload,
            delivery: job.delivery,
            options: job.options.clone(),
            created_at: job.created_at,
            lease: Arc::clone(&delivery.lease),
        };
        let handled = AssertUnwindSafe(async { (self.handler)(context).await }).catch_unwind().await;
        handled.unwrap_or_else(|panic| {
            let error = JobError::new(JobErrorKind::Panicked, panic_message(&*panic));
            Err(Failure { error, retry: Retry::Backoff })
        })
    }

    /// The last word on a job: the hook is asked, and the output encoded.
    async fn end(&self, delivery: Delivery, result: Result<O, JobError>, ran: Duration) -> Done {
        let Delivery { job, lease, .. } = delivery;
        let retention = job.options.retention;
        let Some(hook) = &self.hook else {
            return done(lease, ran, result.and_then(|output| self.encode(&output)), retention);
        };
        let ended = Arc::new(Ended {
            id: job.id,
            result,
            retention,
            delivery: job.delivery,
            max_deliveries: job.options.max_deliveries,
            created_at: job.created_at,
            worker: self.settings.id.clone(),
            ran,
        });
        let changes = hook::run(hook, &ended).await;
        let result = match (&ended.result, &changes.output, changes.error) {
            (Ok(_), Some(output), _) | (Ok(output), None, _) => self.encode(output),
            (Err(error), _, other) => Err(other.unwrap_or_else(|| error.clone())),
        };
        done(lease, ran, result, changes.retention.unwrap_or(retention))
    }

    fn encode(&self, output: &O) -> Result<Bytes, JobError> {
        let unencodable = |why: String| JobError::new(JobErrorKind::Unencodable, why);
        let output = self.queue.core.codec.encode(output).map_err(|error| unencodable(error.0))?;
        if output.len() > MAX_PAYLOAD {
            let len = output.len();
            return Err(unencodable(format!("the output has {len} bytes, the most is {MAX_PAYLOAD}")));
        }
        Ok(output)
    }
}

fn done(lease: Arc<Lease>, ran: Duration, result: Result<Bytes, JobError>, retention: Duration) -> Done {
    let (end, how) = match result {
        Ok(output) => (End::Complete { output, retention }, Ending::Completed),
        Err(error) => {
            warn!(%error, "the job goes to the dead letter");
            (End::Dead { error: error.to_bytes() }, Ending::Dead)
        }
    };
    Done { lease, end, how, ran }
}

/// How long a first delivery waited since it could have been claimed.
fn waited(job: &Claimed) -> Option<Duration> {
    let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ready_at = job.created_at.after(job.options.delay);
    (job.delivery == 1).then(|| StorageTime::default().after(day).since(ready_at))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("without a message"))
}
