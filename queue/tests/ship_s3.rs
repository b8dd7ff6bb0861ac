//! The shipper against a real S3 server, with faults between them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[cfg(test)]
mod support;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lockstep_queue::journal::{self, Journal, Kind, Recovery};
use lockstep_queue::ship::s3::{S3Options, S3Sink};
use lockstep_queue::ship::verify::{Archive as _, Checked, Finding, Verifier};
use lockstep_queue::ship::{Compression, Ed25519Signer, Options, Shipper, Sign, Sink};

use support::fault_proxy::{FaultProxy, Mode};
use support::plain::{Plain, decode, texts};
use support::s3_server::{S3Server, keys, options};

const LONG: Duration = Duration::from_secs(60);

fn open(dir: &tempfile::TempDir) -> (Journal, Recovery) {
    Journal::open(journal::Options::new(dir.path()).segment_bytes(64 * 1024)).unwrap()
}

async fn sink(options: S3Options) -> Arc<S3Sink> {
    Arc::new(S3Sink::new(options).await.unwrap())
}

fn ship_options() -> Options {
    Options::new("node")
        .unwrap()
        .prefix("audit/")
        .unwrap()
        .records(3)
        .retry(Duration::from_millis(20), Duration::from_millis(200))
        .retry_refused(Duration::from_millis(100))
}

fn shipper(
    (journal, recovery): &(Journal, Recovery),
    sink: &Arc<S3Sink>,
    signer: Option<Arc<dyn Sign>>,
    options: &Options,
) -> Shipper {
    let (assemble, sink): (_, Arc<dyn Sink>) = (Arc::new(Plain), Arc::clone(sink) as _);
    Shipper::new(journal.clone(), recovery, assemble, sink, signer, options).unwrap()
}

async fn while_running<T>(shipper: &Shipper, other: impl Future<Output = T>) -> T {
    tokio::select! {
        result = shipper.run(std::future::pending()) => panic!("it ended: {result:?}"),
        value = other => value,
    }
}

/// Appends groups with a text each.
async fn append(journal: &Journal, texts: &[String]) {
    for (group, text) in (0..).zip(texts) {
        journal.append(Kind::begin::<0>(), group, "").await.unwrap();
        journal.append(Kind::end::<0>(), group, text.clone()).await.unwrap();
    }
}

fn records(round: &str) -> Vec<String> {
    (0..10).map(|number| format!("{round}-{number}")).collect()
}

fn shown(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| format!("+{text}")).collect()
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap();
}

#[tokio::test]
async fn everything_arrives_signed_and_in_each_compression() {
    let pem = include_str!("support/ed25519.pem");
    let signer = Arc::new(Ed25519Signer::from_pem(pem.as_bytes()).unwrap());
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let server = S3Server::start();
        let dir = tempfile::tempdir().unwrap();
        let journal = open(&dir);
        let sink = sink(options(server.address())).await;
        let options = ship_options().compression(compression);
        let shipper = shipper(&journal, &sink, Some(Arc::clone(&signer) as _), &options);
        while_running(&shipper, async {
            append(&journal.0, &records("a")).await;
            shipper.flush(LONG).await.unwrap();
        })
        .await;
        assert_eq!(texts(&*sink, Some(&signer.verifier())).await, shown(&records("a")));
        let key = sink.list("audit/", None).await.unwrap().remove(0);
        assert!(key.ends_with(compression.suffix()) && key.contains("/hour="), "{key}");
        assert!(sink.list("audit/", Some("audit/z")).await.unwrap().is_empty());
        let stats = shipper.stats();
        assert_eq!((stats.records, stats.retries, stats.refusals, stats.conflicts), (10, 0, 0, 0));
    }
}

#[tokio::test]
async fn faults_delay_objects_but_lose_and_double_none() {
    let server = S3Server::start();
    let proxy = FaultProxy::start(server.address()).await;
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir);
    // One that stalls is given up soon.
    let hasty = S3Options { timeout: Duration::from_secs(1), ..options(proxy.address()) };
    let sink = sink(hasty).await;
    let shipper = shipper(&journal, &sink, None, &ship_options());
    let mut all = Vec::new();
    while_running(&shipper, async {
        for mode in [Mode::Fail, Mode::SlowDown, Mode::Stall, Mode::Close, Mode::Corrupt, Mode::LoseAnswer] {
            proxy.set(mode);
            let (before, acknowledged) = (shipper.stats(), journal.0.acknowledged());
            let records = records(&format!("{mode:?}"));
            append(&journal.0, &records).await;
            all.extend(records);
            until(|| shipper.stats().retries >= before.retries + 4).await;
            assert_eq!(journal.0.acknowledged(), acknowledged, "{mode:?}: nothing is confirmed");
            assert!(shipper.stats().oldest_unshipped.is_some());
            proxy.set(Mode::Pass);
            shipper.flush(LONG).await.unwrap();
            assert!(journal.0.acknowledged() > acknowledged);
            assert_eq!(shipper.stats().refusals, 0, "{mode:?} passes");
        }
    })
    .await;
    assert_eq!(texts(&*sink, None).await, shown(&all));
    let stats = shipper.stats();
    assert_eq!((stats.records, stats.conflicts, stats.changed), (all.len() as u64, 0, 0));
    assert_eq!(stats.oldest_unshipped, None);
}

