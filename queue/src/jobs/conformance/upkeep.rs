//! What time does to jobs.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;

use super::kit::{Client, LONG, Outcome, SHORT, Subject, id, late, new, queue, wait_out};
use crate::jobs::{End, Enqueued, JobOptions, JobState, Reaped};

const SOON: Duration = Duration::from_millis(1);

/// Their lease expired: they wait again, with their deliveries counted. What has a lease is left alone.
pub async fn stalled_jobs_come_again(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["a", "b"]).await?;
    client.take_for(SOON).await?;
    client.take_for(LONG).await?;
    wait_out(SOON).await;
    let reaped = client.reap().await?;
    assert_eq!(reaped, Reaped { stalled: vec![id("a")], ..Reaped::default() });
    let job = client.job("a").await?;
    assert_eq!((job.state, job.deliveries, job.lease), (JobState::Waiting, 1, None));
    assert_eq!(client.state("b").await?, Some(JobState::Active));
    assert_eq!(client.take().await?.delivery, 2);
    assert_eq!(client.reap().await?, Reaped::default());
    Ok(())
}

/// A job that kills its workers does not loop for ever.
pub async fn the_last_delivery_ends_in_the_dead_letter(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_with("a", JobOptions { max_deliveries: 2, ..JobOptions::default() }).await?;
    client.take_for(SOON).await?;
    wait_out(SOON).await;
    assert_eq!(client.reap().await?.stalled, [id("a")]);
    client.take_for(SOON).await?;
    wait_out(SOON).await;
    let reaped = client.reap().await?;
    assert_eq!((reaped.stalled, reaped.dead), (Vec::new(), vec![id("a")]));
    let job = client.job("a").await?;
    assert_eq!((job.state, job.deliveries, job.error), (JobState::Dead, 2, Some(late())));
    assert!(job.ended_at.is_some());
    assert_eq!(client.claim(9, LONG).await?, []);
    Ok(())
}

/// Any number at once: each job is taken back by one of them.
pub async fn two_reapers_share(subject: Subject) -> Outcome {
    const JOBS: usize = 100;
    let client = &subject.client;
    let jobs = (0..JOBS).map(|number| new(&number.to_string(), JobOptions::default())).collect();
    client.storage.enqueue(&client.queue, jobs).await?;
    assert_eq!(client.claim(JOBS, SHORT).await?.len(), JOBS);
    wait_out(SHORT).await;
    let clients: Vec<Client> = [Some(client.clone()), subject.second()].into_iter().flatten().collect();
    let reapers = clients.iter().cycle().take(4).map(Client::reap);
    let stalled: Vec<_> =
        try_join_all(reapers).await?.into_iter().flat_map(|reaped| reaped.stalled).collect();
    assert_eq!(stalled.len(), JOBS);
    assert_eq!(stalled.iter().collect::<HashSet<_>>().len(), JOBS);
    assert_eq!(client.storage.counts(&client.queue).await?.waiting, 100);
    Ok(())
}

/// At most so many jobs in one step, and it says whether there is more.
pub async fn steps_are_bounded(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["a", "b", "c", "d", "e"]).await?;
    client.claim(5, SOON).await?;
    wait_out(SOON).await;
    let mut stalled = HashSet::new();
    loop {
        let reaped = client.storage.reap(&client.queue, 2, late()).await?;
        assert!(reaped.stalled.len() <= 2);
        stalled.extend(reaped.stalled);
        if !reaped.more {
            break;
        }
    }
    assert_eq!(stalled.len(), 5);
    Ok(())
}

/// Ended jobs whose retention is over leave nothing behind.
pub async fn expired_jobs_are_forgotten(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["a", "b", "c"]).await?;
    for job in client.claim(2, LONG).await? {
        let end = End::Complete { output: Bytes::from("x"), retention: SHORT };
        assert!(client.end(&job, end).await?);
    }
    client.put_in_state("kept", JobState::Completed).await?;
    wait_out(SHORT).await;
    // One of them was enqueued again before upkeep came by.
    assert!(matches!(client.put("b").await?, Enqueued::New(_)));
    assert!(client.reap().await?.forgotten <= 2);
    assert_eq!(client.reap().await?.forgotten, 0);
    let counts = client.storage.counts(&client.queue).await?;
    assert_eq!((counts.completed, counts.waiting + counts.active), (1, 2));
    assert_eq!(client.get("a").await?, None);
    assert_eq!(client.state("kept").await?, Some(JobState::Completed));
    Ok(())
}

/// Others are not touched.
pub async fn only_its_queue_is_reaped(subject: Subject) -> Outcome {
    let client = &subject.client;
    let other = Client { queue: queue("other"), ..client.clone() };
    for client in [client, &other] {
        client.put("a").await?;
        client.take_for(SOON).await?;
    }
    wait_out(SOON).await;
    assert_eq!(other.reap().await?.stalled, [id("a")]);
    assert_eq!(client.state("a").await?, Some(JobState::Active));
    assert_eq!(client.reap().await?.stalled, [id("a")]);
    Ok(())
}
