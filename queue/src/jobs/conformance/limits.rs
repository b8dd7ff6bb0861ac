//! What holds for a whole queue.

use super::kit::{LONG, Outcome, Subject, complete, new, queue};
use crate::jobs::{EndOutcome, Enqueued, JobOptions, JobState, Settings, StorageError};

/// Nothing is claimed until it is resumed; all else goes on.
pub async fn a_paused_queue_gives_nothing(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let job = client.take().await?;
    let paused = Settings { paused: true, ..Settings::default() };
    client.storage.configure(&client.queue, paused).await?;
    client.put("b").await?;
    assert_eq!(client.claim(9, LONG).await?, []);
    let wish = Some(client.wish(9, LONG));
    let ends = vec![crate::jobs::Finish { id: job.id, token: job.token, end: complete("done") }];
    let finished = client.storage.finish(&client.queue, ends, wish).await?;
    assert_eq!((finished.outcomes, finished.claimed), (vec![EndOutcome::Done], Vec::new()));
    client.storage.configure(&client.queue, Settings::default()).await?;
    assert_eq!(client.take_ids(9).await?, ["b"]);
    Ok(())
}

/// At most so many are active at once, whoever claims; an end makes room.
pub async fn concurrency_holds_for_all_workers(subject: Subject) -> Outcome {
    let client = &subject.client;
    let limit = Settings { concurrency: Some(2), ..Settings::default() };
    client.storage.configure(&client.queue, limit).await?;
    client.put_new(&["a", "b", "c", "d"]).await?;
    let first = client.take().await?;
    let other = subject.second().unwrap_or_else(|| client.clone());
    assert_eq!(other.take_ids(9).await?, ["b"]);
    assert_eq!(client.claim(9, LONG).await?, []);
    assert!(client.end(&first, complete("done")).await?);
    assert_eq!(other.take_ids(9).await?, ["c"]);
    client.storage.configure(&client.queue, Settings::default()).await?;
    assert_eq!(client.take_ids(9).await?, ["d"]);
    Ok(())
}

/// Jobs that are unfinished count, ended ones and duplicates don't; a call that does not fit takes none of its.
pub async fn a_full_queue_takes_none(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_in_state("ended", JobState::Completed).await?;
    client.put_in_state("dead", JobState::Dead).await?;
    let limit = Settings { max_jobs: Some(3), ..Settings::default() };
    client.storage.configure(&client.queue, limit).await?;
    client.put_in_state("active", JobState::Active).await?;
    client.put_in_state("delayed", JobState::Delayed).await?;
    let put = async |names: &[&str]| {
        let jobs = names.iter().map(|name| new(name, JobOptions::default())).collect();
        client.storage.enqueue(&client.queue, jobs).await
    };
    let full = put(&["a", "active", "b"]).await;
    assert!(matches!(full, Err(StorageError::QueueFull { limit: 3 })), "{full:?}");
    assert_eq!(client.state("a").await?, None);
    let fits = put(&["active", "a", "a", "ended"]).await?;
    assert!(matches!(fits.as_slice(), [_, Enqueued::New(_), Enqueued::Duplicate(_), _]), "{fits:?}");
    // Full to the brim: what is there already is answered all the same.
    assert_eq!(put(&["active", "ended"]).await?.len(), 2);
    assert!(matches!(put(&["b"]).await, Err(StorageError::QueueFull { limit: 3 })));
    let job = client.take().await?;
    assert!(client.end(&job, complete("done")).await?);
    assert_eq!(put(&["b"]).await?.len(), 1);
    Ok(())
}

/// They are there for everybody, for each queue its own, also on a queue without jobs.
pub async fn settings_are_kept(subject: Subject) -> Outcome {
    let client = &subject.client;
    assert_eq!(client.storage.settings(&client.queue).await?, Settings::default());
    let set = Settings { paused: true, concurrency: Some(7), max_jobs: Some(1 << 40) };
    client.storage.configure(&client.queue, set).await?;
    assert_eq!(client.storage.settings(&client.queue).await?, set);
    let other = subject.second().unwrap_or_else(|| client.clone());
    assert_eq!(other.storage.settings(&client.queue).await?, set);
    assert_eq!(other.storage.settings(&queue("other")).await?, Settings::default());
    client.storage.configure(&client.queue, Settings::default()).await?;
    assert_eq!(other.storage.settings(&client.queue).await?, Settings::default());
    Ok(())
}