/// In real time: the client has connections, and timeouts of its own.
#[tokio::test]
async fn a_server_that_is_gone_for_a_minute_gets_everything_once() {
    const GONE: Duration = Duration::from_secs(60);
    let mut server = S3Server::start();
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir);
    let sink = sink(options(server.address())).await;
    let shipper = shipper(&journal, &sink, None, &ship_options());
    let mut all = records("before");
    while_running(&shipper, async {
        append(&journal.0, &all).await;
        shipper.flush(LONG).await.unwrap();
        server.kill();
        let (begun, acknowledged) = (Instant::now(), journal.0.acknowledged());
        for round in 0..6 {
            let records = records(&format!("gone-{round}"));
            append(&journal.0, &records).await;
            all.extend(records);
            let before = shipper.stats().retries;
            tokio::time::sleep(GONE / 6).await;
            assert!(shipper.stats().retries > before, "it goes on trying");
        }
        assert!(begun.elapsed() >= GONE);
        assert_eq!(journal.0.acknowledged(), acknowledged, "nothing is confirmed");
        assert!(shipper.stats().oldest_unshipped.unwrap() >= GONE.mul_f64(0.9));
        assert!(shipper.flush(Duration::ZERO).await.is_err());
        server.restart();
        shipper.flush(LONG).await.unwrap();
    })
    .await;
    assert_eq!(texts(&*sink, None).await, shown(&all));
    let stats = shipper.stats();
    assert_eq!((stats.records, stats.refusals, stats.conflicts), (all.len() as u64, 0, 0));
    assert_eq!(stats.oldest_unshipped, None);
}

#[tokio::test]
async fn what_the_server_refuses_stays_until_it_is_allowed() {
    let server = S3Server::start();
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir);
    let wrong = S3Options { credentials: keys("wrong"), ..options(server.address()) };
    let first = shipper(&journal, &sink(wrong).await, None, &ship_options());
    while_running(&first, async {
        append(&journal.0, &records("a")).await;
        until(|| first.stats().refusals >= 5).await;
    })
    .await;
    assert_eq!((first.stats().records, first.stats().retries), (0, 0));
    journal.0.shutdown().await.unwrap();

    let journal = open(&dir);
    let right = sink(options(server.address())).await;
    let no_bucket = S3Options { bucket: "other".to_owned(), ..options(server.address()) };
    let second = shipper(&journal, &sink(no_bucket).await, None, &ship_options());
    while_running(&second, async { until(|| second.stats().refusals >= 2).await }).await;
    journal.0.shutdown().await.unwrap();

    let journal = open(&dir);
    let third = shipper(&journal, &right, None, &ship_options());
    while_running(&third, async { third.flush(LONG).await.unwrap() }).await;
    assert_eq!(texts(&*right, None).await, shown(&records("a")));
}

#[tokio::test]
async fn no_object_overwrites_another() {
    let server = S3Server::start();
    let sink = sink(options(server.address())).await;
    let mut hours = Vec::new();
    // Two journals of the same name, which must not be: each ships one record.
    for text in ["mine", "other", "other"] {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(&dir);
        let shipper = shipper(&journal, &sink, None, &ship_options());
        while_running(&shipper, async {
            // Without a time, both records are in the same hour.
            journal.0.append(Kind::single::<0>(), 0, text).await.unwrap();
            shipper.flush(LONG).await.unwrap();
        })
        .await;
        hours.push((shipper.stats().conflicts, shipper.stats().records));
    }
    assert_eq!(hours, [(0, 1), (1, 1), (1, 1)]);
    let mut verifier = Verifier::new(&*sink, "audit/", None);
    let mut found = Vec::new();
    while let Some(Checked { key, findings }) = verifier.next().await.unwrap() {
        let text = decode(&key, &sink.get(&key).await.unwrap().bytes);
        found.push((text.contains("mine"), findings));
    }
    let duplicate = Finding::Duplicate { records: 0..1 };
    assert_eq!(found[0], (false, vec![Finding::Conflict]));
    assert!(found[1].0);
    assert_eq!(found[1].1[0], duplicate);
    assert_eq!(found.len(), 2, "the same batch again is no other object");
}

#[tokio::test]
async fn large_objects_go_in_parts_and_are_recognised() {
    let server = S3Server::start();
    let slow = S3Options { timeout: LONG, part_bytes: 5 * 1024 * 1024, ..options(server.address()) };
    let sink = sink(slow).await;
    let large = |byte: &str| byte.repeat(12 * 1024 * 1024);
    let ship = async |text: String| {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(&dir);
        let shipper = shipper(&journal, &sink, None, &ship_options().compression(Compression::None));
        while_running(&shipper, async {
            journal.0.append(Kind::single::<0>(), 0, Bytes::from(text)).await.unwrap();
            shipper.flush(LONG).await.unwrap();
        })
        .await;
        (shipper.stats().conflicts, shipper.stats().records)
    };
    assert_eq!(ship(large("a")).await, (0, 1));
    assert_eq!(texts(&*sink, None).await, [large("a")]);
    assert_eq!(ship(large("a")).await, (0, 1), "it is there");
    assert_eq!(sink.list("", None).await.unwrap().len(), 1);
    assert_eq!(ship(large("b")).await, (1, 1), "another one is");
    assert_eq!(sink.list("", None).await.unwrap().len(), 2);
}
