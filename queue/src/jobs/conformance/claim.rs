//! Jobs go out to workers.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::kit::{Client, LONG, Outcome, PROMPT, SHORT, Subject, complete, id, new, retry, wait_out, worker};
use crate::jobs::{Claim, EndOutcome, Finish, JobOptions, JobState, StorageError};

/// The worker gets all of it; state, owner, lease and delivery count are set in the same step.
pub async fn a_claim_gives_what_was_enqueued(subject: Subject) -> Outcome {
    let client = &subject.client;
    let options = JobOptions { priority: 3, max_deliveries: 5, retention: SHORT, ..JobOptions::default() };
    client.put_with("a", options.clone()).await?;
    let before = client.job("a").await?;
    let claimed = client.take_for(LONG).await?;
    assert_eq!((&claimed.id, &claimed.payload, &claimed.options), (&before.id, &before.payload, &options));
    assert_eq!((claimed.delivery, claimed.created_at), (1, before.created_at));
    let job = client.job("a").await?;
    assert_eq!((job.state, job.deliveries), (JobState::Active, 1));
    let (holder, until) = job.lease.unwrap_or_else(|| (worker("nobody"), job.created_at));
    assert_eq!(holder, client.worker);
    let lasts = until.since(job.created_at);
    assert!(lasts >= LONG && lasts < LONG + PROMPT, "{lasts:?}");
    assert_eq!(client.claim(9, LONG).await?, []);
    Ok(())
}

/// Higher priorities first; within one, the order of becoming ready.
pub async fn priority_goes_first_then_age(subject: Subject) -> Outcome {
    let client = &subject.client;
    let priorities = [0, i32::MIN, 5, 0, i32::MAX, -1, 5, 0, 1_000_000_007];
    for (number, priority) in priorities.into_iter().enumerate() {
        client.put_with(&number.to_string(), JobOptions { priority, ..JobOptions::default() }).await?;
    }
    assert_eq!(client.take_ids(4).await?, ["4", "8", "2", "6"]);
    client.put_with("late", JobOptions { priority: 1, ..JobOptions::default() }).await?;
    assert_eq!(client.take_ids(99).await?, ["late", "0", "3", "7", "5", "1"]);
    Ok(())
}

/// Not earlier than its delay; then in the order of becoming ready, whatever the order of enqueuing.
pub async fn delayed_jobs_wait_for_their_time(subject: Subject) -> Outcome {
    let client = &subject.client;
    let delayed = |millis| JobOptions { delay: Duration::from_millis(millis), ..JobOptions::default() };
    client.put_with("never", JobOptions { delay: LONG, priority: 9, ..JobOptions::default() }).await?;
    let start = Instant::now();
    client.put_with("second", delayed(400)).await?;
    client.put_with("first", delayed(250)).await?;
    let mut seen = Vec::new();
    while seen.len() < 2 && start.elapsed() < PROMPT {
        let ids = client.take_ids(1).await?;
        // A millisecond for clocks that count in whole ones.
        let due = Duration::from_millis(if seen.is_empty() { 249 } else { 399 });
        assert!(ids.is_empty() || start.elapsed() >= due, "{ids:?} after {:?}", start.elapsed());
        seen.extend(ids);
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(seen, ["first", "second"]);
    assert_eq!(client.state("never").await?, Some(JobState::Delayed));
    Ok(())
}

/// Many claim at the same time; each job goes to one of them, with a token of its own.
pub async fn no_job_is_claimed_twice(subject: Subject) -> Outcome {
    const JOBS: usize = 300;
    let client = &subject.client;
    let jobs = (0..JOBS).map(|number| new(&number.to_string(), JobOptions::default())).collect();
    client.storage.enqueue(&client.queue, jobs).await?;
    let clients: Vec<Client> = [Some(client.clone()), subject.second()].into_iter().flatten().collect();
    let all = clients.iter().cycle().take(8).map(claim_all);
    let claimed: Vec<_> = try_join_all(all).await?.into_iter().flatten().collect();
    assert_eq!(claimed.len(), JOBS);
    assert_eq!(claimed.iter().map(|(name, _)| name).collect::<HashSet<_>>().len(), JOBS);
    assert_eq!(claimed.iter().map(|(_, token)| token).collect::<HashSet<_>>().len(), JOBS);
    Ok(())
}

/// Also of those deliveries that nobody reports the end of.
pub async fn deliveries_are_counted_at_the_claim(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_with("a", JobOptions { max_deliveries: 9, ..JobOptions::default() }).await?;
    for delivery in 1..=2 {
        assert_eq!(client.take_for(Duration::from_millis(1)).await?.delivery, delivery);
        assert_eq!(client.job("a").await?.deliveries, delivery);
        wait_out(Duration::from_millis(1)).await;
        client.reap().await?;
    }
    let job = client.take().await?;
    assert_eq!(job.delivery, 3);
    assert!(client.end(&job, retry(Duration::ZERO)).await?);
    assert_eq!(client.take().await?.delivery, 4);
    Ok(())
}

/// Ends take effect before the claim of the same step.
pub async fn one_step_finishes_and_claims(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["a", "b", "c"]).await?;
    let jobs = client.claim(2, LONG).await?;
    let ends: Vec<_> = jobs
        .iter()
        .zip([complete("done"), retry(Duration::ZERO)])
        .map(|(job, end)| Finish { id: job.id.clone(), token: job.token, end })
        .collect();
    let next = Some(Claim { max: 9, ..client.wish(1, LONG) });
    let finished = client.storage.finish(&client.queue, ends, next).await?;
    assert_eq!(finished.outcomes, [EndOutcome::Done; 2]);
    let ids: HashSet<_> = finished.claimed.iter().map(|job| job.id.clone()).collect();
    assert_eq!(ids, HashSet::from([id("b"), id("c")]));
    assert_eq!(client.state("a").await?, Some(JobState::Completed));
    Ok(())
}

/// Where nothing more is to be had, in how long a delayed job is due, or a lease.
pub async fn it_tells_when_more_is_due(subject: Subject) -> Outcome {
    let client = &subject.client;
    let next_in = async || {
        let wish = Some(client.wish(1, Duration::from_secs(40)));
        Ok::<_, StorageError>(client.storage.finish(&client.queue, Vec::new(), wish).await?.next_in)
    };
    client.put_with("later", JobOptions { delay: Duration::from_secs(90), ..JobOptions::default() }).await?;
    let is_within = |told: Option<Duration>, most: u64| {
        // Storages that can't know may keep silent.
        told.is_none_or(|told| told <= Duration::from_secs(most) && told + PROMPT > Duration::from_secs(most))
    };
    let told = next_in().await?;
    assert!(is_within(told, 90), "{told:?}");
    client.put("now").await?;
    assert_eq!(client.take_for(Duration::from_secs(40)).await?.id, id("now"));
    let told = next_in().await?;
    assert!(is_within(told, 40), "{told:?}");
    Ok(())
}

async fn claim_all(client: &Client) -> Result<Vec<(String, u64)>, StorageError> {
    let mut all = Vec::new();
    loop {
        let claimed = client.claim(7, LONG).await?;
        if claimed.is_empty() {
            return Ok(all);
        }
        all.extend(claimed.iter().map(|job| (job.id.as_str().to_owned(), job.token.0)));
        tokio::task::yield_now().await;
    }
}
