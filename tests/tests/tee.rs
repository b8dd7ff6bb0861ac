//! Records of app traffic.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lockstep_tests::audit::{files, shipped};
use lockstep_tests::process::Signal;
use lockstep_tests::{Client, Config, Lockstep, Origin, Request, app, eventually, poll};
use serde_json::{Value, json};

fn start(origin: &Origin, level: &str) -> Lockstep {
    let shop = app("shop").version("v1", &[origin.addr]).set("audit", level);
    Lockstep::start(&audited().app(shop))
}

/// Ships soon, in a form that is read without more ado.
fn audited() -> Config {
    Config::new().set("audit", json!({"compression": "none", "batch": {"interval": "100ms"}}))
}

/// The records of app traffic that were shipped so far.
fn records(dir: &Path) -> Vec<Value> {
    let records = shipped(&dir.join("audit")).into_iter();
    records.filter(|record| record["type"] == "http").collect()
}

fn record(proxy: &Lockstep, path: &str) -> Value {
    eventually("the record is written", || {
        records(&proxy.data_dir()).into_iter().find(|record| record["request"]["path"] == path)
    })
}

#[test]
fn metadata_names_who_asked_what_and_who_answered() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, "metadata");
    let request = Request::post("/buy?card=4111", "{\"item\":1}").header("user-agent", "test/1");
    let answer = proxy.send(&request.header("authorization", "Bearer secret-1").pinned("v1"));
    let record = record(&proxy, "/buy");
    assert_eq!(
        (&record["v"], &record["type"], &record["outcome"]),
        (&json!(1), &json!("http"), &json!("complete"))
    );
    assert_eq!(record["route"], json!({"app": "shop", "version": "v1", "reason": "cookie"}));
    assert_eq!((&record["request"]["method"], &record["request"]["bytes"]), (&json!("POST"), &json!(10)));
    assert_eq!(
        (&record["response"]["status"], &record["response"]["bytes"]),
        (&json!(200), &json!(answer.body.len()))
    );
    assert_eq!(
        (&record["client"]["addr"], &record["client"]["user_agent"]),
        (&json!("127.0.0.1"), &json!("test/1"))
    );
    assert_eq!(record["client"]["request_id"].as_str(), origin.last().header("x-request-id"));
    assert_eq!(record["request"]["body"], Value::Null);
    for secret in ["4111", "secret-1", "item"] {
        assert!(!record.to_string().contains(secret), "{secret} in {record}");
    }
    for file in files(&proxy.data_dir().join("audit")) {
        let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn full_records_hold_bodies_up_to_a_limit() {
    let origin = Origin::answering("v1", |request, reply| reply.respond(200, &[], &request.body));
    let proxy = start(&origin, "full");
    proxy.send(&Request::post("/small", "{\"item\": 1}"));
    let small = record(&proxy, "/small");
    assert_eq!(small["request"]["body"], json!({"item": 1}));
    assert_eq!(small["response"]["body"], json!({"item": 1}));
    assert_eq!(small["request"]["truncated"], false);
    let large = "x".repeat(5 << 20);
    assert!(proxy.send(&Request::post("/large", large.clone())).text() == large);
    let record = record(&proxy, "/large");
    for side in ["request", "response"] {
        assert_eq!((&record[side]["bytes"], &record[side]["truncated"]), (&json!(5 << 20), &json!(true)));
        let kept = record[side]["body"].as_str().expect("text");
        assert!(!kept.is_empty() && large.starts_with(kept), "{} bytes", kept.len());
    }
}

#[test]
fn an_app_without_audit_leaves_no_record() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, "none");
    assert_eq!(proxy.send(&Request::get("/")).status(), 200);
    let Lockstep { mut process, dir, .. } = proxy;
    process.signal(Signal::Term);
    process.wait(poll::SOON);
    assert_eq!(records(&dir.path().join("data")), Vec::<Value>::new());
}

#[test]
fn failures_are_recorded_as_what_they_are() {
    let origin = Origin::answering("v1", |request, reply| {
        reply.begin(&[])?;
        reply.chunk("half")?;
        if request.target() == "/left" {
            reply.closed();
        }
        reply.close();
        Ok(())
    });
    let proxy = start(&origin, "metadata");
    Request::get("/cut").try_send(proxy.addr()).expect_err("a cut");
    assert_eq!(record(&proxy, "/cut")["outcome"], "upstream_error");
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/left").bytes());
    assert_eq!(client.head().status(), 200);
    drop(client);
    assert_eq!(record(&proxy, "/left")["outcome"], "client_closed");
}

#[test]
fn the_end_of_the_process_loses_no_record() {
    let origin = Origin::echo("v1");
    let mut proxy = start(&origin, "full");
    let mut client = Client::connect(proxy.addr());
    for number in 0..500 {
        let request = Request::post(&format!("/{number}"), "x".repeat(1000));
        assert_eq!(client.exchange(&request).expect("an answer").status(), 200);
    }
    proxy.signal(Signal::Term);
    assert!(proxy.process.wait(poll::SOON).success());
    let records = records(&proxy.data_dir());
    assert_eq!(records.len(), 500);
    let ids: std::collections::HashSet<_> = records.iter().map(|record| record["id"].to_string()).collect();
    assert_eq!(ids.len(), 500);
}
