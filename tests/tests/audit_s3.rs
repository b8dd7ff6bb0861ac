//! Records and a bucket that is not always there: all arrive, once, and what is full says so.

use std::collections::HashSet;
use std::time::Duration;

use lockstep_tests::gateway::{Gateway, Running, gateway, keyed, post};
use lockstep_tests::lockstep::cli;
use lockstep_tests::poll::until_in;
use lockstep_tests::process::Signal;
use lockstep_tests::s3::S3;
use lockstep_tests::{Client, Message, Provider, poll, until};
use serde_json::{Value, json};

/// Records that wait when the bucket comes.
const BACKLOG: usize = 10_000;
const CALLERS: usize = 4;
const LONG: Duration = Duration::from_secs(120);
/// The smallest journal there is.
const DISK: usize = 64 << 20;

fn recording(provider: &Provider, s3: &S3, disk: &Value) -> Gateway {
    let audit = json!({
        "sink": s3.sink(),
        "compression": "none",
        "batch": {"interval": "100ms", "records": 1000},
        "disk": disk,
    });
    gateway(&[("a", provider)]).configured("audit", audit)
}

/// Asks for nothing, again and again: a record each, and no provider is asked.
fn refused(running: &Running, times: usize) {
    let nothing = post("/v1/chat/completions", &json!({}));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut client = Client::connect(running.addr());
                for _ in 0..times / CALLERS {
                    let answer = client.exchange(&keyed(&nothing)).expect("an answer");
                    assert_eq!(answer.status(), 400);
                }
            });
        }
    });
}

/// A call with a body of a megabyte.
fn large(running: &Running) -> Message {
    let text = "x".repeat(1 << 20);
    running.send(&post(
        "/v1/chat/completions",
        &json!({"model": "ok", "messages": [{"role": "user", "content": text}]}),
    ))
}

fn status(running: &Running) -> Value {
    running.proxy.api("status")["status"].clone()
}

fn id(answer: &Message) -> String {
    answer.header("x-request-id").expect("an id").to_owned()
}

/// The ids of all records, each of which must be there once.
fn ids(s3: &S3) -> HashSet<String> {
    let records = s3.records();
    let ids: HashSet<_> =
        records.iter().filter_map(|record| Some(record["id"].as_str()?.to_owned())).collect();
    assert_eq!(ids.len(), records.len(), "no record twice");
    ids
}

/// The instance ends, and all that it left is in the bucket, whole.
fn verified(running: Running, s3: &S3) {
    let Running { mut proxy } = running;
    proxy.process.signal(Signal::Term);
    assert!(proxy.process.wait(poll::SOON).success());
    let output = cli(["audit", "verify", &s3.url(), "--endpoint", &s3.endpoint()]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_backlog_arrives_once_when_the_bucket_comes_and_goes() {
    let (provider, mut s3) = (Provider::start("a"), S3::away());
    let running = recording(&provider, &s3, &json!({})).start();
    refused(&running, BACKLOG);
    assert_eq!((running.chat("ok").status(), running.proxy.readiness()), (200, 200), "calls go on");
    let shipped = |running: &Running| running.proxy.api("audit/stats")["shipped"]["records"].as_u64();
    assert_eq!(shipped(&running), Some(0));
    s3.come();
    until("some have arrived", || shipped(&running) > Some(0));
    s3.go();
    refused(&running, CALLERS);
    s3.come();
    let all = BACKLOG + CALLERS + 1;
    poll::within(LONG, || (shipped(&running) == u64::try_from(all).ok()).then_some(())).expect("all arrive");
    assert_eq!(ids(&s3).len(), all);
    verified(running, &s3);
}

#[test]
fn a_full_journal_refuses_calls_until_there_is_room() {
    let (provider, mut s3) = (Provider::start("a"), S3::away());
    let running = recording(&provider, &s3, &json!({"max": "64MiB", "when_full": "reject"})).start();
    let mut answered = HashSet::new();
    let refusal = loop {
        let answer = large(&running);
        if answer.status() != 200 {
            break answer;
        }
        answered.insert(id(&answer));
        assert!(answered.len() <= DISK >> 20, "it has a limit");
    };
    assert_eq!((refusal.status(), &refusal.json()["error"]["code"]), (503, &json!("audit_unavailable")));
    assert!(refusal.header("retry-after-ms").is_some());
    assert_eq!(provider.count(), answered.len(), "who is refused asks nobody");
    until("it is told", || status(&running) == "degraded");
    assert_eq!(running.proxy.readiness(), 200);
    s3.come();
    until("there is room again", || {
        let answer = large(&running);
        let done = answer.status() == 200;
        answered.extend(done.then(|| id(&answer)));
        done
    });
    until_in(LONG, "all is well", || status(&running) == "ok");
    until_in(LONG, "all have arrived", || ids(&s3).is_superset(&answered));
    verified(running, &s3);
}

#[test]
fn a_full_journal_may_also_drop_and_count() {
    let (provider, mut s3) = (Provider::start("a"), S3::away());
    let running = recording(&provider, &s3, &json!({"max": "64MiB", "when_full": "drop"})).start();
    let dropped = || running.proxy.metrics().sum("lockstep_audit_journal_dropped_total", &[]);
    let mut answered = HashSet::new();
    while dropped() == 0.0 {
        let answer = large(&running);
        assert_eq!(answer.status(), 200, "calls go on");
        answered.insert(id(&answer));
        assert!(answered.len() <= DISK >> 19, "it has a limit");
    }
    until("it is told", || status(&running) == "degraded");
    s3.come();
    until("there is room again", || running.proxy.api("audit/stats")["shipped"]["records"] != 0);
    let after = until_kept(&running, &s3, &mut answered);
    let kept = ids(&s3);
    assert!(kept.contains(&after) && kept.is_subset(&answered));
    verified(running, &s3);
}

/// The id of a call whose record arrived soon. Those of calls before it may arrive later.
fn until_kept(running: &Running, s3: &S3, answered: &mut HashSet<String>) -> String {
    let shipped = || running.proxy.api("audit/stats")["shipped"]["oldest_unshipped_seconds"].is_null();
    let kept = poll::within(LONG, || {
        let id = id(&running.chat("ok"));
        answered.insert(id.clone());
        until_in(LONG, "what waits is shipped", shipped);
        ids(s3).contains(&id).then_some(id)
    });
    kept.expect("a new record arrives")
}
