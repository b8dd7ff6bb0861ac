//! What only the PostgreSQL storage has: its server, its connections, its schema.
#![cfg(test)]
#![cfg(feature = "postgres")]

mod support {
    pub(crate) mod postgres;
}

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use lockstep_queue::jobs::EndOutcome::{Done, Lost};
use lockstep_queue::jobs::{
    Claim, Claimed, End, Enqueued, Event, Extended, Finish, Generation, JobId, JobOptions, JobState, NewJob,
    PostgresOptions, PostgresStorage, QueueName, Settings, Storage, StorageError, WorkerId,
};
use support::postgres::Postgres;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn queue() -> QueueName {
    QueueName::new("ma\0il").unwrap()
}

fn id(id: &str) -> JobId {
    JobId::new(id).unwrap()
}

fn job(name: &str) -> NewJob {
    let options = JobOptions { max_deliveries: 100, ..JobOptions::default() };
    NewJob { id: id(name), payload: Bytes::from(name.as_bytes().to_vec()), options }
}

fn wish(max: usize) -> Option<Claim> {
    Some(Claim { worker: WorkerId::new("w").unwrap(), max, lease: Duration::from_secs(60) })
}

fn complete(claimed: &Claimed) -> Finish {
    let end = End::Complete { output: Bytes::from_static(b"ok"), retention: Duration::from_secs(60) };
    Finish { id: claimed.id.clone(), token: claimed.token, end }
}

/// Options with a schema that no other test has.
fn options() -> PostgresOptions {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let schema = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    PostgresOptions { schema, ..PostgresOptions::default() }
}

/// A storage in a schema that no other test has.
async fn storage(server: &Postgres) -> PostgresStorage {
    PostgresStorage::connect(&server.address(), options()).await.unwrap()
}

/// Runs a statement past the storage.
async fn sql(server: &Postgres, statement: &str) {
    let (client, connection) =
        tokio_postgres::connect(&server.address(), tokio_postgres::NoTls).await.unwrap();
    let run = async {
        client.batch_execute(statement).await.unwrap();
        drop(client);
    };
    tokio::join!(run, async { connection.await.unwrap() });
}

fn generation(enqueued: &Enqueued) -> Option<Generation> {
    match enqueued {
        Enqueued::New(generation) => Some(*generation),
        Enqueued::Duplicate(_) => None,
    }
}

async fn claim(storage: &PostgresStorage, max: usize) -> Vec<Claimed> {
    storage.finish(&queue(), vec![], wish(max)).await.unwrap().claimed
}

#[tokio::test]
async fn a_job_goes_its_way() {
    let storage = storage(Postgres::shared()).await;
    let odd = "\0 \u{10ffff} '; DROP TABLE jobs; --";
    let enqueued = storage.enqueue(&queue(), vec![job("b"), job(odd), job("b"), job("a")]).await.unwrap();
    let duplicate = Enqueued::Duplicate(JobState::Waiting);
    let generations: Vec<_> = enqueued.iter().map(generation).collect();
    assert!(generations[0].is_some() && generations[0] < generations[1] && generations[1] < generations[3]);
    assert_eq!(enqueued[2], duplicate);
    assert_eq!(storage.enqueue(&queue(), vec![job("a")]).await.unwrap(), [duplicate]);

    let claimed = claim(&storage, 5).await;
    let order: Vec<_> = claimed.iter().map(|claimed| claimed.id.as_str()).collect();
    assert_eq!(order, ["b", odd, "a"], "as they were enqueued");

    let release = Finish { id: id("b"), token: claimed[0].token, end: End::Release };
    let retry = End::Retry { delay: Duration::from_secs(60), error: Bytes::from_static(b"no") };
    let retry = Finish { id: id("a"), token: claimed[2].token, end: retry };
    let finish = complete(&claimed[1]);
    let ends = vec![retry.clone(), finish.clone(), release, retry, finish];
    let finished = storage.finish(&queue(), ends, wish(5)).await.unwrap();
    assert_eq!(finished.outcomes, [Done, Done, Done, Lost, Lost]);
    assert_eq!(finished.claimed.len(), 1, "what was released");
    assert_eq!(finished.claimed[0].delivery, 1);
    let next_in = finished.next_in.unwrap();
    assert!(next_in > Duration::from_secs(50) && next_in <= Duration::from_secs(60), "{next_in:?}");

    let completed = storage.get(&queue(), &id(odd)).await.unwrap().unwrap();
    assert_eq!((completed.state, completed.output), (JobState::Completed, Some(Bytes::from_static(b"ok"))));
    let counts = storage.counts(&queue()).await.unwrap();
    assert_eq!((counts.delayed, counts.active, counts.completed), (1, 1, 1));
    assert_eq!(storage.queues().await.unwrap(), [queue()]);
    let lease = vec![(id("b"), finished.claimed[0].token), (id("b"), claimed[0].token)];
    let extended = storage.extend(&queue(), lease, Duration::from_secs(60)).await.unwrap();
    assert_eq!(extended, [Extended::Held, Extended::Lost]);
}

