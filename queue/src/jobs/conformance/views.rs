//! What people see of a queue.

use std::sync::Arc;
use std::time::Duration;

use super::kit::{Client, LONG, Outcome, SHORT, STATES, Subject, complete, dead, id, new, queue, wait_out};
use crate::jobs::{Counts, Generation, Job, JobOptions, JobState, Queue, Settings, StorageError};

/// Page by page, each job once, in the order in which they were enqueued, each as it stands.
pub async fn pages_cover_all_in_order(subject: Subject) -> Outcome {
    let client = &subject.client;
    for state in STATES {
        for number in 0..7 {
            client.put_in_state(&format!("{state:?} {number}"), state).await?;
        }
    }
    for state in STATES {
        let jobs = all_pages(client, state, 3).await?;
        let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str().to_owned()).collect();
        let expected: Vec<_> = (0..7).map(|number| format!("{state:?} {number}")).collect();
        assert_eq!(ids, expected);
        assert!(jobs.iter().all(|job| job.state == state));
        for job in jobs {
            assert_eq!(client.get(job.id.as_str()).await?, Some(job));
        }
        assert_eq!(client.storage.list(&client.queue, state, None, 7).await?.len(), 7);
    }
    Ok(())
}

/// What a page ended with may be gone when the next is asked for: it goes on there.
pub async fn pages_go_on_after_a_removed_job(subject: Subject) -> Outcome {
    let client = &subject.client;
    for number in 0..6 {
        client.put_in_state(&number.to_string(), JobState::Dead).await?;
    }
    let page = client.storage.list(&client.queue, JobState::Dead, None, 3).await?;
    let last = page.last().map(|job| job.generation);
    assert!(client.storage.retry(&client.queue, &id("1")).await?);
    assert!(client.storage.remove(&client.queue, &id("2")).await?);
    let page = client.storage.list(&client.queue, JobState::Dead, last, 9).await?;
    assert_eq!(page.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["3", "4", "5"]);
    Ok(())
}

/// Those whose delay is over, also where nothing is claimed that would have made them ready.
pub async fn due_jobs_are_seen_as_waiting(subject: Subject) -> Outcome {
    let client = &subject.client;
    let paused = Settings { paused: true, ..Settings::default() };
    client.storage.configure(&client.queue, paused).await?;
    for (name, delay) in
        [("a", Duration::ZERO), ("b", SHORT), ("c", LONG), ("d", SHORT), ("e", Duration::ZERO)]
    {
        client.put_with(name, JobOptions { delay, ..JobOptions::default() }).await?;
    }
    wait_out(SHORT).await;
    for (state, expected) in [(JobState::Waiting, &["a", "b", "d", "e"][..]), (JobState::Delayed, &["c"][..])]
    {
        let jobs = all_pages(client, state, 3).await?;
        assert_eq!(jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), expected);
        for job in jobs {
            assert_eq!(job.state, state);
            assert_eq!(client.get(job.id.as_str()).await?, Some(job));
        }
    }
    let counts = client.storage.counts(&client.queue).await?;
    assert_eq!(counts, Counts { waiting: 4, delayed: 1, ..Counts::default() });
    Ok(())
}

/// Each state by itself, after each step.
pub async fn counts_follow_the_jobs(subject: Subject) -> Outcome {
    let client = &subject.client;
    let jobs = (0..5).map(|number| new(&number.to_string(), JobOptions::default())).collect();
    client.storage.enqueue(&client.queue, jobs).await?;
    client.put_in_state("later", JobState::Delayed).await?;
    let counts = async || client.storage.counts(&client.queue).await;
    assert_eq!(counts().await?, Counts { waiting: 5, delayed: 1, ..Counts::default() });
    let claimed = client.claim(3, LONG).await?;
    assert_eq!(counts().await?, Counts { waiting: 2, delayed: 1, active: 3, ..Counts::default() });
    let ends = claimed.iter().zip([complete("done"), complete("done"), dead("why")]).collect();
    client.finish(ends).await?;
    let ended = Counts { waiting: 2, delayed: 1, active: 0, completed: 2, dead: 1 };
    assert_eq!(counts().await?, ended);
    client.storage.remove(&client.queue, &id("0")).await?;
    client.storage.retry(&client.queue, &id("2")).await?;
    client.storage.cancel(&client.queue, &id("later")).await?;
    assert_eq!(counts().await?, Counts { waiting: 3, completed: 1, ..Counts::default() });
    Ok(())
}

/// Those that hold a job or a setting.
pub async fn queues_are_listed(subject: Subject) -> Outcome {
    let client = &subject.client;
    assert_eq!(client.storage.queues().await?, []);
    let with = |name: &str| Client { queue: queue(name), ..client.clone() };
    for name in ["a", "a:b", "b/../c", "{d}"] {
        with(name).put("job").await?;
    }
    let paused = Settings { paused: true, ..Settings::default() };
    client.storage.configure(&queue("empty but set"), paused).await?;
    let mut names: Vec<_> = client.storage.queues().await?;
    names.sort();
    assert_eq!(names, ["a", "a:b", "b/../c", "empty but set", "{d}"].map(queue));
    Ok(())
}

/// A name under which nothing is stored is an error for who only looks.
pub async fn unknown_queues_are_told_apart(subject: Subject) -> Outcome {
    let client = &subject.client;
    let open = |name: &str| Queue::<u64, u64>::builder(Arc::clone(&client.storage), name).build_known();
    let error = open("mail").await.err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("no queue \"mail\" in this storage; it has none"));
    Client { queue: queue("mail"), ..client.clone() }.put("job").await?;
    assert!(open("mail").await.is_ok());
    let error = open("nail").await.err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("no queue \"nail\" in this storage; it has mail"));
    Ok(())
}

/// Asking makes nothing.
pub async fn unknown_queues_and_jobs_are_empty(subject: Subject) -> Outcome {
    let client = &subject.client;
    assert_eq!(client.get("a").await?, None);
    assert_eq!(client.claim(9, LONG).await?, []);
    assert_eq!(client.reap().await?, crate::jobs::Reaped::default());
    assert_eq!(client.storage.counts(&client.queue).await?, Counts::default());
    assert_eq!(client.storage.settings(&client.queue).await?, Settings::default());
    for state in STATES {
        assert_eq!(client.storage.list(&client.queue, state, Some(Generation(3)), 9).await?, []);
    }
    assert_eq!(client.storage.queues().await?, []);
    Ok(())
}

async fn all_pages(client: &Client, state: JobState, size: usize) -> Result<Vec<Job>, StorageError> {
    let mut jobs: Vec<Job> = Vec::new();
    loop {
        let after = jobs.last().map(|job| job.generation);
        let page = client.storage.list(&client.queue, state, after, size).await?;
        assert!(page.len() <= size);
        if page.is_empty() {
            return Ok(jobs);
        }
        jobs.extend(page);
    }
}
