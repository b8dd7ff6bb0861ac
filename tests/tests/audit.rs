//! Every call leaves one record, whatever happens to it and to the process.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lockstep_tests::audit::{files, shipped};
use lockstep_tests::gateway::{Gateway, Running, chat, chat_body, chat_stream, gateway, keyed, post};
use lockstep_tests::lockstep::{cli, command};
use lockstep_tests::process::{Process, Signal};
use lockstep_tests::provider::CONTENT;
use lockstep_tests::{Client, Lockstep, Provider, Request, long, poll, until};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// How often the process is killed under load, unless `LOCKSTEP_KILLS` says otherwise.
const KILLS: usize = 20;
const CALLERS: usize = 4;

/// Ships soon, in a form that is read without more ado.
fn audited(provider: &Provider) -> Gateway {
    gateway(&[("a", provider)])
        .model("fails", &[("a", "500")])
        .configured("audit", json!({"compression": "none", "batch": {"interval": "100ms"}}))
}

/// Ends an instance in order, and gives back its records and its directory.
fn ended(mut instance: Lockstep) -> (Vec<Value>, tempfile::TempDir) {
    instance.process.signal(Signal::Term);
    assert!(instance.process.wait(poll::SOON).success());
    let Lockstep { dir, .. } = instance;
    (shipped(&dir.path().join("data/audit")), dir)
}

