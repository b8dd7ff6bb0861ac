use serde_json::{Value, json};

use super::super::contents::frame;
use super::super::schema;
use super::*;

const STAMP: Stamp = Stamp { seq: 7, at_millis: 1_763_000_000_123 };

fn begin() -> BeginHead {
    BeginHead {
        id: "01A".to_owned(),
        at: "2026-11-25T10:00:00Z".parse().unwrap(),
        client: ClientHead { key_id: Some("team".to_owned()), ..ClientHead::default() },
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        headers: vec![("accept".into(), "*/*".to_owned())],
        format: Format::Chat,
        model: Some("gpt".to_owned()),
        target: Some(TargetHead { provider: "openai".to_owned(), model: None, at: None }),
        body: BodyHead { bytes: 13, ..BodyHead::default() },
    }
}

fn record(frames: &[(Kind, Bytes)]) -> Value {
    let mut call = Call::default();
    for (kind, contents) in frames {
        call.take(*kind, contents).unwrap();
    }
    let line = line(&call.fields().unwrap(), "node-1", STAMP).unwrap();
    assert!(!line.contains(&b'\n'));
    let record = serde_json::from_slice(&line).unwrap();
    schema::check(&record);
    record
}

fn begun() -> (Kind, Bytes) {
    (super::super::contents::BEGIN, frame(&begin(), [b"{\n \"model\": 1}"]))
}

fn event(content: &str) -> Vec<u8> {
    let event = json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": content}}]});
    format!("data: {event}\n\n").into_bytes()
}

#[test]
fn a_plain_call_is_one_record() {
    let end = EndHead {
        outcome: "complete".to_owned(),
        status: Some(200),
        body: BodyHead { bytes: 2, ..BodyHead::default() },
        usage: Some(UsageHead { input: 1, output: 2, cached_input: 0, reasoning: 0 }),
        attempts: vec![attempt_on(&begin().target.unwrap(), begin().at)],
        ..EndHead::interrupted()
    };
    let record = record(&[begun(), (END, frame(&end, [b"{}"]))]);
    assert_eq!(record["v"], 1);
    assert_eq!(
        (&record["node"], &record["seq"], &record["type"]),
        (&json!("node-1"), &json!(7), &json!("ai"))
    );
    assert_eq!(record["ended_at"], "2025-11-13T02:13:20.123Z");
    assert_eq!(record["request"]["body"], json!({"model": 1}));
    assert_eq!((&record["response"]["status"], &record["response"]["body"]), (&json!(200), &json!({})));
    assert_eq!(record["response"]["sha256"], hex::encode(Sha256::digest(b"{}")));
    assert_eq!(record["route"], json!({"model": "gpt", "provider": "openai"}));
    assert_eq!((&record["message"], &record["usage"]["output"]), (&Value::Null, &json!(2)));
}

#[test]
fn a_stream_is_put_together_from_its_parts_and_its_end() {
    let part = |content: &str| {
        let bytes = event(content);
        (PART, frame(&PartHead { bytes: bytes.len() as u64, begun: None }, [&bytes]))
    };
    let end = EndHead {
        outcome: "complete".to_owned(),
        streamed: true,
        status: Some(200),
        attempts: vec![attempt_on(&begin().target.unwrap(), begin().at)],
        ..EndHead::interrupted()
    };
    let record =
        record(&[begun(), part("a"), part("b"), (END, frame(&end, [&event("c"), b"data: [DONE]\n\n"]))]);
    assert_eq!(record["message"]["content"], "abc");
    let body = [event("a"), event("b"), event("c"), b"data: [DONE]\n\n".to_vec()].concat();
    assert_eq!(record["response"]["body"], String::from_utf8(body).unwrap());
}

