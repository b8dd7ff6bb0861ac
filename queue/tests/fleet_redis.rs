//! Ten workers in three processes on Redis and on Valkey, two reapers, and one process killed in the middle: each of
//! many jobs is completed once. And a process that is paused beyond its lease, which changes nothing any more.
#![cfg(test)]
#![cfg(feature = "redis")]

mod support {
    pub(crate) mod children;
    #[expect(dead_code, reason = "the tests of the storage use more of it")]
    pub(crate) mod redis;
}

use std::collections::HashSet;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use lockstep_queue::jobs::{
    Claim, Claimed, Counts, End, Finish, Finished, JobId, JobOptions, JobState, NewJob, QueueName,
    RedisOptions, RedisStorage, Storage, WorkerId,
};
use support::children::{Process, Said, say};
use support::redis::{Flavour, Server};

/// Tells a child where the server is, and how many workers it is; 0: it works on one job when it is told to.
const SERVER: &str = "LOCKSTEP_FLEET_REDIS";
const WORKERS: &str = "LOCKSTEP_FLEET_REDIS_WORKERS";

const JOBS: usize = 20_000;
const AT_ONCE: usize = 500;
/// Workers in each process; the last one is killed.
const FLEET: [usize; 3] = [4, 3, 3];
/// How many jobs one worker has at once.
const IN_HAND: usize = 5;
/// Long enough not to expire while its worker lives, on a busy machine.
const LEASE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis() {
    each_job_is_completed_once(Flavour::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_valkey() {
    each_job_is_completed_once(Flavour::Valkey).await;
}

async fn each_job_is_completed_once(flavour: Flavour) {
    let server = Server::start(flavour, &[]);
    let storage = open(&server.url()).await;
    for first in (0..JOBS).step_by(AT_ONCE) {
        storage.enqueue(&queue(), (first..first + AT_ONCE).map(job).collect()).await.unwrap();
    }
    let url = server.url();
    let completed = tokio::task::spawn_blocking(move || run_fleet(&url)).await.unwrap();
    let counts = storage.counts(&queue()).await.unwrap();
    let all = u64::try_from(JOBS).unwrap();
    assert_eq!(counts, Counts { completed: all, ..Counts::default() });
    let untold = JOBS - completed.len();
    assert!(
        untold <= FLEET[2] * IN_HAND,
        "{untold} completions were never told, more than the killed one had"
    );
}

/// Runs all processes until the jobs are done. The ids whose completion was acknowledged.
fn run_fleet(url: &str) -> HashSet<String> {
    let (told, hear) = mpsc::channel();
    let start = |workers: usize| {
        let (process, voice) = Process::start("child", &[(SERVER, url), (WORKERS, &workers.to_string())]);
        let told = told.clone();
        (process, thread::spawn(move || voice.for_each(|said| told.send(said).unwrap())))
    };
    let (mut processes, threads): (Vec<_>, Vec<_>) = FLEET.map(start).into_iter().unzip();
    let mut victim = processes.pop().unwrap();
    drop(told);
    let completed = listen(&hear, &mut victim);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(processes.iter_mut().all(Process::ended_well));
    assert!(!victim.ended_well(), "it was killed");
    completed
}

/// Kills one process in the middle.
fn listen(hear: &mpsc::Receiver<Said>, victim: &mut Process) -> HashSet<String> {
    let mut completed = HashSet::new();
    for said in hear {
        assert_eq!(said.what, "-");
        assert!(completed.insert(said.id.clone()), "{} was completed twice", said.id);
        if completed.len() == JOBS / 2 {
            victim.kill();
        }
    }
    completed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_process_changes_nothing_any_more() {
    let server = Server::start(Flavour::Redis, &[]);
    let storage = open(&server.url()).await;
    storage.enqueue(&queue(), vec![job(0)]).await.unwrap();
    let (mut process, mut voice) = Process::start("child", &[(SERVER, &server.url()), (WORKERS, "0")]);
    let pid = voice.next().unwrap().id;
    signal("STOP", &pid);
    let claimed = loop {
        storage.reap(&queue(), 10, Bytes::new()).await.unwrap();
        let finished = claim(&storage, vec![], "rival").await;
        if let Some(claimed) = finished.claimed.into_iter().next() {
            break claimed;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(claimed.delivery, 2);
    assert_eq!(storage.finish(&queue(), vec![complete(&claimed)], None).await.unwrap().outcomes, [true]);
    storage.enqueue(&queue(), vec![job(1)]).await.unwrap();
    signal("CONT", &pid);
    let said = voice.next().unwrap();
    assert_eq!((said.what.as_str(), said.id.as_str()), ("run", "false"), "its end comes too late");
    assert!(process.ended_well());
    let job = storage.get(&queue(), &claimed.id).await.unwrap().unwrap();
    assert_eq!((job.state, job.deliveries, job.error), (JobState::Completed, 2, None));
}

/// One process of the fleet; nothing if it was not started for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(url), Ok(workers)) = (std::env::var(SERVER), std::env::var(WORKERS)) else { return };
    let storage = open(&url).await;
    let workers: usize = workers.parse().unwrap();
    if workers == 0 {
        return late(&storage).await;
    }
    let workers = futures::future::join_all((0..workers).map(|number| work(&storage, number)));
    tokio::select! {
        _ = workers => {}
        () = reap(&storage) => {}
    }
    storage.close().await.unwrap();
}

/// Claims a job for a moment, and fails it once another job is there.
async fn late(storage: &RedisStorage) {
    let worker = WorkerId::new("late").unwrap();
    let next = Some(Claim { worker, max: 1, lease: Duration::from_millis(100) });
    let claimed = storage.finish(&queue(), vec![], next).await.unwrap().claimed.remove(0);
    say("+", &std::process::id().to_string());
    while storage.get(&queue(), &job(1).id).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let end = End::Retry { delay: Duration::ZERO, error: Bytes::from_static(b"late") };
    let end = Finish { id: claimed.id, token: claimed.token, end };
    let finished = storage.finish(&queue(), vec![end], None).await.unwrap();
    say("run", &finished.outcomes[0].to_string());
}

/// Works until all is done.
async fn work(storage: &RedisStorage, number: usize) {
    let worker = format!("{}-{number}", std::process::id());
    let (mut done, mut ends): (Vec<Claimed>, Vec<Finish>) = (Vec::new(), Vec::new());
    loop {
        let finished = claim(storage, ends, &worker).await;
        let ended = done.iter().zip(&finished.outcomes).filter(|(_, ended)| **ended);
        ended.for_each(|(job, _)| say("-", job.id.as_str()));
        if finished.claimed.is_empty() {
            let counts = storage.counts(&queue()).await.unwrap();
            if counts.waiting + counts.active == 0 {
                return;
            }
            storage.wait_for_work(&queue(), Duration::from_millis(500)).await.unwrap();
        }
        done = finished.claimed;
        ends = done.iter().map(complete).collect();
    }
}

async fn claim(storage: &RedisStorage, ends: Vec<Finish>, worker: &str) -> Finished {
    let claim = Claim { worker: WorkerId::new(worker).unwrap(), max: IN_HAND, lease: LEASE };
    storage.finish(&queue(), ends, Some(claim)).await.unwrap()
}

async fn reap(storage: &RedisStorage) {
    loop {
        storage.reap(&queue(), 100, Bytes::from_static(b"gone")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn open(url: &str) -> RedisStorage {
    RedisStorage::connect(RedisOptions::new(url)).await.unwrap()
}

fn queue() -> QueueName {
    QueueName::new("fleet").unwrap()
}

fn job(number: usize) -> NewJob {
    let id = number.to_string();
    NewJob { payload: Bytes::from(id.clone()), id: JobId::new(id).unwrap(), options: JobOptions::default() }
}

fn complete(job: &Claimed) -> Finish {
    assert_eq!(job.payload, job.id.as_str(), "the payload is its own");
    let end = End::Complete { output: Bytes::new(), retention: Duration::from_secs(3_600) };
    Finish { id: job.id.clone(), token: job.token, end }
}

fn signal(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), pid]).status().unwrap().success());
}