fn verify(dir: &tempfile::TempDir) -> (bool, String) {
    let output = cli(["audit", "verify", &dir.path().join("data/audit").display().to_string()]);
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_directory_of_records_forgets_what_is_too_old() {
    let provider = Provider::start("a");
    let dir = tempfile::tempdir().expect("a directory");
    let records = dir.path().join("data/audit");
    let old = records.join("year=2020/month=02/day=29/hour=23");
    std::fs::create_dir_all(&old).expect("made");
    std::fs::write(old.join("node-00000000000000000000-00000000000000000000.jsonl"), "{}\n")
        .expect("written");
    let audit =
        json!({"compression": "none", "batch": {"interval": "100ms"}, "sink": {"kind": "dir", "keep": "1h"}});
    let section = gateway(&[("a", &provider)]).configured("audit", audit);
    let running = Running { proxy: Lockstep::start_in(dir, &section.config()) };
    until("it is gone", || !records.join("year=2020").exists());
    running.chat("ok");
    until("new records stay", || !files(&records).is_empty());
    let queues = running.proxy.api("queues");
    assert_eq!(queues["queues"][0]["name"], "audit-expiry");
    assert_eq!((&queues["queues"][0]["completed"], &queues["queues"][0]["dead"]), (&json!(1), &json!(0)));
    let metrics = running.proxy.metrics();
    let labels = [("queue", "audit-expiry"), ("result", "completed")];
    assert_eq!(metrics.sum("lockstep_jobs_ended_total", &labels), 1.0);
}

#[test]
fn what_a_translation_does_not_keep_is_told() {
    let provider = Provider::start("c");
    let claude =
        json!({"kind": "anthropic", "base_url": provider.url(), "api_key": {"value": "sk-c-0123456789"}});
    let instance = audited(&provider).provider("c", claude).model("claude", &[("c", "ok")]).start();
    let mut body = chat_body("claude");
    body["seed"] = json!(7);
    body["temperature"] = json!(1.8);
    assert_eq!(instance.send(&post("/v1/chat/completions", &body)).status(), 200);
    let (records, _dir) = ended(instance.proxy);
    let changes = json!([
        "request: translated",
        "request: seed not kept",
        "request: temperature not kept",
        "response: translated"
    ]);
    assert_eq!(records[0]["changes"], changes);
}

#[test]
fn an_upload_that_is_cut_is_told_as_far_as_it_came() {
    let provider = Provider::start("a");
    let instance = audited(&provider).set("timeouts", json!({"total": "1s"})).start();
    let mut client = Client::connect(instance.addr());
    client.send(keyed(&Request::new("POST", "/v1/files").header("transfer-encoding", "chunked")).bytes());
    client.send("5\r\nhello\r\n");
    assert_eq!(client.response().status(), 504);
    let (records, _dir) = ended(instance.proxy);
    let request = &records[0]["request"];
    assert_eq!(
        (&request["bytes"], &records[0]["outcome"]),
        (&json!(5), &json!("upstream_error")),
        "{records:?}"
    );
    assert_eq!(request["sha256"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
}

#[test]
fn a_tail_shows_calls_as_they_end() {
    let provider = Provider::start("a");
    let running = audited(&provider).start();
    running.chat("fails");
    let mut open = Client::connect(running.addr());
    open.send(keyed(&chat_stream("stall")).bytes());
    assert_eq!(open.head().status(), 200);
    let admin = format!("http://{}", running.proxy.admin);
    let mut tail = Process::start("tail", command().args(["audit", "tail", "--admin", &admin]));
    let lines = tail.stdout.clone();
    let seen = |model: &str| {
        let lines = lines.all().into_iter();
        let lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("a line of JSON"));
        lines.filter(|record| record["route"]["model"] == model).collect::<Vec<_>>()
    };
    until("the tail has begun", || {
        running.chat("ok");
        !seen("ok").is_empty()
    });
    assert_eq!(seen("ok")[0]["outcome"], "complete");
    assert!(seen("fails").is_empty(), "it ended before");
    drop(open);
    until("a call that began before is shown when it ends", || seen("stall").len() == 1);
    assert_eq!(seen("stall")[0]["outcome"], "client_closed");
    assert_eq!(seen("stall")[0]["request"]["body"]["model"], "stall", "whole, from its beginning");
    let Running { proxy } = running;
    let (_records, _dir) = ended(proxy);
    assert!(tail.wait(poll::SOON).success(), "it ends with the instance");
}

#[test]
fn every_call_leaves_one_record_that_says_what_happened() {
    let provider = Provider::start("a");
    let running = audited(&provider).start();
    let expected = [
        (running.send(&keyed(&chat("ok"))), "complete", 200),
        (running.stream("ok").message, "complete", 200),
        (running.chat("fails"), "upstream_error", 500),
        (running.stream("cut").message, "upstream_error", 200),
    ];
    let answers = expected.map(|(answer, outcome, status)| {
        (answer.header("x-request-id").expect("an id").to_owned(), outcome, status)
    });
    let asked = provider.count();
    let Running { proxy } = running;
    let (records, dir) = ended(proxy);
    assert_eq!(records.len(), answers.len(), "{records:#?}");
    for (id, outcome, status) in &answers {
        let record = records.iter().find(|record| record["id"] == **id).expect("its record");
        assert_eq!(record["outcome"], *outcome, "{record:#}");
        assert_eq!(record["response"]["status"], *status, "{record:#}");
        assert_eq!(record["client"]["key_id"], "team-a");
        let attempts = record["attempts"].as_array().expect("attempts").iter();
        let delivered: u64 = attempts.filter_map(|attempt| attempt["delivered"].as_u64()).sum();
        assert!(delivered > 0 && record["response"]["bytes"] == delivered, "{record:#}");
    }
    let attempts: usize =
        records.iter().map(|record| record["attempts"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(attempts, asked, "every try is in a record");
    let seqs: Vec<_> = records.iter().map(|record| record["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, (0..records.len() as u64).collect::<Vec<_>>());
    assert!(verify(&dir).0, "{}", verify(&dir).1);
    let told = verify(&dir).1;
    assert!(told.contains("all there, unchanged") && told.contains("without --key"), "{told}");
    // An edit shows.
    let object = files(&dir.path().join("data/audit")).remove(0);
    let text = std::fs::read_to_string(&object).expect("it is read");
    std::fs::write(&object, text.replacen("team-a", "team-b", 1)).expect("it is written");
    let (intact, told) = verify(&dir);
    assert!(!intact && told.contains("was changed"), "{told}");
}

#[test]
fn a_directory_without_its_beginning_or_anything_is_not_all_there() {
    let provider = Provider::start("a");
    let running = audited(&provider).start();
    let below = running.proxy.dir.path().join("data/audit");
    for objects in [1, 2] {
        running.chat("ok");
        until("it is shipped", || files(&below).len() == objects);
    }
    let Running { proxy } = running;
    let (_records, dir) = ended(proxy);
    let first = files(&below).remove(0);
    std::fs::remove_file(first).expect("removed");
    let (intact, told) = verify(&dir);
    assert!(intact && told.contains("begins with record 1;"), "{told}");
    assert!(told.contains("all there from where they begin"), "{told}");
    for object in files(&below) {
        std::fs::remove_file(object).expect("removed");
    }
    let (intact, told) = verify(&dir);
    assert!(!intact && told.contains("nothing there"), "{told}");
}

/// Callers that call until told to stop, and remember what they saw.
struct Load {
    stop: Arc<AtomicBool>,
    complete: Arc<Mutex<Vec<String>>>,
    made: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(addr: std::net::SocketAddr) -> Self {
        let (stop, complete, made) = (
            Arc::<AtomicBool>::default(),
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::<AtomicUsize>::default(),
        );
        let callers = (0..CALLERS).map(|number| {
            let (stop, complete, made) = (Arc::clone(&stop), Arc::clone(&complete), Arc::clone(&made));
            std::thread::spawn(move || {
                for kind in (0..4).cycle().skip(number) {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    made.fetch_add(1, Ordering::AcqRel);
                    if let Some(id) = call(addr, &marked(kind)) {
                        complete.lock().push(id);
                    }
                }
            })
        });
        let callers = callers.collect();
        Self { stop, complete, made, callers }
    }

    /// The ids of the answers that were seen to their end.
    fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        self.callers.into_iter().for_each(|caller| caller.join().expect("a caller"));
        std::mem::take(&mut self.complete.lock())
    }
}

/// A call of one of four kinds, of which there is no second.
fn marked(kind: usize) -> Request {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut body = chat_body(if kind == 2 { "fails" } else { "ok" });
    body["user"] = json!(format!("call {}", NEXT.fetch_add(1, Ordering::AcqRel)));
    body["stream"] = json!(kind % 2 == 1);
    keyed(&post("/v1/chat/completions", &body))
}

/// The id of an answer, if all of it came.
fn call(addr: std::net::SocketAddr, request: &lockstep_tests::Request) -> Option<String> {
    let mut client = Client::try_connect(addr).ok()?;
    client.try_send(request.bytes()).ok()?;
    let answer = client.try_response().ok()?;
    answer.header("x-request-id").map(str::to_owned)
}

#[test]
fn a_process_that_is_killed_loses_no_record_and_doubles_none() {
    let provider = Provider::start("a");
    let gateway = audited(&provider);
    let mut dir = tempfile::tempdir().expect("a directory");
    let mut complete = Vec::new();
    let kills = long("LOCKSTEP_KILLS", KILLS);
    for round in 0..kills {
        let mut instance = Lockstep::start_in(dir, &gateway.config());
        let load = Load::start(instance.addr());
        // The more calls, the later in the round.
        until("calls are made", || load.made.load(Ordering::Acquire) > 10 + round % 40 * 3);
        std::thread::sleep(Duration::from_millis(round as u64 * 7 % 50));
        instance.process.kill();
        complete.extend(load.finish());
        dir = instance.dir;
    }
    let asked = provider.calls();
    let (records, dir) = ended(Lockstep::start_in(dir, &gateway.config()));
    let mut by_id: HashMap<String, Vec<&Value>> = HashMap::new();
    for record in records.iter().filter(|record| record["type"] == "ai") {
        by_id.entry(record["id"].as_str().expect("an id").to_owned()).or_default().push(record);
    }
    assert!(complete.len() > kills, "{} answers are not enough to tell", complete.len());
    for id in &complete {
        let of_id = by_id.get(id).unwrap_or_else(|| panic!("{id} was answered and left no record"));
        assert_ne!(of_id[0]["outcome"], "interrupted", "{id} was answered: {:#}", of_id[0]);
    }
    assert!(by_id.values().all(|of_id| of_id.len() == 1), "one call has two records");
    let by_mark: HashMap<_, _> = records
        .iter()
        .filter_map(|record| Some((record["request"]["body"]["user"].as_str()?, record)))
        .collect();
    let mut tries: HashMap<String, usize> = HashMap::new();
    for call in &asked {
        *tries.entry(call.json()["user"].as_str().expect("a mark").to_owned()).or_default() += 1;
    }
    for (mark, tries) in tries {
        let record = by_mark.get(&*mark).unwrap_or_else(|| panic!("{mark} reached the provider unrecorded"));
        let attempts = record["attempts"].as_array().map_or(0, Vec::len);
        assert!(attempts >= tries, "{tries} tries reached the provider: {record:#}");
    }
    assert!(verify(&dir).0, "{}", verify(&dir).1);
}

/// Whether a text is among the first bytes of a file.
fn begins_with(file: &Path, text: &str) -> bool {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(file).expect("a segment");
    file.take(64 << 10).read_to_end(&mut bytes).expect("read");
    String::from_utf8_lossy(&bytes).contains(text)
}

#[test]
fn what_was_delivered_before_a_kill_is_in_the_record() {
    let provider = Provider::start("a");
    let gateway = audited(&provider).model("stall", &[("a", "stall")]);
    let running = gateway.start();
    let _client = running.begun(&chat_stream("stall"));
    let journal = running.proxy.data_dir().join("journal");
    until("what was delivered is written", || {
        let segments = std::fs::read_dir(&journal).expect("a journal");
        segments.flatten().any(|segment| begins_with(&segment.path(), "\"delta\""))
    });
    let Running { proxy: mut instance } = running;
    instance.process.kill();
    let (records, dir) = ended(Lockstep::start_in(instance.dir, &gateway.config()));
    let record = records.iter().find(|record| record["type"] == "ai").expect("a record");
    assert_eq!(record["outcome"], "interrupted", "{record:#}");
    assert_eq!(record["response"]["status"], 200, "{record:#}");
    assert!(record["attempts"][0]["delivered"].as_u64() > Some(0), "{record:#}");
    let content = record["message"]["content"].as_str().unwrap_or_default();
    assert!(!content.is_empty() && CONTENT.starts_with(content), "{record:#}");
    assert!(verify(&dir).0, "{}", verify(&dir).1);
}

#[test]
fn what_waits_can_be_shipped_from_a_volume_that_was_left_behind() {
    let provider = Provider::start("a");
    let nowhere =
        json!({"kind": "s3", "bucket": "audit", "region": "eu-west-1", "endpoint": "http://127.0.0.1:9"});
    let running = audited(&provider).configured("audit.sink", nowhere).start();
    for _ in 0..5 {
        assert_eq!(running.chat("ok").status(), 200);
    }
    let Running { proxy: mut instance } = running;
    assert_eq!(instance.readiness(), 200, "a sink that is away is no reason to be unready");
    instance.process.kill();
    let there = audited(&provider).config();
    instance.write(&there);
    let config = instance.config_file().display().to_string();
    let output = cli(["audit", "ship", "--config", &config]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shipped(&instance.data_dir().join("audit")).len(), 5);
    assert!(verify(&instance.dir).0);
}
