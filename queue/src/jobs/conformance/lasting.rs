//! Storages that outlive a process, or that several processes share. Where a subject can't do one of these, its
//! case has nothing to show.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::timeout;

use super::kit::{LONG, Outcome, PROMPT, STATES, Subject, complete, id, worker};
use crate::jobs::{Enqueued, Event, JobOptions, JobState, Settings, StorageError};

/// Jobs in every state, leases, settings, roles, and the numbers given out.
pub async fn jobs_survive_a_restart(mut subject: Subject) -> Outcome {
    let settings = Settings { concurrency: Some(50), max_jobs: Some(60), paused: false };
    let client = subject.client.clone();
    client.storage.configure(&client.queue, settings).await?;
    for state in STATES {
        client.put_in_state(&format!("{state:?}"), state).await?;
    }
    client.put_with("held", JobOptions { priority: i32::MAX, ..JobOptions::default() }).await?;
    let held = client.take().await?;
    let mut before = Vec::new();
    for state in STATES {
        before.push(client.job(&format!("{state:?}")).await?);
    }
    let counts = client.storage.counts(&client.queue).await?;
    if !subject.restart().await? {
        return Ok(());
    }
    let client = &subject.client;
    for job in before {
        assert_eq!(client.get(job.id.as_str()).await?, Some(job));
    }
    assert_eq!(client.storage.counts(&client.queue).await?, counts);
    assert_eq!(client.storage.settings(&client.queue).await?, settings);
    // The lease was of a worker, not of a connection.
    assert!(client.end(&held, complete("done")).await?);
    assert!(matches!(client.put("Completed").await?, Enqueued::Duplicate(JobState::Completed)));
    assert!(client.take().await?.token > held.token);
    Ok(())
}

/// What one process did, another sees at once, and goes on with.
pub async fn handles_share_one_truth(subject: Subject) -> Outcome {
    let Some(second) = subject.second() else { return Ok(()) };
    let first = &subject.client;
    first.put("a").await?;
    assert!(matches!(second.put("a").await?, Enqueued::Duplicate(JobState::Waiting)));
    let job = second.take().await?;
    assert_eq!(first.job("a").await?.lease.map(|(holder, _)| holder), Some(worker("second")));
    assert_eq!(first.claim(1, LONG).await?, []);
    assert!(second.end(&job, complete("done")).await?);
    assert_eq!(first.job("a").await?.output, Some(Bytes::from("done")));
    assert!(first.storage.remove(&first.queue, &id("a")).await?);
    assert_eq!(second.get("a").await?, None);
    Ok(())
}

/// A worker that waits in another process is woken, and watchers there are told.
pub async fn other_processes_wake_and_tell(subject: Subject) -> Outcome {
    let Some(second) = subject.second() else { return Ok(()) };
    let first = &subject.client;
    let mut events = second.storage.events(&second.queue).await?;
    let worker = async {
        loop {
            second.storage.wait_for_work(&second.queue, Duration::from_secs(60)).await?;
            if let Some(job) = second.claim(1, LONG).await?.pop() {
                return Ok::<_, StorageError>(job);
            }
        }
    };
    let enqueue = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        first.put("a").await
    };
    let (job, enqueued) = tokio::join!(timeout(PROMPT, worker), enqueue);
    enqueued?;
    assert!(matches!(&job, Ok(Ok(job)) if job.id == id("a")), "{job:?}");
    // Hints may be lost, but not all of them while nothing is wrong.
    let told = timeout(PROMPT, events.next()).await;
    assert!(matches!(&told, Ok(Some(Event::Enqueued(_) | Event::Started(_)))), "{told:?}");
    Ok(())
}

/// Calls fail with [`StorageError::Closed`], waits and streams end.
pub async fn a_closed_storage_says_so(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    client.take().await?;
    let events = client.storage.events(&client.queue).await?;
    let wait = client.storage.wait_for_work(&client.queue, Duration::from_secs(60));
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.storage.close().await
    };
    let (waited, closed) = tokio::join!(timeout(PROMPT, wait), close);
    closed?;
    assert!(waited.is_ok(), "a wait outlived the storage");
    assert!(matches!(client.put("b").await, Err(StorageError::Closed)));
    assert!(matches!(client.get("a").await, Err(StorageError::Closed)));
    assert!(matches!(client.claim(1, LONG).await, Err(StorageError::Closed)));
    let rest = timeout(PROMPT, events.collect::<Vec<_>>()).await;
    assert!(rest.is_ok(), "a stream outlived the storage");
    client.storage.close().await?;
    Ok(())
}
