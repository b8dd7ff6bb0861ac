//! Jobs on a Redis or Valkey server: for workers on several machines. Each step is one script, which the server does
//! without any other between; one round trip reports how a batch of deliveries ended and claims the next.

mod board;
mod failure;
mod gather;
mod header;
mod keys;
mod link;
mod listener;
mod options;
mod reply;
mod script;
#[cfg(feature = "redis-tls")]
mod tls;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::board::Board;
use self::gather::Wish;
use self::header::millis;
use self::keys::Prefix;
use self::link::Link;
pub use self::options::{NotReplicated, RedisOptions, WaitReplicas};
use self::reply::Reply;
use self::script::{Call, Replication};
#[cfg(feature = "redis-tls")]
pub use self::tls::{RedisIdentity, RedisTls};
use super::error::StorageError;
use super::event::Event;
use super::job::{Generation, Job, JobState, NewJob, Token};
use super::local;
use super::name::{JobId, QueueName, WorkerId};
use super::storage::{
    Cancelled, Claim, Counts, End, Enqueued, Extended, Finish, Finished, Reaped, Settings, Storage,
};

/// How many jobs one step claims, takes back or reads at most, so that the server is not kept long.
const AT_ONCE: usize = 1000;

/// Keeps jobs on a Redis or Valkey server, version 7 or later. Clones share the connections.
///
/// # What it survives
/// - A step is acknowledged when the primary has done it. What that survives is what the server's persistence says:
///   with `appendonly yes` and `appendfsync always` every failure of process or machine that leaves the disk whole;
///   with `everysec` a failure loses up to about two seconds of what was acknowledged (also one of the process alone,
///   since the server puts off writing while the disk is busy); without `appendonly` everything since the last
///   snapshot.
/// - A failover loses what the primary had acknowledged and not yet sent to the replica that takes its place:
///   replication is asynchronous. [`RedisOptions::wait_replicas`] acknowledges nothing before so many replicas have it;
///   then a failover to one of those loses nothing that was acknowledged. Claims wait for them a moment as well, but are
///   answered when they can't be reached; a failover may forget such a claim, and its token may come again. It is for
///   the operator that such a replica is the one to be promoted, and that the old primary does not go on taking writes
///   (`min-replicas-to-write`).
/// - The server must not evict keys (`maxmemory-policy noeviction`, which is the default): out of memory, enqueues fail
///   with [`StorageError::Full`] and change nothing. All other steps go on, so that jobs end and make room.
///
/// # Lost answers
/// When the connection is lost before an answer came, nobody knows whether the step was done. What is safe to do again
/// is done again, for as long as [`RedisOptions::patience`] says:
/// - An enqueue is known by a nonce that is kept with the job, so that it does not find its own job to be a duplicate.
///   (Once that job has ended and was forgotten, the repeated enqueue makes it anew: delivery is at least once.)
/// - A finish is known by a nonce too: `true` for an end of the first try that took effect, unless the job has been
///   claimed and ended by somebody else meanwhile; then `false`, although the end took effect. What the first try
///   claimed comes back when its lease expires.
/// - [`cancel`](Storage::cancel), [`retry`](Storage::retry) and [`remove`](Storage::remove) would give another answer
///   the second time, so they fail with [`StorageError::Unavailable`]; ask what became of the job.
///
/// # Clock
/// The server's. Where that goes back, as it can in a failover, the clock of each queue does not: it goes on from where
/// it was.
///
/// # What it does not do
/// Sentinel and cluster: give the addresses of all servers in [`RedisOptions::urls`]; the one that is a primary is
/// used. The keys of a queue share a hash tag and so a slot, but cluster redirections are not followed.
#[derive(Debug, Clone)]
pub struct RedisStorage(Arc<Inner>);

struct Inner {
    link: Arc<Link>,
    board: Arc<Board>,
    prefix: Prefix,
    /// Queues that are noted in the set of all queues, and on which connection that was done: a failover may lose it.
    noted: Mutex<HashMap<QueueName, u64>>,
    /// What runs beside the callers.
    tasks: Mutex<Tasks>,
    patience: Duration,
}

/// Tasks, which end with the storage.
#[derive(Default)]
struct Tasks {
    running: JoinSet<()>,
    is_listening: bool,
    gatherer: Option<mpsc::Sender<Wish>>,
}

impl RedisStorage {
    /// Connects to the primary.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] if it can't be reached in time, [`StorageError::Refused`] if an address makes no
    /// sense or the server wants other credentials, and [`StorageError::NewerSchema`].
    pub async fn connect(options: RedisOptions) -> Result<Self, StorageError> {
        let (prefix, patience) = (Prefix::new(&options.prefix), options.patience);
        let link = Arc::new(Link::new(options, &prefix)?);
        link.command("connect", &redis::cmd("PING")).await?;
        Ok(Self(Arc::new(Inner {
            link,
            board: Arc::default(),
            prefix,
            noted: Mutex::default(),
            tasks: Mutex::default(),
            patience,
        })))
    }

