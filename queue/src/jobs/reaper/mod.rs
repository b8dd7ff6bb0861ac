//! Upkeep of a queue: the periodic look at leases, due jobs and retention that is the truth about them. Any number
//! of reapers may run; they elect one that does the work, and would do no harm if two did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::codec::Codec;
use super::error::StorageError;
use super::failure::{JobError, JobErrorKind};
use super::name::{QueueName, WorkerId};
use super::observe::Observe;
use super::queue::Queue;
use super::storage::{Reaped, Storage};

/// Jobs in one step of upkeep.
const STEP: usize = 500;
/// Between two looks, at most, if nothing else was said.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long giving up the role may take.
const RESIGN: Duration = Duration::from_secs(2);

/// Keeps one queue in order. Workers bring one of their own; it can also run alone.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use lockstep_queue::jobs::{MemoryStorage, Queue, Reaper};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queue: Queue<String, ()> = Queue::builder(Arc::new(MemoryStorage::new()), "mails").build()?;
/// let reaper = Reaper::new(&queue).interval(Duration::from_secs(1));
/// let stop = CancellationToken::new();
/// # stop.cancel();
/// reaper.run(stop).await;
/// # Ok(())
/// # }
/// ```
pub struct Reaper {
    queue: QueueName,
    storage: Arc<dyn Storage>,
    observe: Arc<dyn Observe>,
    id: WorkerId,
    interval: Duration,
    ttl: Duration,
}

/// Whether this one does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leadership {
    /// Until this moment by this machine's clock, counted from before the storage was asked.
    Until(Instant),
    None,
}

impl Reaper {
    /// A reaper for a queue: it looks every 5 s, and takes over from a dead one within 15 s.
    #[must_use]
    pub fn new<P, O, C: Codec>(queue: &Queue<P, O, C>) -> Self {
        let core = &queue.core;
        Self {
            queue: core.name.clone(),
            storage: Arc::clone(&core.storage),
            observe: Arc::clone(&core.observe),
            id: WorkerId::unique("reaper"),
            interval: INTERVAL,
            ttl: INTERVAL * 3,
        }
    }

    /// How often to look. Also decides how soon another takes over: after three times as long. From 10 ms
    /// to a day.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(Duration::from_millis(10), Duration::from_secs(86400));
        self.ttl = self.interval * 3;
        self
    }

    /// The reaper that a worker brings: with short leases it looks more often. Workers may share a name, for people;
    /// who has a role must be one.
    pub(super) fn of_worker<P, O, C: Codec>(queue: &Queue<P, O, C>, lease: Duration) -> Self {
        Self::new(queue).interval((lease / 3).min(INTERVAL))
    }

    /// Works until it is told to stop or the storage is closed; then it gives up its role.
    pub async fn run(self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.work()).await.is_some() {
            return;
        }
        let resigned = timeout(RESIGN, self.storage.resign(&self.queue, &self.id)).await;
        if !matches!(resigned, Ok(Ok(()))) {
            debug!(queue = %self.queue, "the role of the reaper could not be given up; it will expire");
        }
    }

    async fn work(&self) {
        let mut looks = interval(self.interval);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leadership = Leadership::None;
        loop {
            looks.tick().await;
            leadership = match self.lead(leadership).await {
                Ok(leadership) => leadership,
                Err(StorageError::Closed) => return,
                Err(error) => {
                    warn!(queue = %self.queue, %error, "the storage could not be asked who is the reaper");
                    leadership
                }
            };
            if let Err(error) = self.reap_all(leadership).await {
                self.observe.storage_failed(&self.queue);
                warn!(queue = %self.queue, %error, "upkeep failed; it goes on at the next look");
            }
        }
    }

    /// Takes or keeps the role. On an error it stays as it is, until its time is over.
    async fn lead(&self, before: Leadership) -> Result<Leadership, StorageError> {
        let asked_at = Instant::now();
        let leads = self.storage.lead(&self.queue, &self.id, self.ttl).await?;
        let after = if leads { Leadership::Until(asked_at + self.ttl) } else { Leadership::None };
        match (before, after) {
            (Leadership::None, Leadership::Until(_)) => {
                info!(queue = %self.queue, id = %self.id, "reaper now");
            }
            (Leadership::Until(_), Leadership::None) => {
                info!(queue = %self.queue, id = %self.id, "reaper no more");
            }
            _ => {}
        }
        Ok(after)
    }

    /// One look: step by step, for as long as there is more and the role is ours.
    async fn reap_all(&self, leadership: Leadership) -> Result<(), StorageError> {
        let lease_expired = lease_expired();
        while leadership.is_mine() {
            let reaped = self.storage.reap(&self.queue, STEP, lease_expired.clone()).await?;
            self.tell(&reaped);
            if !reaped.more {
                break;
            }
        }
        Ok(())
    }

    fn tell(&self, reaped: &Reaped) {
        let Reaped { stalled, dead, forgotten, .. } = reaped;
        if !stalled.is_empty() {
            warn!(queue = %self.queue, jobs = stalled.len(), "leases had expired: the jobs wait again");
            self.observe.stalled(&self.queue, stalled.len());
        }
        if !dead.is_empty() {
            warn!(queue = %self.queue, jobs = dead.len(), "leases had expired at the last delivery: dead letter");
            self.observe.stalled_dead(&self.queue, dead.len());
        }
        if *forgotten > 0 {
            self.observe.forgotten(&self.queue, *forgotten);
        }
    }
}

impl Leadership {
    fn is_mine(self) -> bool {
        matches!(self, Self::Until(until) if Instant::now() < until)
    }
}

impl fmt::Debug for Reaper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Reaper");
        shown.field("queue", &self.queue).field("id", &self.id).field("interval", &self.interval);
        shown.finish_non_exhaustive()
    }
}

fn lease_expired() -> Bytes {
    let message = "the lease of the last delivery expired: its worker died, hung, or lost the storage";
    JobError::new(JobErrorKind::LeaseExpired, message).to_bytes()
}
