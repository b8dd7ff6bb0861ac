//! A process that is paused beyond its lease changes nothing any more.
#![cfg(test)]
#![cfg(feature = "redis")]

mod support {
    #[expect(dead_code, reason = "other tests kill their children")]
    pub(crate) mod children;
    #[expect(dead_code, reason = "the tests of the storage use more of it")]
    pub(crate) mod redis;
}

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use lockstep_queue::jobs::{
    Claim, Claimed, End, EndOutcome, Finish, JobId, JobOptions, JobState, NewJob, QueueName, RedisOptions,
    RedisStorage, Storage, WorkerId,
};
use support::children::{Process, say};
use support::redis::{Flavour, Server};

/// Tells the child where the server is.
const SERVER: &str = "LOCKSTEP_PAUSED_REDIS";
/// Between two looks at what the other process does.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_process_changes_nothing_any_more() {
    let server = Server::start(Flavour::Redis, &[]);
    let storage = open(&server.url()).await;
    storage.enqueue(&queue(), vec![job(0)]).await.unwrap();
    let (mut process, mut voice) = Process::start("child", &[(SERVER, &server.url())]);
    let pid = voice.next().unwrap().id;
    signal("STOP", &pid);
    let claimed = loop {
        storage.reap(&queue(), 10, Bytes::new()).await.unwrap();
        if let Some(claimed) = claim(&storage, "rival", Duration::from_secs(10)).await {
            break claimed;
        }
        tokio::time::sleep(PAUSE).await;
    };
    assert_eq!(claimed.delivery, 2);
    let end = End::Complete { output: Bytes::new(), retention: Duration::from_secs(3_600) };
    let end = Finish { id: claimed.id.clone(), token: claimed.token, end };
    assert_eq!(storage.finish(&queue(), vec![end], None).await.unwrap().outcomes, [EndOutcome::Done]);
    storage.enqueue(&queue(), vec![job(1)]).await.unwrap();
    signal("CONT", &pid);
    let said = voice.next().unwrap();
    assert_eq!((said.what.as_str(), said.id.as_str()), ("run", "false"), "its end comes too late");
    assert!(process.ended_well());
    let job = storage.get(&queue(), &claimed.id).await.unwrap().unwrap();
    assert_eq!((job.state, job.deliveries, job.error), (JobState::Completed, 2, None));
}

/// Claims a job for a moment, and fails it once another job is there; nothing if it was not started for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(url) = std::env::var(SERVER) else { return };
    let storage = open(&url).await;
    let claimed = claim(&storage, "late", Duration::from_millis(100)).await.unwrap();
    say("+", &std::process::id().to_string());
    while storage.get(&queue(), &job(1).id).await.unwrap().is_none() {
        tokio::time::sleep(PAUSE).await;
    }
    let end = End::Retry { delay: Duration::ZERO, error: Bytes::from_static(b"late") };
    let end = Finish { id: claimed.id, token: claimed.token, end };
    let finished = storage.finish(&queue(), vec![end], None).await.unwrap();
    say("run", &(finished.outcomes[0] == EndOutcome::Done).to_string());
}

async fn claim(storage: &RedisStorage, worker: &str, lease: Duration) -> Option<Claimed> {
    let claim = Claim { worker: WorkerId::new(worker).unwrap(), max: 1, lease };
    storage.finish(&queue(), vec![], Some(claim)).await.unwrap().claimed.pop()
}

async fn open(url: &str) -> RedisStorage {
    RedisStorage::connect(RedisOptions::new(url)).await.unwrap()
}

fn queue() -> QueueName {
    QueueName::new("paused").unwrap()
}

fn job(number: usize) -> NewJob {
    let id = JobId::new(number.to_string()).unwrap();
    NewJob { id, payload: Bytes::new(), options: JobOptions::default() }
}

fn signal(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), pid]).status().unwrap().success());
}