    fn base(&self, queue: &QueueName) -> String {
        self.0.prefix.queue(queue)
    }

    async fn call(&self, call: Call) -> Result<Reply, StorageError> {
        Ok(Reply::new(self.0.link.call(call).await?))
    }

    async fn command(&self, action: &'static str, command: &redis::Cmd) -> Result<Reply, StorageError> {
        Ok(Reply::new(self.0.link.command(action, command).await?))
    }

    /// Notes a queue in the set of all queues, before anything is in it.
    async fn note(&self, queue: &QueueName) -> Result<(), StorageError> {
        let epoch = self.0.link.epoch();
        if self.0.noted.lock().get(queue) == Some(&epoch) {
            return Ok(());
        }
        self.call(script::NOTE.on(self.0.prefix.queues()).arg(queue.as_str().to_owned())).await?;
        self.0.noted.lock().insert(queue.clone(), epoch);
        Ok(())
    }

    /// A change of one job, which answers with a number.
    async fn change(&self, call: Call, id: &JobId) -> Result<i64, StorageError> {
        self.call(call.arg(id.as_str().to_owned())).await?.int()
    }

    /// The listener runs from the first time that somebody waits.
    fn start_listening(&self) {
        let mut tasks = self.0.tasks.lock();
        if !tasks.is_listening && !self.0.link.is_closed() {
            tasks.is_listening = true;
            tasks.running.spawn(listener::listen(Arc::clone(&self.0.link), Arc::clone(&self.0.board)));
        }
    }

    /// Who enqueues, from the first time that somebody wants to.
    fn gatherer(&self) -> Result<mpsc::Sender<Wish>, StorageError> {
        let mut tasks = self.0.tasks.lock();
        if self.0.link.is_closed() {
            return Err(StorageError::Closed);
        }
        if let Some(gatherer) = &tasks.gatherer {
            return Ok(gatherer.clone());
        }
        let (gatherer, wishes) = mpsc::channel(gather::GATHERED);
        tasks.running.spawn(gather::gather(Arc::clone(&self.0.link), wishes));
        tasks.gatherer = Some(gatherer.clone());
        Ok(gatherer)
    }

    /// Reads jobs by their ids; those that are gone are left out.
    async fn read(&self, base: String, ids: Vec<JobId>) -> Result<Vec<Job>, StorageError> {
        let call = script::JOBS.on(base);
        let call = ids.iter().fold(call, |call, id| call.arg(id.as_str().to_owned()));
        self.call(call).await?.jobs(ids)
    }

    /// A page of ids in a state, with their generations. They may be in another one by now.
    async fn page(
        &self,
        base: &str,
        state: JobState,
        after: Generation,
        limit: usize,
    ) -> Result<Vec<(Generation, JobId)>, StorageError> {
        if state == JobState::Active {
            // There are as many as workers can hold, so they are read whole and sorted here.
            let mut command = redis::cmd("ZRANGE");
            command.arg(format!("{base}leases")).arg(0).arg(-1);
            let mut active = self.command("list jobs", &command).await?.numbered_ids()?;
            active.retain(|(generation, _)| *generation > after);
            active.sort_unstable();
            active.truncate(limit);
            return Ok(active);
        }
        let list = match state {
            JobState::Waiting => "waiting",
            JobState::Delayed => "delayed",
            JobState::Completed => "completed",
            JobState::Active | JobState::Dead => "dead",
        };
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(format!("{base}{list}")).arg(format!("({}", after.0)).arg("+inf");
        command.arg("WITHSCORES").arg("LIMIT").arg(0).arg(limit);
        self.command("list jobs", &command).await?.scored_ids()
    }

    /// Waits until something is told or due.
    async fn wait(&self, queue: &QueueName) -> Result<(), StorageError> {
        let base = self.base(queue);
        let mut seat = self.0.board.work(format!("{base}wake")).ok_or(StorageError::Closed)?;
        self.start_listening();
        // Without it, what is told would be missed; the caller's limit ends the wait then.
        seat.is_heard(Duration::MAX).await;
        seat.receiver.mark_unchanged();
        let outlook = self.call(script::OUTLOOK.on(base)).await?.int()?;
        match u64::try_from(outlook) {
            Ok(0) => {}
            // An elapsed time is as good as being told.
            Ok(due_in) => drop(timeout(Duration::from_millis(due_in), seat.receiver.changed()).await),
            Err(_) => drop(seat.receiver.changed().await),
        }
        Ok(())
    }

