use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use jiff::Timestamp;
use lockstep_queue::journal::{Frame, Item, Role, Stamp};
use lockstep_queue::ship::{Assemble as _, Group};
use serde_json::Value;

use super::super::lines::Lines;
use super::super::{
    Durability,
    contents::{BEGIN, frame},
    schema,
};
use super::*;
use crate::ai::ledger::{
    Attempt, Begin, Begun, Client, End, Ledger as _, Outcome, Refused, RequestBody, Target,
};
use crate::ai::route::Endpoint;

pub(in crate::audit) fn config() -> model::Audit {
    let text =
        "server: {listen: [{addr: 127.0.0.1:0}]}\naudit: {node: n, redact: {patterns: ['secret-\\d+']}}\n";
    let environment = std::collections::HashMap::<String, String>::new();
    let config = crate::config::parse(text, Path::new("t.yaml"), &environment).unwrap();
    Arc::unwrap_or_clone(config.audit)
}

/// Opens on a thread that is no runtime's, as the start of the process does.
fn open(dir: &Path) -> (Audit, Recovery) {
    std::thread::scope(|scope| {
        scope.spawn(|| Audit::open(&config(), Durability::Strict, dir).unwrap()).join().unwrap()
    })
}

fn target(provider: &str) -> Target {
    Target { provider: provider.into(), model: None }
}

fn json_headers() -> HeaderMap {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::USER_AGENT, HeaderValue::from_static("test secret-2")),
        (header::AUTHORIZATION, HeaderValue::from_static("Bearer key-of-a-client")),
    ]
    .into_iter()
    .collect()
}

pub(in crate::audit) fn begin() -> Begin {
    Begin {
        id: Ulid::generate(),
        started_at: Timestamp::now(),
        client: Client {
            addr: Some(SocketAddr::from(([127, 0, 0, 1], 5))),
            user_agent: Some("test secret-2".to_owned()),
            request_id: None,
            key: None,
        },
        method: Method::POST,
        path: "/v1/chat/completions".to_owned(),
        headers: json_headers().into(),
        body: RequestBody::Whole(Bytes::from_static(br#"{"model":"m","messages":["secret-1"]}"#)),
        endpoint: Endpoint::Chat,
        model: Some("m".to_owned()),
        target: Some(target("one")),
    }
}

pub(in crate::audit) fn end(body: Option<&'static str>) -> End {
    End {
        outcome: Outcome::Complete,
        status: 200,
        headers: json_headers(),
        body: body.map(Bytes::from_static_str),
        streamed: body.is_none(),
        first_byte_at: Some(Timestamp::now()),
        attempts: vec![Attempt {
            target: target("one"),
            started_at: Timestamp::now(),
            status: Some(200),
            error: None,
            first_byte_ms: Some(1),
            total_ms: 2,
            delivered: 2,
            usage: None,
        }],
        usage: None,
        cost: None,
        changes: Vec::new(),
        request: None,
    }
}

fn transition() -> Transition {
    let text =
        r#"{"at": "2026-11-25T10:00:00Z", "version": "v1", "to": "active", "reason": "new", "actor": "x"}"#;
    serde_json::from_str(text).unwrap()
}

/// Spells `Bytes::from_static` for texts.
trait FromText {
    fn from_static_str(text: &'static str) -> Bytes;
}

impl FromText for Bytes {
    fn from_static_str(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }
}

/// All records of a journal, in order, as they would be shipped.
pub(in crate::audit) fn records(audit: &Audit) -> Vec<Value> {
    let lines = Lines::new(Arc::clone(&audit.node));
    let mut groups = std::collections::HashMap::<u64, Vec<Frame>>::new();
    let mut reader = audit.journal.reader(audit.journal.oldest());
    let mut records = Vec::new();
    while let Some(Item::Frame(frame)) = reader.try_next().unwrap() {
        let stamp = Stamp { seq: records.len() as u64, at_millis: 1 };
        let (role, group) = (frame.kind.role(), frame.group);
        if role == Role::Single {
            records.push(lines.single(stamp, &frame));
            continue;
        }
        let frames = groups.entry(group).or_default();
        frames.push(frame);
        if role == Role::End {
            records.push(lines.group(stamp, &Group { frames: groups.remove(&group).unwrap(), lost: 0 }));
        }
    }
    let records: Vec<Value> = records.iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    records.iter().for_each(schema::check);
    records
}

#[test]
fn a_small_journal_holds_little_back() {
    for (max, least) in [(64 << 20, 58 << 20), (1 << 30, 976 << 20), (10 << 30, 10_192 << 20)] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config();
        config.disk.max = max;
        let (audit, _) = Audit::open(&config, Durability::Strict, dir.path()).unwrap();
        assert!(audit.journal.stats().capacity >= least, "{max}: {}", audit.journal.stats().capacity);
    }
}

#[tokio::test]
async fn a_call_leaves_one_record_without_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, _) = open(dir.path());
    let asked = Target { provider: "one".into(), model: Some("gpt secret-3".into()) };
    let begun = Begin { model: Some("gpt secret-3".to_owned()), target: Some(asked.clone()), ..begin() };
    let id = begun.id.to_string();
    let entry = audit.ledger.begin(begun).await.unwrap();
    let mut end = end(Some("{}"));
    end.attempts[0].target = asked;
    entry.end(end).await.unwrap();
    let records = records(&audit);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record["route"]["model"], "gpt [redacted]");
    assert_eq!(record["attempts"][0]["model"], "gpt [redacted]");
    assert_eq!((record["id"].as_str(), record["outcome"].as_str()), (Some(&*id), Some("complete")));
    assert_eq!(record["request"]["body"]["messages"][0], "[redacted]");
    assert_eq!(record["response"]["body"], serde_json::json!({}));
    assert!(record["node"].as_str().unwrap().starts_with("n-"));
    assert_eq!(record["client"]["user_agent"], "test [redacted]");
    for side in ["request", "response"] {
        assert_eq!(record[side]["headers"]["user-agent"], "test [redacted]");
    }
    for secret in ["key-of-a-client", "secret-1", "secret-2", "secret-3"] {
        assert!(!record.to_string().contains(secret), "{record}");
    }
    audit.journal.shutdown().await.unwrap();
    let written: Vec<u8> = std::fs::read_dir(dir.path().join(JOURNAL))
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    let holds = |text: &str| written.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&id) && !holds("key-of-a-client") && !holds("secret-1") && !holds("secret-3"));
}

