//! Hints: workers that wait are woken without delay, and watchers told what happens.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{Either, join_all, select};
use tokio::time::{Instant, sleep, timeout};

use super::kit::{
    Client, LONG, Outcome, PROMPT, SHORT, Subject, complete, dead, id, late, queue, retry, wait_out,
};
use crate::jobs::{End, Event, JobOptions, JobState, Settings, StorageError};

/// Longer than any prompt answer.
const VERY_LONG: Duration = Duration::from_secs(60);

/// A new job wakes a worker that waits.
pub async fn an_enqueue_wakes(subject: Subject) -> Outcome {
    let client = &subject.client;
    wakes(client, async || client.put("a").await.map(|_| ())).await
}

/// A delayed job wakes it when its time has come, also if the worker waited before it was enqueued.
pub async fn a_due_job_wakes(subject: Subject) -> Outcome {
    let client = &subject.client;
    let delayed = JobOptions { delay: Duration::from_millis(400), ..JobOptions::default() };
    client.put_with("a", delayed.clone()).await?;
    comes_in_time(client, "a").await?;
    let later = async {
        sleep(SHORT).await;
        client.put_with("b", delayed).await
    };
    let (_, came) = tokio::join!(later, comes_in_time(client, "b"));
    came
}

/// It returns at once while there is something to claim.
pub async fn there_is_no_wait_while_there_is_work(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put_new(&["a", "b"]).await?;
    for _ in 0..2 {
        let start = Instant::now();
        client.storage.wait_for_work(&client.queue, VERY_LONG).await?;
        assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
        client.take().await?;
    }
    Ok(())
}

/// Without news, when the time is over.
pub async fn waits_end(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    client.take().await?;
    let start = Instant::now();
    while start.elapsed() < SHORT {
        // It may return for nothing before.
        client.storage.wait_for_work(&client.queue, SHORT.saturating_sub(start.elapsed())).await?;
    }
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    Ok(())
}

/// A queue that was paused goes on.
pub async fn a_resume_wakes(subject: Subject) -> Outcome {
    let client = &subject.client;
    let paused = Settings { paused: true, ..Settings::default() };
    client.storage.configure(&client.queue, paused).await?;
    client.put("a").await?;
    wakes(client, async || client.storage.configure(&client.queue, Settings::default()).await).await
}

/// A job was handed back.
pub async fn a_released_job_wakes(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let job = client.take().await?;
    wakes(client, async || client.end(&job, End::Release).await.map(|_| ())).await
}

/// An attempt failed, and the job is ready again.
pub async fn a_retry_wakes(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    let job = client.take().await?;
    wakes(client, async || client.end(&job, retry(SHORT)).await.map(|_| ())).await
}

/// A worker died, and upkeep took its job back.
pub async fn a_stalled_job_wakes(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("a").await?;
    client.take_for(Duration::from_millis(1)).await?;
    wait_out(Duration::from_millis(1)).await;
    wakes(client, async || client.reap().await.map(|_| ())).await
}

/// A job ended in a queue that had as many active as it may.
pub async fn freed_room_wakes(subject: Subject) -> Outcome {
    let client = &subject.client;
    let limit = Settings { concurrency: Some(1), ..Settings::default() };
    client.storage.configure(&client.queue, limit).await?;
    client.put_new(&["a", "b"]).await?;
    let job = client.take().await?;
    wakes(client, async || client.end(&job, complete("done")).await.map(|_| ())).await
}

/// Any number of workers wait for jobs of other queues: that delays nobody.
pub async fn idle_queues_hold_nobody_up(subject: Subject) -> Outcome {
    let client = &subject.client;
    let idle: Vec<_> = (0..20).map(|number| queue(&format!("idle {number}"))).collect();
    let waits = join_all(idle.iter().map(|queue| client.storage.wait_for_work(queue, VERY_LONG)));
    let work = async {
        sleep(SHORT).await;
        let start = Instant::now();
        wakes(client, async || client.put("a").await.map(|_| ())).await?;
        let job = client.job("a").await?;
        assert_eq!(job.state, JobState::Active);
        assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
        Ok(())
    };
    match select(pin!(waits), pin!(work)).await {
        // Waits may all return for nothing.
        Either::Left((_, work)) => work.await,
        Either::Right((done, _)) => done,
    }
}

