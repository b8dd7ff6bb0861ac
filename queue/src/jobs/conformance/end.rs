//! How deliveries end, and what becomes of jobs that have ended.

use std::time::Duration;

use bytes::Bytes;

use super::kit::{LONG, Outcome, SHORT, STATES, Subject, complete, dead, id, retry, wait_out};
use crate::jobs::{End, EndOutcome, Enqueued, JobOptions, JobState};

/// Output, time of end and time of expiry are there; the job is not delivered any more.
pub async fn completed_jobs_keep_their_output(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let claimed = client.take().await?;
    let end = End::Complete { output: Bytes::from("done"), retention: Duration::from_secs(77) };
    assert!(client.end(&claimed, end).await?);
    let job = client.job("a").await?;
    assert_eq!((job.state, job.output), (JobState::Completed, Some(Bytes::from("done"))));
    assert_eq!(job.lease, None);
    let ended_at = job.ended_at.unwrap_or_default();
    assert!(ended_at >= job.created_at);
    assert_eq!(job.expires_at, Some(ended_at.after(Duration::from_secs(77))));
    assert_eq!(client.claim(9, LONG).await?, []);
    Ok(())
}

/// After their delay, with the error of the last attempt.
pub async fn retried_jobs_come_again_later(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let claimed = client.take().await?;
    assert!(client.end(&claimed, retry(SHORT)).await?);
    let job = client.job("a").await?;
    assert_eq!((job.state, job.error), (JobState::Delayed, Some(Bytes::from("failed"))));
    assert_eq!(client.claim(9, LONG).await?, []);
    wait_out(SHORT).await;
    assert_eq!(client.take().await?.delivery, 2);
    Ok(())
}

/// No retention ends them, and their error says why.
pub async fn dead_jobs_stay_until_asked_for(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_with("a", JobOptions { retention: SHORT, ..JobOptions::default() }).await?;
    let claimed = client.take().await?;
    assert!(client.end(&claimed, dead("why")).await?);
    wait_out(SHORT).await;
    assert_eq!(client.reap().await?.forgotten, 0);
    let job = client.job("a").await?;
    assert_eq!((job.state, job.error), (JobState::Dead, Some(Bytes::from("why"))));
    assert_eq!((job.expires_at, job.ended_at.is_some()), (None, true));
    assert_eq!(client.claim(9, LONG).await?, []);
    for state in STATES {
        let name = format!("{state:?}");
        client.put_in_state(&name, state).await?;
        let is_dead = state == JobState::Dead;
        assert_eq!(client.storage.retry(&client.queue, &id(&name)).await?, is_dead, "{state:?}");
        let expected = if is_dead { JobState::Waiting } else { state };
        assert_eq!(client.state(&name).await?, Some(expected));
    }
    assert!(!client.storage.retry(&client.queue, &id("unknown")).await?);
    assert!(client.storage.retry(&client.queue, &id("a")).await?);
    let job = client.job("a").await?;
    assert_eq!((job.state, job.deliveries, job.ended_at), (JobState::Waiting, 0, None));
    Ok(())
}

/// Handed back is as if never claimed, and next.
pub async fn released_jobs_come_first_and_uncounted(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["a", "b", "c"]).await?;
    client.put_with("urgent", JobOptions { priority: 1, ..JobOptions::default() }).await?;
    let claimed = client.claim(3, LONG).await?;
    let [urgent, a, b] = claimed.as_slice() else { return wrong("three jobs were wanted") };
    let ends = vec![(b, End::Release), (a, End::Release), (urgent, complete("done"))];
    assert_eq!(client.finish(ends).await?.outcomes, [EndOutcome::Done; 3]);
    let job = client.job("a").await?;
    assert_eq!((job.state, job.deliveries, job.error), (JobState::Waiting, 0, None));
    client.put("d").await?;
    let again = client.claim(9, LONG).await?;
    let ids: Vec<_> = again.iter().map(|job| job.id.as_str()).collect();
    // Both before all that were behind them; in which order between themselves does not matter.
    assert!(matches!(ids.as_slice(), ["a" | "b", "a" | "b", "c", "d"]), "{ids:?}");
    assert!(again.iter().all(|job| job.delivery == 1));
    Ok(())
}