#[tokio::test]
async fn strict_waits_for_the_disk_before_a_provider_is_contacted() {
    for (durability, on_disk) in [(Durability::Strict, [1, 2]), (Durability::Fast, [0, 0])] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(dir.path().join(JOURNAL)).sync_within(Duration::from_hours(1));
        let (journal, _) = Journal::open(options).unwrap();
        let audit = Audit::on(journal, &config(), durability);
        // A reader sees what is on the disk alone.
        let seen = || {
            let mut reader = audit.journal.reader(audit.journal.oldest());
            std::iter::from_fn(move || reader.try_next().unwrap()).count()
        };
        let mut entry = audit.ledger.begin(begin()).await.unwrap();
        let begun = seen();
        entry.attempt(target("two")).await.unwrap();
        assert_eq!([begun, seen()], on_disk, "{durability:?}");
    }
}

#[tokio::test]
async fn a_stream_is_kept_in_parts_and_masked_across_them() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, _) = open(dir.path());
    let mut entry = audit.ledger.begin(begin()).await.unwrap();
    let event = |text: &str| {
        Bytes::from(format!(
            "data: {}\n\n",
            serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]})
        ))
    };
    let long = "x".repeat(70 * 1024);
    for text in ["a secr", "et-12", "3 b", &long, "end"] {
        entry.part(&event(text));
    }
    entry.end(End { streamed: true, ..end(None) }).await.unwrap();
    let records = records(&audit);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["message"]["content"], format!("a [redacted] b{long}end"));
    let frames = std::iter::from_fn({
        let mut reader = audit.journal.reader(audit.journal.oldest());
        move || reader.try_next().unwrap()
    });
    let parts = frames.filter_map(Item::into_frame).filter(|frame| frame.kind.role() == Role::Part).count();
    assert!(parts >= 1, "64 KiB do not wait for the end");
}

