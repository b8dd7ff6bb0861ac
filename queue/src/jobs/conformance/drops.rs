//! Futures that are dropped at any moment lose nothing.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::time::{Instant, sleep, timeout};

use super::kit::{Client, LONG, Outcome, PROMPT, Subject, complete, id, late, new};
use crate::jobs::{Enqueued, JobOptions, JobState, StorageError};

const JOBS: usize = 120;

/// What was claimed by a call that was dropped comes back by its lease; each job is completed once.
pub async fn dropped_claims_lose_no_job(subject: Subject) -> Outcome {
    let client = &subject.client;
    let options = JobOptions { max_deliveries: u32::MAX, ..JobOptions::default() };
    let jobs = (0..JOBS).map(|number| new(&number.to_string(), options.clone())).collect();
    client.storage.enqueue(&client.queue, jobs).await?;
    let mut completed: HashMap<String, u32> = HashMap::new();
    let mut patience = patience();
    let start = Instant::now();
    while completed.len() < JOBS && start.elapsed() < Duration::from_secs(60) {
        let claim = client.claim(3, Duration::from_millis(250));
        let Some(claimed) = within(patience(), claim).await else { continue };
        let claimed = claimed?;
        if claimed.is_empty() {
            sleep(Duration::from_millis(20)).await;
            client.storage.reap(&client.queue, 100, late()).await?;
        }
        for job in &claimed {
            // A step that is not awaited to its end happened wholly or not at all.
            let is_done = match within(patience(), client.end(job, complete("done"))).await {
                Some(outcome) => outcome?,
                None => client.state(job.id.as_str()).await? == Some(JobState::Completed),
            };
            if is_done {
                *completed.entry(job.id.as_str().to_owned()).or_default() += 1;
            }
        }
        // What was dropped may have been done a moment later.
        for job in client.storage.list(&client.queue, JobState::Completed, None, JOBS).await? {
            completed.entry(job.id.as_str().to_owned()).or_insert(1);
        }
    }
    assert_eq!(client.storage.counts(&client.queue).await?.completed, 120);
    assert!(completed.values().all(|times| *times == 1), "{completed:?}");
    Ok(())
}

/// A job whose enqueue was dropped is there as it should be, or not at all.
pub async fn dropped_enqueues_are_whole_or_nothing(subject: Subject) -> Outcome {
    let client = &subject.client;
    let mut patience = patience();
    for round in 0..60 {
        let names = [format!("{round} a"), format!("{round} b")];
        let jobs = names.iter().map(|name| new(name, JobOptions::default())).collect();
        let dropped = within(patience(), client.storage.enqueue(&client.queue, jobs)).await;
        dropped.transpose()?;
        for name in &names {
            let answer = client.put(name).await?;
            assert!(
                matches!(answer, Enqueued::New(_) | Enqueued::Duplicate(JobState::Waiting)),
                "{answer:?}"
            );
        }
    }
    let mut ids = client.take_ids(999).await?;
    assert_eq!(ids.len(), 120);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 120);
    Ok(())
}

/// A worker that stopped waiting does not take the news with it: the next one hears of the job.
pub async fn dropped_waits_keep_no_news(subject: Subject) -> Outcome {
    let client = &subject.client;
    let mut patience = patience();
    for round in 0..20 {
        let name = round.to_string();
        let enqueue = async {
            sleep(Duration::from_millis(1)).await;
            client.put(&name).await
        };
        let impatient = pin!(within(patience(), wait(client)));
        let other = pin!(timeout(PROMPT, wait(client)));
        let woken = async {
            match select(impatient, other).await {
                Either::Left((Some(told), _)) => Some(told),
                Either::Left((None, other)) => other.await.ok(),
                Either::Right((told, _)) => told.ok(),
            }
        };
        let (enqueued, woken) = tokio::join!(enqueue, woken);
        enqueued?;
        assert!(woken.transpose()?.is_some(), "in round {round} nobody was woken");
        let job = client.take().await?;
        assert_eq!(job.id, id(&name));
    }
    Ok(())
}

/// Waits for something to claim, as often as it returns for nothing.
async fn wait(client: &Client) -> Outcome {
    while client.storage.counts(&client.queue).await?.waiting == 0 {
        client.storage.wait_for_work(&client.queue, LONG).await?;
    }
    Ok(())
}

/// Polls a call for so long only. A call that is ready at once is awaited now and then.
async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, StorageError>>,
) -> Option<Result<T, StorageError>> {
    if patience.is_zero() {
        // Polled exactly once.
        let mut call = pin!(call);
        return match futures::poll!(call.as_mut()) {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => None,
        };
    }
    timeout(patience, call).await.ok()
}

/// Times from none to a few milliseconds, in an order without a pattern that a storage could follow.
fn patience() -> impl FnMut() -> Duration {
    let mut seed: u64 = 0x9e37_79b9;
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (seed >> 33) % 8 {
            0 => Duration::ZERO,
            7 => Duration::from_secs(5),
            _ => Duration::from_micros((seed >> 40) % 4000 + 1),
        }
    }
}