/// Everything that happens to a job, in order.
pub async fn events_tell_what_happened(subject: Subject) -> Outcome {
    let client = &subject.client;
    let mut events = client.storage.events(&client.queue).await?;
    everything(client).await?;
    let mut told = Vec::new();
    while told.last() != Some(&Event::Completed(id("last"))) {
        match timeout(PROMPT, events.next()).await {
            Ok(Some(event)) => told.push(event),
            other => return nothing_told(&told, other.is_ok()),
        }
    }
    let of = |name: &str| -> Vec<Event> {
        told.iter().filter(|event| event.job() == Some(&id(name))).cloned().collect()
    };
    let named = |events: &[fn(crate::jobs::JobId) -> Event], name: &str| -> Vec<Event> {
        events.iter().map(|event| event(id(name))).collect()
    };
    let retried = [Event::Enqueued, Event::Started, Event::Retrying, Event::Started, Event::Dead];
    assert_eq!(of("retried"), named(&retried, "retried"));
    let stalled = [Event::Enqueued, Event::Started, Event::Stalled, Event::Cancelled];
    assert_eq!(of("stalled"), named(&stalled, "stalled"));
    assert_eq!(of("last"), named(&[Event::Enqueued, Event::Started, Event::Completed], "last"));
    let of_the_queue: Vec<_> = told.iter().filter(|event| event.job().is_none()).collect();
    assert_eq!(of_the_queue, [&Event::Paused, &Event::Resumed]);
    Ok(())
}

/// Each stream has its own queue.
pub async fn events_are_of_one_queue(subject: Subject) -> Outcome {
    let client = &subject.client;
    let other = Client { queue: queue("other"), ..client.clone() };
    let mut events = client.storage.events(&client.queue).await?;
    other.put("elsewhere").await?;
    client.put("here").await?;
    let first = timeout(PROMPT, events.next()).await;
    assert_eq!(first, Ok(Some(Event::Enqueued(id("here")))));
    Ok(())
}

async fn everything(client: &Client) -> Outcome {
    client.put("retried").await?;
    let job = client.take().await?;
    assert!(client.end(&job, retry(Duration::ZERO)).await?);
    let job = client.take().await?;
    assert!(client.end(&job, dead("why")).await?);
    client.put("stalled").await?;
    client.take_for(Duration::from_millis(1)).await?;
    wait_out(Duration::from_millis(1)).await;
    assert_eq!(client.storage.reap(&client.queue, 9, late()).await?.stalled, [id("stalled")]);
    client.storage.cancel(&client.queue, &id("stalled")).await?;
    let paused = Settings { paused: true, ..Settings::default() };
    client.storage.configure(&client.queue, paused).await?;
    client.storage.configure(&client.queue, Settings::default()).await?;
    client.put("last").await?;
    let job = client.take().await?;
    assert!(client.end(&job, complete("done")).await?);
    Ok(())
}

/// That a worker that waits gets a job soon after something was done that makes one claimable.
async fn wakes<F: Future<Output = Outcome>>(client: &Client, act: impl FnOnce() -> F) -> Outcome {
    let worker = async {
        loop {
            client.storage.wait_for_work(&client.queue, VERY_LONG).await?;
            if !client.claim(1, LONG).await?.is_empty() {
                return Ok::<_, StorageError>(Instant::now());
            }
        }
    };
    let actor = async {
        sleep(SHORT).await;
        act().await?;
        Ok::<_, StorageError>(Instant::now())
    };
    let (woken, acted) = tokio::join!(timeout(VERY_LONG / 2, worker), actor);
    let (acted, woken) = (acted?, woken.unwrap_or_else(|_| Ok(Instant::now() + VERY_LONG))?);
    let took = woken.saturating_duration_since(acted);
    assert!(took < PROMPT, "it took {took:?}");
    Ok(())
}

/// That a job that is delayed for 400 ms is waited for and not polled for.
async fn comes_in_time(client: &Client, name: &str) -> Outcome {
    let start = Instant::now();
    let mut waits = 0;
    while client.claim(1, LONG).await?.is_empty() {
        client.storage.wait_for_work(&client.queue, VERY_LONG).await?;
        waits += 1;
        assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    }
    assert_eq!(client.state(name).await?, Some(JobState::Active));
    // Once for the enqueue, once when it is due, and some for nothing.
    assert!(waits <= 20, "waited {waits} times");
    Ok(())
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn nothing_told(told: &[Event], has_ended: bool) -> Outcome {
    panic!("the stream ended ({has_ended}) or fell silent after {told:?}")
}
