//! Whoever lost a lease can change nothing any more.

use std::time::Duration;

use super::kit::{Client, LONG, Outcome, SHORT, Subject, complete, dead, id, retry, wait_out};
use crate::jobs::{Claimed, End, Enqueued, Extended, JobState, StorageError, Token};

const SOON: Duration = Duration::from_millis(1);

/// Once: a second report of the same delivery is too late.
pub async fn a_token_ends_one_delivery(subject: Subject) -> Outcome {
    let client = &subject.client;
    for first in [complete("done"), retry(Duration::ZERO), dead("why"), End::Release, End::Cancelled] {
        client.put("a").await?;
        let job = client.take().await?;
        assert!(client.end(&job, first).await?);
        assert_stale(client, &job).await?;
        // Away with it for the next round.
        client.storage.cancel(&client.queue, &job.id).await?;
        client.storage.remove(&client.queue, &job.id).await?;
    }
    Ok(())
}

/// A worker was paused beyond its lease; another finished the job, or has it now.
pub async fn a_lost_lease_changes_nothing(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let paused = client.take_for(SOON).await?;
    wait_out(SOON).await;
    client.reap().await?;
    assert_stale(client, &paused).await?;
    let other = subject.second().unwrap_or_else(|| client.clone());
    let rival = other.take().await?;
    assert_stale(client, &paused).await?;
    assert_eq!(client.job("a").await?.lease.map(|(holder, _)| holder), Some(other.worker.clone()));
    assert!(other.end(&rival, complete("of the rival")).await?);
    assert_stale(client, &paused).await?;
    let job = client.job("a").await?;
    assert_eq!((job.state, job.output.as_deref()), (JobState::Completed, Some(&b"of the rival"[..])));
    Ok(())
}

/// The lease expired, but nobody took the job back: nobody else can have it.
pub async fn a_late_worker_without_rival_still_counts(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["a", "b"]).await?;
    let (a, b) = (client.take_for(SOON).await?, client.take_for(SOON).await?);
    wait_out(SOON).await;
    assert!(client.end(&a, complete("done")).await?);
    assert_eq!(extend(client, &b).await?, Extended::Held);
    assert_eq!(client.reap().await?.stalled, []);
    assert!(client.end(&b, complete("done")).await?);
    Ok(())
}

/// Renewed in time, upkeep leaves it alone.
pub async fn an_extended_lease_is_kept(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["a", "b"]).await?;
    let (a, b) = (client.take_for(SHORT).await?, client.take_for(SHORT).await?);
    let unknown = (id("unknown"), Token(1));
    let wrong = (b.id.clone(), Token(b.token.0 + 1000));
    let leases = vec![(a.id.clone(), a.token), unknown, wrong];
    let extended = client.storage.extend(&client.queue, leases, LONG).await?;
    assert_eq!(extended, [Extended::Held, Extended::Lost, Extended::Lost]);
    wait_out(SHORT).await;
    assert_eq!(client.reap().await?.stalled, [id("b")]);
    assert!(client.end(&a, complete("done")).await?);
    assert_stale(client, &b).await
}

/// Cancelled and enqueued again is not the same job, though the id is.
pub async fn the_next_job_of_an_id_is_another(subject: Subject) -> Outcome {
    let client = &subject.client;
    let Enqueued::New(first) = client.put("a").await? else { return not_new() };
    client.storage.cancel(&client.queue, &id("a")).await?;
    let Enqueued::New(second) = client.put("a").await? else { return not_new() };
    assert!(second > first);
    let old = client.take().await?;
    assert!(client.end(&old, End::Cancelled).await?);
    let Enqueued::New(third) = client.put("a").await? else { return not_new() };
    assert!(third > second);
    assert_stale(client, &old).await?;
    let new = client.take().await?;
    assert_stale(client, &old).await?;
    assert_eq!((new.delivery, client.job("a").await?.generation), (1, third));
    assert!(client.end(&new, complete("of the new one")).await?);
    assert_stale(client, &old).await
}

/// Every claim of a queue has a larger one than all before it, whatever the job.
pub async fn tokens_grow(subject: Subject) -> Outcome {
    let client = &subject.client;
    let other = subject.second().unwrap_or_else(|| client.clone());
    let mut last = Token(0);
    for round in 0..12 {
        let client = if round % 2 == 0 { client } else { &other };
        let name = if round % 3 == 0 { "a" } else { "b" };
        client.put(name).await?;
        let job = client.take().await?;
        assert!(job.token > last, "{:?} after {last:?}", job.token);
        last = job.token;
        let end = if round % 4 == 0 { End::Release } else { End::Cancelled };
        assert!(client.end(&job, end).await?);
    }
    Ok(())
}

/// Nothing that a holder of this claim reports has an effect.
async fn assert_stale(client: &Client, job: &Claimed) -> Outcome {
    let before = client.get(job.id.as_str()).await?;
    assert_eq!(extend(client, job).await?, Extended::Lost);
    for end in [complete("late"), retry(LONG), dead("late"), End::Release, End::Cancelled] {
        assert!(!client.end(job, end.clone()).await?, "{end:?}");
    }
    let after = client.get(job.id.as_str()).await?;
    assert_eq!(after, before);
    Ok(())
}

async fn extend(client: &Client, job: &Claimed) -> Result<Extended, StorageError> {
    let extended = client.storage.extend(&client.queue, vec![(job.id.clone(), job.token)], LONG).await?;
    assert_eq!(extended.len(), 1);
    Ok(extended.into_iter().next().unwrap_or(Extended::Lost))
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn not_new() -> Outcome {
    panic!("the id should have been free")
}