#[tokio::test]
async fn events_and_work_of_others_are_heard_in_full() {
    let (server, options) = (Postgres::shared(), options());
    let here = PostgresStorage::connect(&server.address(), options.clone()).await.unwrap();
    let there = PostgresStorage::connect(&server.address(), options).await.unwrap();
    let mut events = here.events(&queue()).await.unwrap();
    let name = "x".repeat(512);

    let waiting = async { here.wait_for_work(&queue(), PATIENCE * 2).await };
    let enqueue = async { there.enqueue(&queue(), vec![job(&name)]).await.unwrap() };
    let (waited, _) = tokio::join!(tokio::time::timeout(PATIENCE, waiting), enqueue);
    waited.expect("not only when the time is over").unwrap();
    let claimed = claim(&there, 1).await;
    there.finish(&queue(), vec![complete(&claimed[0])], None).await.unwrap();
    there.configure(&queue(), Settings { paused: true, ..Settings::default() }).await.unwrap();

    let wanted =
        [Event::Enqueued(id(&name)), Event::Started(id(&name)), Event::Completed(id(&name)), Event::Paused];
    for wanted in wanted {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event");
        assert_eq!(event, Some(wanted));
    }
    here.close().await.unwrap();
    assert_eq!(events.next().await, None);
    let error = here.enqueue(&queue(), vec![job("b")]).await.unwrap_err();
    assert!(matches!(error, StorageError::Closed), "{error}");
}

#[tokio::test]
async fn a_restart_of_the_server_is_survived() {
    let mut server = Postgres::start();
    let storage = storage(&server).await;
    let mut events = storage.events(&queue()).await.unwrap();
    storage.enqueue(&queue(), vec![job("a")]).await.unwrap();
    let claimed = claim(&storage, 1).await;
    assert_eq!(events.next().await, Some(Event::Enqueued(id("a"))));
    assert_eq!(events.next().await, Some(Event::Started(id("a"))));

    server.stop();
    let error = storage.enqueue(&queue(), vec![job("b")]).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");
    server.resume();

    assert_eq!(events.next().await, Some(Event::Missed));
    let finished = storage.finish(&queue(), vec![complete(&claimed[0])], None).await.unwrap();
    assert_eq!(finished.outcomes, [Done], "nothing was lost");
}

/// Enqueues and completes while the server crashes and comes back; everybody tries again until it works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_server_restarts_under_load() {
    const JOBS: usize = 600;
    let mut server = Postgres::start();
    let storage = &storage(&server).await;
    let enqueue = async |name: usize| {
        while let Err(error) = storage.enqueue(&queue(), vec![job(&name.to_string())]).await {
            assert!(error.is_transient(), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let enqueuers = futures::stream::iter(0..JOBS).for_each_concurrent(8, enqueue);
    let workers = futures::future::join_all((0..4).map(|_| work(storage, JOBS)));
    let restarts = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(300));
            server.stop();
            server.resume();
        }
        server
    });
    let (_, _, server) = tokio::join!(enqueuers, workers, restarts);
    let counts = storage.counts(&queue()).await.unwrap();
    assert_eq!(usize::try_from(counts.completed).unwrap(), JOBS, "{counts:?}");
    drop(server);
}

