//! Ten workers in three processes, two reapers, and one process killed in the middle: each of many jobs is
//! completed once. On each storage that several processes can share; one more is a variant of [`Place`].
#![cfg(test)]
#![cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]

mod support {
    pub(crate) mod children;
    #[cfg(feature = "postgres")]
    pub(crate) mod postgres;
    #[cfg(feature = "redis")]
    #[expect(dead_code, reason = "the tests of the storage use more of it")]
    pub(crate) mod redis;
}

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use lockstep_queue::jobs::{
    Claim, Claimed, Counts, End, EndOutcome, Finish, JobId, JobOptions, NewJob, QueueName, Storage, WorkerId,
};
#[cfg(feature = "postgres")]
use lockstep_queue::jobs::{PostgresOptions, PostgresStorage};
#[cfg(feature = "redis")]
use lockstep_queue::jobs::{RedisOptions, RedisStorage};
#[cfg(feature = "sqlite")]
use lockstep_queue::jobs::{SqliteOptions, SqliteStorage};
use support::children::{Process, Said, say};
#[cfg(feature = "redis")]
use support::redis::{Flavour, Server};

/// Tells a child where to work, and how many workers it is.
const PLACE: &str = "LOCKSTEP_FLEET_PLACE";
const WORKERS: &str = "LOCKSTEP_FLEET_WORKERS";

const JOBS: usize = 20_000;
const AT_ONCE: usize = 500;
/// Workers in each process; the last one is killed.
const FLEET: [usize; 3] = [4, 3, 3];
/// How many jobs one worker has at once.
const IN_HAND: usize = 5;
/// Long enough not to expire while its worker lives, on a busy machine.
const LEASE: Duration = Duration::from_secs(10);

/// A storage that several processes open.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    #[cfg(feature = "sqlite")]
    Sqlite(String),
    #[cfg(feature = "postgres")]
    Postgres { address: String, schema: String },
    #[cfg(feature = "redis")]
    Redis(String),
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_sqlite_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.db").to_str().unwrap().to_owned();
    each_job_is_completed_once(&Place::Sqlite(file)).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    let address = support::postgres::Postgres::shared().address();
    each_job_is_completed_once(&Place::Postgres { address, schema: "fleet".to_owned() }).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis() {
    let server = Server::start(Flavour::Redis, &[]);
    each_job_is_completed_once(&Place::Redis(server.url())).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_valkey() {
    let server = Server::start(Flavour::Valkey, &[]);
    each_job_is_completed_once(&Place::Redis(server.url())).await;
}

async fn each_job_is_completed_once(place: &Place) {
    let storage = place.open().await;
    for first in (0..JOBS).step_by(AT_ONCE) {
        storage.enqueue(&queue(), (first..first + AT_ONCE).map(job).collect()).await.unwrap();
    }
    let text = place.to_string();
    let completed = tokio::task::spawn_blocking(move || run_fleet(&text)).await.unwrap();
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
fn run_fleet(place: &str) -> HashSet<String> {
    let (told, hear) = mpsc::channel();
    let start = |workers: usize| {
        let (process, voice) = Process::start("child", &[(PLACE, place), (WORKERS, &workers.to_string())]);
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

/// One process of the fleet; nothing if it was not started for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(place), Ok(workers)) = (std::env::var(PLACE), std::env::var(WORKERS)) else { return };
    let storage = Place::read(&place).open().await;
    let workers: usize = workers.parse().unwrap();
    let workers = futures::future::join_all((0..workers).map(|number| work(storage.as_ref(), number)));
    tokio::select! {
        _ = workers => {}
        () = reap(storage.as_ref()) => {}
    }
    storage.close().await.unwrap();
}

/// Works until all is done.
async fn work(storage: &dyn Storage, number: usize) {
    let worker = WorkerId::new(format!("{}-{number}", std::process::id())).unwrap();
    let (mut done, mut ends): (Vec<Claimed>, Vec<Finish>) = (Vec::new(), Vec::new());
    loop {
        let claim = Claim { worker: worker.clone(), max: IN_HAND, lease: LEASE };
        let finished = storage.finish(&queue(), ends, Some(claim)).await.unwrap();
        let ended = done.iter().zip(&finished.outcomes).filter(|(_, ended)| **ended == EndOutcome::Done);
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

async fn reap(storage: &dyn Storage) {
    loop {
        storage.reap(&queue(), 100, Bytes::from_static(b"gone")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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

impl Place {
    async fn open(&self) -> Arc<dyn Storage> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => {
                Arc::new(SqliteStorage::open(file, SqliteOptions::default()).await.unwrap())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { address, schema } => {
                let options = PostgresOptions { schema: schema.clone(), ..PostgresOptions::default() };
                Arc::new(PostgresStorage::connect(address, options).await.unwrap())
            }
            #[cfg(feature = "redis")]
            Self::Redis(url) => Arc::new(RedisStorage::connect(RedisOptions::new(url)).await.unwrap()),
        }
    }

    /// Out of the text that a child gets.
    fn read(text: &str) -> Self {
        match text.split('|').collect::<Vec<_>>()[..] {
            #[cfg(feature = "sqlite")]
            ["sqlite", file] => Self::Sqlite(file.to_owned()),
            #[cfg(feature = "postgres")]
            ["postgres", address, schema] => {
                Self::Postgres { address: address.to_owned(), schema: schema.to_owned() }
            }
            #[cfg(feature = "redis")]
            ["redis", url] => Self::Redis(url.to_owned()),
            _ => panic!("no such place: {text}"),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => write!(formatter, "sqlite|{file}"),
            #[cfg(feature = "postgres")]
            Self::Postgres { address, schema } => write!(formatter, "postgres|{address}|{schema}"),
            #[cfg(feature = "redis")]
            Self::Redis(url) => write!(formatter, "redis|{url}"),
        }
    }
}