/// The worker ended it because it was wanted.
pub async fn a_wanted_end_frees_the_id(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let claimed = client.take().await?;
    assert!(client.end(&claimed, End::Cancelled).await?);
    assert_eq!(client.get("a").await?, None);
    assert!(matches!(client.put("a").await?, Enqueued::New(_)));
    Ok(())
}

/// All kinds in one call, with a lost lease between them.
pub async fn each_end_is_for_itself(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["lost", "completed", "retried", "dead", "released", "cancelled"]).await?;
    let jobs = client.claim(9, LONG).await?;
    let ends = [complete("x"), complete("done"), retry(LONG), dead("why"), End::Release, End::Cancelled];
    if let Some(lost) = jobs.first() {
        assert!(client.end(lost, End::Cancelled).await?);
    }
    let outcomes = client.finish(jobs.iter().zip(ends).collect()).await?.outcomes;
    assert_eq!(outcomes.first(), Some(&EndOutcome::Lost));
    assert_eq!(outcomes.get(1..), Some([EndOutcome::Done; 5].as_slice()));
    let counts = client.storage.counts(&client.queue).await?;
    let by_state = [counts.waiting, counts.delayed, counts.active, counts.completed, counts.dead];
    assert_eq!(by_state, [1, 1, 0, 1, 1]);
    Ok(())
}

/// Then the job is as good as gone and its id free, also before upkeep removed it.
pub async fn retention_ends(subject: Subject) -> Outcome {
    let client = &subject.client;
    for retention in [Duration::ZERO, SHORT] {
        client.put("a").await?;
        let claimed = client.take().await?;
        assert!(client.end(&claimed, End::Complete { output: Bytes::new(), retention }).await?);
        wait_out(retention).await;
        assert_eq!(client.get("a").await?, None);
        assert_eq!(client.storage.list(&client.queue, JobState::Completed, None, 9).await?, []);
        assert!(!client.storage.remove(&client.queue, &id("a")).await?);
        assert!(!client.storage.set_retention(&client.queue, &id("a"), LONG).await?);
    }
    assert!(matches!(client.put("a").await?, Enqueued::New(_)));
    let job = client.job("a").await?;
    assert_eq!((job.state, job.deliveries, job.output), (JobState::Waiting, 0, None));
    Ok(())
}

/// Longer or shorter, from now; also for dead ones, which then are forgotten.
pub async fn retention_can_be_changed(subject: Subject) -> Outcome {
    let client = &subject.client;
    for state in STATES {
        let name = format!("{state:?}");
        client.put_in_state(&name, state).await?;
        let is_set = client.storage.set_retention(&client.queue, &id(&name), SHORT).await?;
        assert_eq!(is_set, state.is_ended(), "{state:?}");
    }
    client.put_in_state("longer", JobState::Completed).await?;
    for retention in [SHORT, LONG] {
        assert!(client.storage.set_retention(&client.queue, &id("longer"), retention).await?);
    }
    assert_eq!(client.job("longer").await?.options.retention, LONG);
    wait_out(SHORT).await;
    client.reap().await?;
    for state in STATES {
        let left = client.state(&format!("{state:?}")).await?;
        assert_eq!(left, (!state.is_ended()).then_some(state));
    }
    assert_eq!(client.state("longer").await?, Some(JobState::Completed));
    assert!(!client.storage.set_retention(&client.queue, &id("unknown"), LONG).await?);
    Ok(())
}

/// Only ended jobs can be removed.
pub async fn removed_ids_are_free(subject: Subject) -> Outcome {
    let client = &subject.client;
    for state in STATES {
        let name = format!("{state:?}");
        client.put_in_state(&name, state).await?;
        let is_removed = client.storage.remove(&client.queue, &id(&name)).await?;
        assert_eq!(is_removed, state.is_ended(), "{state:?}");
        assert_eq!(client.state(&name).await?, (!is_removed).then_some(state));
        assert_eq!(matches!(client.put(&name).await?, Enqueued::New(_)), is_removed);
    }
    assert!(!client.storage.remove(&client.queue, &id("unknown")).await?);
    Ok(())
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn wrong(what: &str) -> Outcome {
    panic!("{what}")
}
