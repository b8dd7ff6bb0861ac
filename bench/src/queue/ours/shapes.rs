//! What callers do, so many at a time, each in a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lockstep_queue::jobs::{EnqueueOptions, JobId};
use tokio::task::JoinSet;

use super::bench::{Bench, Jobs, Payload};
use crate::error::{Context as _, Result};

/// Jobs of one bulk call when a backlog is made.
const BULK: usize = 500;
/// How long a caller waits for an output.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one call needs.
#[derive(Clone)]
struct Caller {
    queue: Jobs,
    payload: Arc<Payload>,
}

/// Enqueues the jobs, one a call.
pub(super) async fn enqueue(bench: &Bench) -> Result<()> {
    in_flight(bench, async |Caller { queue, payload }, id| {
        let accepted = queue.enqueue(id, &payload, EnqueueOptions::default()).await;
        accepted.context(|| "cannot enqueue".to_owned()).map(drop)
    })
    .await
    .map(drop)
}

/// Enqueues the jobs, many a call.
pub(super) async fn fill(bench: &Bench) -> Result<()> {
    let numbers: Vec<usize> = (0..bench.jobs).collect();
    for chunk in numbers.chunks(BULK) {
        let jobs = chunk.iter().map(|number| Ok((JobId::new(name(*number))?, &bench.payload)));
        let jobs = jobs.collect::<std::result::Result<Vec<_>, lockstep_queue::jobs::NameError>>();
        let jobs = jobs.context(|| "cannot name a job".to_owned())?;
        let accepted = bench.queue.enqueue_many(jobs, EnqueueOptions::default()).await;
        accepted.context(|| "cannot make the backlog".to_owned())?;
    }
    Ok(())
}

/// Enqueues the jobs and waits for the output of each.
pub(super) async fn wait(bench: &Bench) -> Result<Vec<Duration>> {
    in_flight(bench, async |Caller { queue, payload }, id| {
        let began = Instant::now();
        let output = queue.enqueue_and_wait(id, &payload, EnqueueOptions::default(), PATIENCE).await;
        output.context(|| "cannot wait".to_owned())?;
        Ok(began.elapsed())
    })
    .await
}

/// Makes one call for each job. Returns what they return.
async fn in_flight<T, C, F>(bench: &Bench, call: C) -> Result<Vec<T>>
where
    T: Send + 'static,
    C: Fn(Caller, String) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let (next, jobs) = (Arc::new(AtomicUsize::new(0)), bench.jobs);
    let caller = Caller { queue: bench.queue.clone(), payload: Arc::new(bench.payload.clone()) };
    let mut callers = JoinSet::new();
    for _ in 0..bench.concurrency {
        let (next, call, caller) = (Arc::clone(&next), call.clone(), caller.clone());
        callers.spawn(async move {
            let mut results = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return Ok::<_, crate::Failure>(results);
                }
                results.push(call(caller.clone(), name(number)).await?);
            }
        });
    }
    let mut results = Vec::new();
    while let Some(of_caller) = callers.join_next().await {
        results.extend(of_caller.context(|| "a caller ended".to_owned())??);
    }
    Ok(results)
}

fn name(number: usize) -> String {
    format!("job-{number}")
}
