//! A process that enqueues and completes jobs in a file is killed at many points. It tells its parent what was
//! acknowledged; the parent holds the file to it: no acknowledged job is lost, and none runs again after its
//! completion was acknowledged.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lockstep_queue::jobs::{
    Claim, Claimed, Counts, End, EndOutcome, Finish, JobId, JobOptions, JobState, NewJob, QueueName, Storage,
    WorkerId,
};
use rand::RngExt;

use super::children::{Process, Said, say};

/// Name the file and the round for the child.
const FILE: &str = "LOCKSTEP_CRASH_FILE";
const ROUND: &str = "LOCKSTEP_CRASH_ROUND";
const KILLS: usize = 200;
/// Short, so that the next process gets what the killed one had.
const LEASE: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_secs(3_600);

fn queue() -> QueueName {
    QueueName::new("crash").unwrap()
}

/// What children said.
#[derive(Default)]
struct Told {
    enqueued: BTreeSet<String>,
    completed: HashSet<String>,
    lines: usize,
}

/// Has children killed, and gives back how many jobs are in each state, as the storage counts them.
pub(crate) async fn survives<O>(file: &Path, open: impl Fn(std::path::PathBuf) -> O) -> Counts
where
    O: Future<Output = Arc<dyn Storage>>,
{
    let mut told = Told::default();
    for round in 0..KILLS {
        run_child(file, round, &mut told);
    }
    assert!(told.completed.len() > KILLS, "children came to work: {}", told.completed.len());
    let storage = open(file.to_owned()).await;
    for id in &told.enqueued {
        let job = storage.get(&queue(), &JobId::new(id).unwrap()).await.unwrap();
        let state = job.map(|job| job.state);
        assert!(state.is_some(), "{id} was acknowledged and is lost");
        assert!(!told.completed.contains(id) || state == Some(JobState::Completed), "{id} is {state:?}");
    }
    let counts = storage.counts(&queue()).await.unwrap();
    storage.close().await.unwrap();
    counts
}

/// The process that is killed; nothing if it was not started for that.
pub(crate) async fn child<O>(open: impl Fn(std::path::PathBuf) -> O)
where
    O: Future<Output = Arc<dyn Storage>>,
{
    let (Ok(file), Ok(round)) = (std::env::var(FILE), std::env::var(ROUND)) else { return };
    let storage = &open(file.into()).await;
    let (round, number) = (&round, &AtomicU64::new(0));
    let enqueuers = (0..4).map(async |_| {
        loop {
            let id = format!("{round}-{}", number.fetch_add(1, Ordering::Relaxed));
            storage.enqueue(&queue(), vec![job(&id)]).await.unwrap();
            say("+", &id);
        }
    });
    let workers = (0..4).map(async |_| work(&**storage).await);
    let reaper = async {
        loop {
            storage.reap(&queue(), 100, Bytes::from_static(b"gone")).await.unwrap();
            tokio::time::sleep(LEASE / 4).await;
        }
    };
    tokio::join!(futures::future::join_all(enqueuers), futures::future::join_all(workers), reaper);
}

/// Starts a process, believes what it says, and kills it after some of that.
fn run_child(file: &Path, round: usize, told: &mut Told) {
    let variables = [(FILE, file.to_str().unwrap()), (ROUND, &round.to_string())];
    let (mut child, mut voice) = Process::start("child", &variables);
    let until = told.lines + rand::rng().random_range(1..150);
    while told.lines < until {
        told.hear(voice.next().expect("it goes on until it is killed"));
    }
    child.kill();
    voice.for_each(|said| told.hear(said));
    assert!(!child.ended_well());
}

impl Told {
    fn hear(&mut self, said: Said) {
        self.lines += 1;
        match said.what.as_str() {
            "+" => drop(self.enqueued.insert(said.id)),
            "-" => drop(self.completed.insert(said.id)),
            _ => assert!(!self.completed.contains(&said.id), "{} runs again", said.id),
        }
    }
}

async fn work(storage: &dyn Storage) {
    let mut ends = Vec::new();
    let mut done: Vec<Claimed> = Vec::new();
    loop {
        let claim = Claim { worker: WorkerId::new("w").unwrap(), max: 2, lease: LEASE };
        let finished = storage.finish(&queue(), ends, Some(claim)).await.unwrap();
        for (job, ended) in done.iter().zip(&finished.outcomes) {
            if *ended == EndOutcome::Done {
                say("-", job.id.as_str());
            }
        }
        finished.claimed.iter().for_each(|job| say("run", job.id.as_str()));
        if finished.claimed.is_empty() {
            storage.wait_for_work(&queue(), LEASE).await.unwrap();
        }
        done = finished.claimed;
        ends = done.iter().map(complete).collect();
    }
}

fn job(id: &str) -> NewJob {
    let options = JobOptions { max_deliveries: 1_000, ..JobOptions::default() };
    NewJob { id: JobId::new(id).unwrap(), payload: Bytes::from(id.to_owned()), options }
}

fn complete(job: &Claimed) -> Finish {
    assert_eq!(job.payload, job.id.as_str(), "the payload is its own");
    let end = End::Complete { output: Bytes::new(), retention: KEPT };
    Finish { id: job.id.clone(), token: job.token, end }
}