#[test]
fn an_interrupted_call_tells_whom_it_asked_and_what_was_delivered() {
    let further =
        TargetHead { provider: "azure".to_owned(), model: Some("eu".to_owned()), at: Some(begin().at) };
    let bytes = event("half");
    let record = record(&[
        begun(),
        (ATTEMPT, frame(&further, [])),
        (PART, frame(&PartHead { bytes: bytes.len() as u64, begun: None }, [&bytes])),
        (END, frame(&EndHead::interrupted(), [])),
    ]);
    assert_eq!((&record["outcome"], &record["streamed"]), (&json!("interrupted"), &json!(true)));
    let providers: Vec<_> =
        record["attempts"].as_array().unwrap().iter().map(|a| a["provider"].clone()).collect();
    assert_eq!(providers, ["openai", "azure"]);
    assert_eq!(record["message"]["content"], "half");
    assert_eq!(
        (&record["response"]["bytes"], &record["response"]["truncated"]),
        (&json!(bytes.len()), &json!(true))
    );
    assert_eq!(record["response"]["sha256"], Value::Null, "nobody knows what else passed");
}

#[test]
fn an_interrupted_call_tells_what_was_known_when_its_answer_began() {
    let target =
        |provider: &str| TargetHead { provider: provider.to_owned(), model: None, at: Some(begin().at) };
    let tried = |provider: &str, status, error: Option<&str>| AttemptHead {
        status: Some(status),
        error: error.map(str::to_owned),
        total_ms: Some(3),
        ..attempt_on(&target(provider), begin().at)
    };
    let begun_head = BegunHead {
        at: begin().at,
        status: Some(200),
        streamed: true,
        attempts: vec![tried("openai", 500, Some("status")), tried("azure", 200, None)],
    };
    let part = |bytes, begun| (PART, frame(&PartHead { bytes, begun }, []));
    let attempt = |provider| (ATTEMPT, frame(&target(provider), []));
    let left = EndHead { body: BodyHead { bytes: 11, ..BodyHead::default() }, ..EndHead::interrupted() };
    let record = record(&[
        begun(),
        attempt("azure"),
        part(5, Some(begun_head)),
        part(2, None),
        attempt("third"),
        part(3, None),
        (END, frame(&left, [])),
    ]);
    assert_eq!((&record["response"]["status"], &record["streamed"]), (&json!(200), &json!(true)));
    assert_eq!(record["first_byte_at"], record["started_at"]);
    let attempts: Vec<_> = record["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| {
            json!([
                attempt["provider"],
                attempt["status"],
                attempt["error"],
                attempt["total_ms"],
                attempt["delivered"]
            ])
        })
        .collect();
    let expected = [
        json!(["openai", 500, "status", 3, 0]),
        json!(["azure", 200, "interrupted", null, 7]),
        json!(["third", null, "interrupted", null, 4]),
    ];
    assert_eq!(attempts, expected);
}

#[test]
fn a_call_whose_beginning_is_lost_says_so() {
    for id in [None, Some("01B".to_owned())] {
        let end = EndHead {
            id: id.clone(),
            outcome: "complete".to_owned(),
            status: Some(200),
            body: BodyHead { bytes: 2, ..BodyHead::default() },
            ..EndHead::interrupted()
        };
        let record = record(&[(END, frame(&end, [b"{}"]))]);
        assert_eq!(record.get("id"), id.map(Value::from).as_ref());
        assert_eq!((&record["lost_frames"], &record["response"]["status"]), (&json!(1), &json!(200)));
        assert_eq!((&record["request"], &record["started_at"]), (&Value::Null, &Value::Null));
    }
}

#[test]
fn a_digest_is_of_what_passed_or_not_there() {
    let given = Some("00".repeat(32));
    let of_kept = Some(hex::encode(Sha256::digest(b"{}")));
    for (bytes, truncated, sha256, expected) in [
        (2, false, None, of_kept),
        (2, true, None, None),
        (3, false, None, None),
        (0, false, None, None),
        (3, true, given.clone(), given),
    ] {
        let body = BodyHead { bytes, truncated, sha256, binary: false };
        let end = EndHead { outcome: "complete".to_owned(), body, ..EndHead::interrupted() };
        let record = record(&[begun(), (END, frame(&end, [b"{}"]))]);
        assert_eq!(record["response"]["sha256"], json!(expected), "{bytes} {truncated}");
    }
}
