//! Enqueues that come at once go to the server together: while one step is under way, what comes meanwhile is gathered
//! for the next. A step costs the server as much for its beginning and end as for several jobs.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::header::pack_options;
use super::link::Link;
use super::options::NotReplicated;
use super::reply::Reply;
use super::script;
use crate::jobs::error::StorageError;
use crate::jobs::job::NewJob;
use crate::jobs::storage::Enqueued;

/// Calls that wait for the next step at most; more wait to be among them.
pub(super) const GATHERED: usize = 1024;
/// A step takes no more calls when it has so many jobs,
const ENOUGH_JOBS: usize = 500;
/// or so many bytes of payload, so that the server is not kept long.
const ENOUGH_BYTES: usize = 1 << 20;

/// One call of [`Storage::enqueue`](crate::jobs::Storage::enqueue).
#[derive(Debug)]
pub(super) struct Wish {
    /// What the keys of the queue begin with.
    pub(super) base: String,
    pub(super) jobs: Vec<NewJob>,
    /// Until when it waits for a server that can't be reached.
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<Vec<Enqueued>, StorageError>>,
}

/// Enqueues until nobody can ask for it any more.
pub(super) async fn gather(link: Arc<Link>, mut wishes: mpsc::Receiver<Wish>) {
    // Why the server could not be reached at the last step.
    let mut outage = None;
    while let Some(first) = wishes.recv().await {
        let mut queues = HashMap::<String, Vec<Wish>>::new();
        let (mut jobs, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(wish) = next {
            if let Some(wish) = wish.unless_over(outage.as_ref()) {
                jobs += wish.jobs.len();
                bytes += wish.jobs.iter().map(|job| job.payload.len()).sum::<usize>();
                queues.entry(wish.base.clone()).or_default().push(wish);
            }
            next = if jobs < ENOUGH_JOBS && bytes < ENOUGH_BYTES { wishes.try_recv().ok() } else { None };
        }
        if !queues.is_empty() {
            let steps = queues.into_iter().map(|(base, wishes)| enqueue(&link, base, wishes));
            outage = join_all(steps).await.into_iter().find_map(Result::err);
        }
    }
}

impl Wish {
    /// None if nobody wants it any more, or it waited through an outage for as long as it may: then that is the answer.
    fn unless_over(self, outage: Option<&StorageError>) -> Option<Self> {
        if let Some(error) = outage.filter(|_| self.deadline <= Instant::now()) {
            // Who has gone does not want to know.
            drop(self.answer.send(Err(error.clone())));
            return None;
        }
        (!self.answer.is_closed()).then_some(self)
    }
}

/// Enqueues into one queue, in one step, and answers.
///
/// # Errors
/// If the server could not be reached.
async fn enqueue(link: &Link, base: String, wishes: Vec<Wish>) -> Result<(), StorageError> {
    let mut nonce = rand::random::<u64>();
    let deadline = wishes.iter().map(|wish| wish.deadline).max().unwrap_or_else(Instant::now);
    let mut call = script::ENQUEUE.change(base);
    let mut asked = Vec::with_capacity(wishes.len());
    for wish in wishes {
        call = call.arg(wish.jobs.len().to_string());
        asked.push((wish.jobs.len(), wish.answer));
        for job in wish.jobs {
            nonce = nonce.wrapping_add(1);
            let id = Bytes::copy_from_slice(job.id.as_str().as_bytes());
            call = call.arg(id).arg(pack_options(&job.options, nonce)).arg(job.payload);
        }
    }
    match link.call_until(deadline, call).await.and_then(|value| Reply::new(value).list(asked.len())) {
        Ok(answers) => {
            // Who has gone does not want to know.
            let pairs = asked.into_iter().zip(answers);
            pairs.for_each(|((count, caller), answer)| drop(caller.send(answer.enqueued(count))));
            Ok(())
        }
        Err(error) => {
            asked.into_iter().for_each(|(_, caller)| drop(caller.send(Err(error.clone()))));
            if is_outage(&error) { Err(error) } else { Ok(()) }
        }
    }
}

/// Whether the server could not be reached; one that lacks replicas was.
fn is_outage(error: &StorageError) -> bool {
    matches!(error, StorageError::Unavailable { source, .. } if !source.is::<NotReplicated>())
}