    /// Ends and claims in one step. A claim is answered although no replica has it: kept back, it would hold the job until
    /// its lease expires, and count as a delivery.
    async fn finish_at_once(
        &self,
        queue: &QueueName,
        ends: Vec<Finish>,
        next: Option<Claim>,
    ) -> Result<Finished, StorageError> {
        let count = ends.len();
        let nonce = Bytes::copy_from_slice(&rand::random::<u64>().to_be_bytes());
        let call = script::FINISH.change(self.base(queue)).arg(nonce);
        let call = if ends.is_empty() { call.replicated(Replication::Tried) } else { call };
        let call = match next {
            Some(Claim { worker, max, lease }) => {
                call.arg(worker.as_str().to_owned()).number(bounded(max)).number(millis(lease))
            }
            None => call.arg("").number(0).number(0),
        };
        let call = ends.into_iter().fold(call, |call, finish| {
            let (fixed, bytes) = pack_end(finish.token, finish.end);
            call.arg(finish.id.as_str().to_owned()).arg(fixed).arg(bytes)
        });
        self.call(call).await?.finished(count)
    }
}

#[async_trait]
impl Storage for RedisStorage {
    async fn enqueue(&self, queue: &QueueName, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StorageError> {
        local::check_jobs(&jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + self.0.patience;
        self.note(queue).await?;
        let (answer, answered) = oneshot::channel();
        let wish = Wish { base: self.base(queue), jobs, deadline, answer };
        self.gatherer()?.send(wish).await.map_err(|_| StorageError::Closed)?;
        // Nobody answers once it is closed.
        answered.await.unwrap_or(Err(StorageError::Closed))
    }

    async fn finish(
        &self,
        queue: &QueueName,
        ends: Vec<Finish>,
        next: Option<Claim>,
    ) -> Result<Finished, StorageError> {
        local::check_ends(&ends)?;
        if next.is_some() && !ends.is_empty() && self.0.link.waits_for_replicas() {
            // What is claimed in a step whose answer is then withheld would wait for its lease to expire.
            let ended = self.finish_at_once(queue, ends, None).await?;
            return Ok(match self.finish_at_once(queue, Vec::new(), next).await {
                Ok(claimed) => Finished { outcomes: ended.outcomes, ..claimed },
                // What ended has, whatever became of the claim. The next one will tell what is wrong.
                Err(_) => Finished { next_in: Some(Duration::ZERO), ..ended },
            });
        }
        self.finish_at_once(queue, ends, next).await
    }

    async fn wait_for_work(&self, queue: &QueueName, at_most: Duration) -> Result<(), StorageError> {
        match timeout(at_most, self.0.link.or_closed(self.wait(queue))).await {
            Ok(waited) => waited?,
            Err(_) => Ok(()),
        }
    }

    async fn extend(
        &self,
        queue: &QueueName,
        leases: Vec<(JobId, Token)>,
        lease: Duration,
    ) -> Result<Vec<Extended>, StorageError> {
        let count = leases.len();
        let call =
            script::EXTEND.change(self.base(queue)).replicated(Replication::Unneeded).number(millis(lease));
        let call = leases
            .into_iter()
            .fold(call, |call, (id, Token(token))| call.arg(id.as_str().to_owned()).number(token));
        self.call(call).await?.extended(count)
    }

    async fn get(&self, queue: &QueueName, id: &JobId) -> Result<Option<Job>, StorageError> {
        Ok(self.read(self.base(queue), vec![id.clone()]).await?.pop())
    }

    async fn cancel(&self, queue: &QueueName, id: &JobId) -> Result<Cancelled, StorageError> {
        Ok(match self.change(script::CANCEL.change(self.base(queue)), id).await? {
            1 => Cancelled::Done,
            2 => Cancelled::Requested,
            3 => Cancelled::Completed,
            _ => Cancelled::NotFound,
        })
    }

    async fn retry(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        Ok(self.change(script::RETRY.change(self.base(queue)), id).await? == 1)
    }

    async fn remove(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        Ok(self.change(script::REMOVE.change(self.base(queue)), id).await? == 1)
    }

    async fn set_retention(
        &self,
        queue: &QueueName,
        id: &JobId,
        retention: Duration,
    ) -> Result<bool, StorageError> {
        let call = script::RETENTION.change(self.base(queue)).number(millis(retention));
        Ok(self.change(call, id).await? == 1)
    }

    async fn list(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<Generation>,
        limit: usize,
    ) -> Result<Vec<Job>, StorageError> {
        let base = self.base(queue);
        if matches!(state, JobState::Waiting | JobState::Delayed) {
            // So that none is listed as delayed whose time has come.
            self.call(script::REAP.change(base.clone()).replicated(Replication::Unneeded).number(0).arg(""))
                .await?;
        }
        let (mut jobs, mut after) = (Vec::new(), after.unwrap_or(Generation(0)));
        while jobs.len() < limit {
            let page = self.page(&base, state, after, (limit - jobs.len()).min(AT_ONCE)).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            let read = self.read(base.clone(), page.into_iter().map(|(_, id)| id).collect()).await?;
            jobs.extend(read.into_iter().filter(|job| job.state == state));
        }
        Ok(jobs)
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts, StorageError> {
        self.call(script::COUNTS.on(self.base(queue))).await?.counts()
    }

    async fn queues(&self) -> Result<Vec<QueueName>, StorageError> {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.0.prefix.queues());
        let mut queues = self.command("list queues", &command).await?.queues()?;
        queues.sort_unstable();
        let mut used = Vec::with_capacity(queues.len());
        for queue in queues {
            let base = self.base(&queue);
            let mut command = redis::cmd("EXISTS");
            for order in ["waiting", "delayed", "leases", "completed", "dead"] {
                command.arg(format!("{base}{order}"));
            }
            let holds_jobs = self.command("list queues", &command).await?.int()? > 0;
            if holds_jobs || self.settings(&queue).await? != Settings::default() {
                used.push(queue);
            }
        }
        Ok(used)
    }

    async fn configure(&self, queue: &QueueName, settings: Settings) -> Result<(), StorageError> {
        self.note(queue).await?;
        let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let call = script::CONFIGURE
            .change(self.base(queue))
            .arg(if settings.paused { "1" } else { "" })
            .arg(text(settings.concurrency.map(u64::from)))
            .arg(text(settings.max_jobs));
        self.call(call).await.map(drop)
    }

    async fn settings(&self, queue: &QueueName) -> Result<Settings, StorageError> {
        let mut command = redis::cmd("HMGET");
        command.arg(format!("{}meta", self.base(queue))).arg("paused").arg("concurrency").arg("max_jobs");
        self.command("read the settings", &command).await?.settings()
    }

    async fn reap(
        &self,
        queue: &QueueName,
        limit: usize,
        lease_expired: Bytes,
    ) -> Result<Reaped, StorageError> {
        local::check_len(lease_expired.len())?;
        let call = script::REAP.change(self.base(queue)).replicated(Replication::Unneeded);
        let call = call.number(bounded(limit)).arg(lease_expired);
        self.call(call).await?.reaped()
    }

    async fn lead(&self, role: &QueueName, holder: &WorkerId, ttl: Duration) -> Result<bool, StorageError> {
        let call = script::LEAD.on(self.0.prefix.role(role));
        let call = call.arg(holder.as_str().to_owned()).number(millis(ttl).max(1));
        Ok(self.call(call).await?.int()? == 1)
    }

    async fn resign(&self, role: &QueueName, holder: &WorkerId) -> Result<(), StorageError> {
        let call = script::RESIGN.on(self.0.prefix.role(role));
        self.call(call.arg(holder.as_str().to_owned())).await.map(drop)
    }

    async fn events(&self, queue: &QueueName) -> Result<BoxStream<'static, Event>, StorageError> {
        let mut seat =
            self.0.board.events(format!("{}events", self.base(queue))).ok_or(StorageError::Closed)?;
        self.start_listening();
        if !self.0.link.or_closed(seat.is_heard(self.0.patience)).await? {
            return Err(link::not_listening());
        }
        // What was told before this point is not from now on.
        let events =
            stream::unfold(seat.receiver.resubscribe(), async |mut events| match events.recv().await {
                Ok(event) => Some((event, events)),
                Err(RecvError::Lagged(_)) => Some((Event::Missed, events)),
                Err(RecvError::Closed) => None,
            });
        Ok(events.boxed())
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.0.link.close();
        self.0.board.close();
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock());
        tasks.running.shutdown().await;
        Ok(())
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inner").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn bounded(limit: usize) -> u64 {
    u64::try_from(limit.min(AT_ONCE)).unwrap_or(u64::MAX)
}

/// What becomes of a job, for the script: the kind, the token, a duration; and the output or error.
fn pack_end(Token(token): Token, end: End) -> (Bytes, Bytes) {
    let (kind, duration, bytes) = match end {
        End::Complete { output, retention } => (1, millis(retention), output),
        End::Retry { delay, error } => (2, millis(delay), error),
        End::Dead { error } => (3, 0, error),
        End::Release => (4, 0, Bytes::new()),
        End::Cancelled => (5, 0, Bytes::new()),
    };
    let mut fixed = BytesMut::with_capacity(17);
    fixed.put_u8(kind);
    fixed.put_u64(token);
    fixed.put_u64(duration);
    (fixed.freeze(), bytes)
}