#[tokio::test]
async fn what_a_crash_or_a_dropped_call_leaves_open_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, _) = open(dir.path());
    let mut entry = audit.ledger.begin(begin()).await.unwrap();
    entry.attempt(target("two")).await.unwrap();
    entry
        .part(&Bytes::from_static(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n"));
    drop(entry);
    // As if the process ended here.
    let contents = frame(&serde_json::json!({}), []);
    audit.journal.append(BEGIN, 77, contents).await.unwrap();
    audit.journal.shutdown().await.unwrap();
    drop(audit);
    let (audit, recovery) = open(dir.path());
    assert_eq!(recovery.open_groups.len(), 1);
    let mut reader = audit.journal.reader(audit.journal.oldest());
    let ends = std::iter::from_fn(|| reader.try_next().unwrap())
        .filter_map(Item::into_frame)
        .filter(|frame| frame.kind.role() == Role::End)
        .count();
    assert_eq!(ends, 2);
    drop(audit);
    let (audit, recovery) = open(dir.path());
    assert!(recovery.open_groups.is_empty());
    audit.journal.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_known_when_an_answer_began_is_there_without_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, _) = open(dir.path());
    let event = Bytes::from_static(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n");
    let begun = Begun { at: Timestamp::now(), streamed: true, attempts: &end(None).attempts };
    for further in [false, true] {
        let mut entry = audit.ledger.begin(begin()).await.unwrap();
        entry.begun(&begun);
        entry.part(&event);
        if further {
            entry.attempt(target("two")).await.unwrap();
        }
    }
    audit.journal.sync().await.unwrap();
    let records = records(&audit);
    for (record, expected) in
        records.iter().zip([json!([[200, event.len()]]), json!([[200, event.len()], [null, 0]])])
    {
        assert_eq!((&record["response"]["status"], &record["outcome"]), (&json!(200), &json!("interrupted")));
        assert!(record["first_byte_at"].is_string() && record["id"].is_string(), "{record}");
        let attempts = record["attempts"].as_array().unwrap().iter();
        let attempts: Vec<_> =
            attempts.map(|attempt| json!([attempt["status"], attempt["delivered"]])).collect();
        assert_eq!(Value::from(attempts), expected);
    }
}

#[tokio::test]
async fn refusals_and_transitions_are_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, _) = open(dir.path());
    for _ in 0..30 {
        audit.ledger.refused(Refused {
            id: Ulid::generate(),
            at: Timestamp::now(),
            addr: None,
            method: Method::POST,
            // The longest path that is kept ends in the middle of a match.
            path: format!("{:x<508}secret-1234", "/v1/"),
            status: 401,
            reason: "bad_key",
        });
    }
    audit.sum_up();
    audit.transitioned(&"shop".parse().unwrap(), &transition());
    audit
        .ledger
        .answered(begin(), End { outcome: Outcome::Rejected, status: 404, ..end(Some("{}")) })
        .await
        .unwrap();
    let records = records(&audit);
    let of = |kind: &str| records.iter().filter(|record| record["type"] == kind).cloned().collect::<Vec<_>>();
    let refused = of("refused");
    assert!((10..=21).contains(&refused.len()), "{} of 30", refused.len());
    assert!(
        refused.iter().all(|record| !record["request"]["path"].to_string().contains("secr")),
        "{refused:?}"
    );
    let counted: u64 = refused.iter().filter_map(|record| record["count"].as_u64()).sum();
    assert_eq!((counted, of("version").len()), (30, 1));
    let rejected = records.last().unwrap();
    assert_eq!((&rejected["outcome"], &rejected["type"]), (&Value::from("rejected"), &Value::from("ai")));
    assert_eq!(rejected["response"]["body"], serde_json::json!({}));
    let mut reader = audit.journal.reader(audit.journal.oldest());
    let frames = std::iter::from_fn(|| reader.try_next().unwrap()).filter_map(Item::into_frame);
    let kinds: Vec<_> = frames.map(|frame| frame.kind).filter(|kind| *kind != WHOLE).collect();
    assert_eq!(kinds, [BEGIN, END], "it becomes JSON when it is shipped");
}