/// Completes jobs until so many are completed.
async fn work(storage: &PostgresStorage, jobs: usize) {
    let mut ends = Vec::new();
    loop {
        let short = Claim { lease: Duration::from_millis(500), ..wish(2).unwrap() };
        match storage.finish(&queue(), std::mem::take(&mut ends), Some(short)).await {
            Ok(finished) => ends = finished.claimed.iter().map(complete).collect(),
            // What was claimed, or whose end was not told, comes back by its lease.
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        if ends.is_empty() {
            // Fails while the server is away.
            storage.reap(&queue(), 100, Bytes::new()).await.ok();
            let counts = storage.counts(&queue()).await;
            if counts.is_ok_and(|counts| usize::try_from(counts.completed).unwrap() == jobs) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn servers_that_are_not_there_or_not_ours_are_told() {
    let server = Postgres::shared();
    let missing = "host=/nonexistent user=postgres";
    let error = PostgresStorage::connect(missing, options()).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");

    let stranger = server.address().replace("user=postgres", "user=stranger");
    let error = PostgresStorage::connect(&stranger, options()).await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }), "{error}");

    let error = PostgresStorage::connect("host=", options()).await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }), "{error}");

    let tls = format!("{} sslmode=require", server.address());
    let error = PostgresStorage::connect(&tls, options()).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");

    for schema in ["", "1a", "a\"b", "UPPER", &"a".repeat(49)] {
        let options = PostgresOptions { schema: schema.to_owned(), ..options() };
        let error = PostgresStorage::connect(&server.address(), options).await.unwrap_err();
        assert!(error.to_string().contains("schema name"), "{error}");
    }

    let newer = options();
    drop(PostgresStorage::connect(&server.address(), newer.clone()).await.unwrap());
    sql(server, &format!("UPDATE {}.migrations SET version = 99", newer.schema)).await;
    let error = PostgresStorage::connect(&server.address(), newer).await.unwrap_err();
    assert!(matches!(error, StorageError::NewerSchema { found: 99, known: 1 }), "{error}");
}

#[tokio::test]
async fn many_may_open_a_new_schema_at_once() {
    let options = options();
    let address = Postgres::shared().address();
    let opened =
        futures::future::join_all((0..8).map(|_| PostgresStorage::connect(&address, options.clone())));
    for storage in opened.await {
        storage.unwrap().close().await.unwrap();
    }
}

/// A schema that was made for us is enough: no right to make one is needed.
#[tokio::test]
async fn a_schema_may_be_made_ahead() {
    let (server, options) = (Postgres::shared(), options());
    let schema = &options.schema;
    sql(server, &format!("CREATE ROLE tenant LOGIN; CREATE SCHEMA {schema} AUTHORIZATION tenant")).await;
    let address = server.address().replace("user=postgres", "user=tenant");
    let storage = PostgresStorage::connect(&address, options).await.unwrap();
    storage.enqueue(&queue(), vec![job("a")]).await.unwrap();
    storage.close().await.unwrap();
}

/// One connection is for calls; without another, nothing would be heard.
#[tokio::test]
async fn a_server_that_cannot_be_listened_to_is_told() {
    let server = Postgres::shared();
    sql(server, "CREATE ROLE single LOGIN CONNECTION LIMIT 1; GRANT CREATE ON DATABASE postgres TO single")
        .await;
    let address = server.address().replace("user=postgres", "user=single");
    let connect = PostgresStorage::connect(&address, options());
    let error = tokio::time::timeout(PATIENCE, connect).await.unwrap().unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");
}

/// The server is back for connections, but says nothing: who watches and who closes need not wait for it.
#[tokio::test]
async fn a_silent_server_holds_nobody_up() {
    let mut server = Postgres::start();
    let storage = storage(&server).await;
    server.stop();
    let address = server.address();
    let directory = address.split(' ').find_map(|part| part.strip_prefix("host=")).unwrap();
    let socket = std::path::Path::new(directory).join(".s.PGSQL.5432");
    // It may have been left behind.
    std::fs::remove_file(&socket).ok();
    let _silent = std::os::unix::net::UnixListener::bind(socket).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let soon = Duration::from_secs(5);
    let events = tokio::time::timeout(soon, storage.events(&queue())).await.unwrap().unwrap();
    tokio::time::timeout(soon, storage.close()).await.unwrap().unwrap();
    assert_eq!(events.collect::<Vec<_>>().await, []);
}
