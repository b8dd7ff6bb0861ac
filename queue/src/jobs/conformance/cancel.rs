//! Jobs whose end is wanted.

use std::time::Duration;

use futures::StreamExt as _;

use super::kit::{Client, LONG, Outcome, Subject, complete, dead, id, retry, wait_out};
use crate::jobs::{Cancelled, Counts, End, EndOutcome, Enqueued, Event, Extended, JobState, StorageError};

/// Waiting, delayed, between attempts, dead: gone, and not delivered any more.
pub async fn jobs_that_wait_are_gone_at_once(subject: Subject) -> Outcome {
    let client = &subject.client;
    for state in [JobState::Waiting, JobState::Delayed, JobState::Dead] {
        client.put_in_state("a", state).await?;
        assert_eq!(cancel(client, "a").await?, Cancelled::Done);
        assert_eq!(client.get("a").await?, None);
        assert_eq!(cancel(client, "a").await?, Cancelled::NotFound);
    }
    client.put("a").await?;
    let job = client.take().await?;
    assert!(client.end(&job, retry(LONG)).await?);
    assert_eq!(cancel(client, "a").await?, Cancelled::Done);
    assert_eq!(client.claim(9, LONG).await?, []);
    assert!(matches!(client.put("a").await?, Enqueued::New(_)));
    assert_eq!(client.take_ids(9).await?, ["a"]);
    Ok(())
}

/// The worker hears of it when it extends its lease; until then it has the job.
pub async fn running_jobs_are_asked_for(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let job = client.take().await?;
    let other = subject.second().unwrap_or_else(|| client.clone());
    assert_eq!(cancel(&other, "a").await?, Cancelled::Requested);
    assert_eq!(cancel(&other, "a").await?, Cancelled::Requested);
    let seen = client.job("a").await?;
    assert_eq!((seen.state, seen.cancel_requested), (JobState::Active, true));
    let extended = client.storage.extend(&client.queue, vec![(job.id.clone(), job.token)], LONG).await?;
    assert_eq!(extended, [Extended::CancelWanted]);
    assert!(matches!(client.put("a").await?, Enqueued::Duplicate(JobState::Active)));
    Ok(())
}

/// What has completed stays; what is unknown is unknown.
pub async fn ended_jobs_answer(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_in_state("a", JobState::Completed).await?;
    assert_eq!(cancel(client, "a").await?, Cancelled::Completed);
    assert_eq!(client.state("a").await?, Some(JobState::Completed));
    assert_eq!(cancel(client, "unknown").await?, Cancelled::NotFound);
    Ok(())
}

/// It was done before it heard of it.
pub async fn a_worker_can_finish_in_spite_of_it(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let job = client.take().await?;
    assert_eq!(cancel(client, "a").await?, Cancelled::Requested);
    assert!(client.end(&job, complete("done")).await?);
    assert_eq!(client.state("a").await?, Some(JobState::Completed));
    Ok(())
}

/// Its worker did not hear of it before its handler failed, or before it had to stop: the job is not delivered
/// again.
pub async fn cancelled_and_given_back_is_gone(subject: Subject) -> Outcome {
    let client = &subject.client;
    // One stream for all: what happened shortly before a stream began may be told by it, late.
    let mut events = client.storage.events(&client.queue).await?;
    for (name, end) in
        [("a", retry(LONG)), ("b", retry(Duration::ZERO)), ("c", End::Release), ("d", dead("why"))]
    {
        client.put(name).await?;
        let job = client.take().await?;
        assert_eq!(cancel(client, name).await?, Cancelled::Requested);
        assert_eq!(client.finish(vec![(&job, end)]).await?.outcomes, [EndOutcome::Cancelled]);
        for told in [Event::Enqueued, Event::Started, Event::Cancelled] {
            assert_eq!(events.next().await, Some(told(id(name))));
        }
        assert_eq!(client.get(name).await?, None);
    }
    assert_eq!(client.claim(9, LONG).await?, []);
    assert_eq!(client.storage.counts(&client.queue).await?, Counts::default());
    Ok(())
}

/// Its worker is gone: the job is not delivered again.
pub async fn cancelled_and_stalled_is_gone(subject: Subject) -> Outcome {
    let client = &subject.client;
    let lease = Duration::from_millis(1);
    client.put("a").await?;
    client.take_for(lease).await?;
    assert_eq!(cancel(client, "a").await?, Cancelled::Requested);
    wait_out(lease).await;
    let reaped = client.reap().await?;
    assert_eq!((reaped.stalled, reaped.dead), (Vec::new(), Vec::new()));
    assert_eq!(client.get("a").await?, None);
    assert!(matches!(client.put("a").await?, Enqueued::New(_)));
    Ok(())
}

async fn cancel(client: &Client, name: &str) -> Result<Cancelled, StorageError> {
    client.storage.cancel(&client.queue, &id(name)).await
}
