//! Streams of HTTP/2 that belong to the gateway take a way of their own through the edge: from outside it is the same
//! as that of HTTP/1.1, in what callers get, what providers see, what is logged and what is counted.

use std::time::Duration;

use lockstep_tests::curl::Curl;
use lockstep_tests::gateway::{KEY, Running, chat_body, gateway};
use lockstep_tests::http2::Stream;
use lockstep_tests::process::Signal;
use lockstep_tests::{HOST, Message, Provider, until};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

/// A request as curl's arguments, and the status of its answer.
struct Case {
    target: &'static str,
    arguments: Vec<String>,
    status: u16,
}

fn case(target: &'static str, arguments: &[&str], status: u16) -> Case {
    Case { target, arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(), status }
}

fn cases() -> Vec<Case> {
    let body = chat_body("ok").to_string();
    let mut streamed = chat_body("ok");
    streamed["stream"] = json!(true);
    let streamed = streamed.to_string();
    let unknown = chat_body("ok").to_string().replace("\"ok\"", "\"nowhere\"");
    let large = "x".repeat(40_000);
    let known = ["--oauth2-bearer", KEY];
    let with = |more: &[&str]| -> Vec<String> {
        known.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
    };
    let asked = |target, more: &[&str], status| Case { target, arguments: with(more), status };
    vec![
        asked(CHAT, &["--json", &body], 200),
        asked(CHAT, &["--json", &streamed], 200),
        asked(CHAT, &["--json", "no json"], 400),
        asked(CHAT, &["--json", &unknown], 404),
        asked("/v1/models", &[], 200),
        asked("/v1/models", &["--head"], 200),
        // Passes through.
        asked("/v1/elsewhere", &[], 200),
        // The edge itself has the smaller limit.
        asked(CHAT, &["--json", &large], 413),
        case(CHAT, &["--json", &body], 401),
        case("/v1/models", &["--oauth2-bearer", "lk-nobody"], 401),
        // Not the gateway's.
        case("/elsewhere", &[], 404),
    ]
}

fn start(provider: &Provider) -> Running {
    let models = json!({"ok": {"targets": [{"provider": "a"}]}, "stall": {"targets": [{"provider": "a"}]}});
    let gateway = gateway(&[("a", provider)])
        .set("models", models)
        .set("limits", json!({"body_bytes": "16KiB"}))
        .configured("server.limits.body_bytes", "32KiB");
    gateway.start()
}

fn ask(proxy: &Running, protocol: &str, case: &Case) -> Message {
    let arguments: Vec<_> = case.arguments.iter().map(String::as_str).collect();
    Curl::new("http", HOST, proxy.addr(), case.target).args(&[protocol]).args(&arguments).response()
}

/// What is the same for each call that is made alike.
fn told(answer: &Message) -> String {
    let varies = |name: &str| {
        matches!(name, "x-request-id" | "date" | "connection" | "transfer-encoding" | "keep-alive")
    };
    let headers = answer.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !varies(name)).collect();
    headers.sort();
    // The provider counts its answers.
    let text = answer.text();
    let body = text.split_inclusive("chatcmpl-a-").map(|part| part.trim_start_matches(char::is_numeric));
    format!("{} {headers:?} {}", answer.status(), body.collect::<String>())
}

/// A line of the access log without what differs from call to call.
fn logged(line: &Value) -> String {
    let mut line = line.clone();
    // What comes of a body that is refused at once is a matter of chance.
    for varies in ["time", "request_id", "duration_ms", "bytes_in"] {
        line.as_object_mut().expect("an object").remove(varies);
    }
    line.to_string()
}

/// Calls, refusals before the caller is known, and refusals of the edge.
fn counted(proxy: &Running) -> [f64; 3] {
    let metrics = proxy.proxy.metrics();
    ["lockstep_ai_requests_total", "lockstep_ai_refused_total", "lockstep_refused_total"]
        .map(|name| metrics.sum(name, &[]))
}

#[test]
fn both_protocols_are_served_alike() {
    let provider = Provider::start("a");
    let proxy = start(&provider);
    let round = |protocol: &str| {
        let (asked, lines, before) = (provider.count(), proxy.proxy.access_log().len(), counted(&proxy));
        let answers: Vec<_> = cases().iter().map(|case| ask(&proxy, protocol, case)).collect();
        for (case, answer) in cases().iter().zip(&answers) {
            assert_eq!(answer.status(), case.status, "{protocol} {}: {answer:?}", case.target);
        }
        until("all is logged", || proxy.proxy.access_log().len() == lines + answers.len());
        // One that sends on after its answer is logged when it has ended.
        let mut log: Vec<_> = proxy.proxy.access_log().iter().skip(lines).map(logged).collect();
        log.sort();
        let counted: Vec<_> = counted(&proxy).iter().zip(before).map(|(now, before)| now - before).collect();
        (answers.iter().map(told).collect::<Vec<_>>(), log, counted, provider.count() - asked)
    };
    let (old, new) = (round("--http1.1"), round("--http2-prior-knowledge"));
    for (old, new) in old.0.iter().zip(&new.0).chain(old.1.iter().zip(&new.1)) {
        assert_eq!(old, new);
    }
    assert_eq!(old.2, new.2);
    assert!(old.2.iter().all(|count| *count > 0.0), "{:?}", old.2);
    assert_eq!((old.3, new.3), (4, 4), "nobody else is asked");
    until("nothing runs", || proxy.proxy.metrics().sum("lockstep_ai_in_flight", &[]) == 0.0);
}

#[test]
fn a_client_that_goes_ends_its_stream() {
    let provider = Provider::start("a");
    let proxy = start(&provider);
    let mut body = chat_body("stall");
    body["stream"] = json!(true);
    let body = body.to_string();
    let arguments = ["--http2-prior-knowledge", "--max-time", "1", "--oauth2-bearer", KEY, "--json", &body];
    let output = Curl::new("http", HOST, proxy.addr(), CHAT).args(&arguments).output();
    assert_eq!(output.status.code(), Some(28), "curl gives up: {output:?}");
    until("the call is over", || proxy.proxy.metrics().sum("lockstep_ai_in_flight", &[]) == 0.0);
    until("its end is logged", || {
        proxy.proxy.access_log().iter().any(|line| line["ai"]["outcome"] == "client_closed")
    });
}

#[test]
fn a_redirect_comes_before_the_gateway() {
    let provider = Provider::start("a");
    let listen = json!([{"addr": "127.0.0.1:0", "redirect_https": true}]);
    let proxy = gateway(&[("a", &provider)]).configured("server.listen", listen).start();
    let answer = ask(&proxy, "--http2-prior-knowledge", &case("/v1/models", &["--oauth2-bearer", KEY], 308));
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.header("location"), Some(&*format!("https://{HOST}/v1/models")));
}

#[test]
fn a_body_that_stops_coming_is_not_waited_for() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).configured("server.limits.idle_timeout", "500ms").start();
    let mut stream = Stream::open(proxy.addr(), "POST", CHAT, KEY);
    stream.send("{");
    let (status, body) = stream.answer();
    assert_eq!((status, &body["error"]["code"]), (408, &json!("body_timeout")));
    assert_eq!(provider.count(), 0);
}

#[test]
fn a_reset_is_seen_although_the_request_has_no_end() {
    let provider = Provider::start("a");
    provider.otherwise("silence");
    let proxy = gateway(&[("a", &provider)]).start();
    let mut stream = Stream::open(proxy.addr(), "GET", "/v1/files/file-1", KEY);
    until("it is with the provider", || provider.count() == 1);
    stream.reset();
    until("the call is over", || proxy.proxy.metrics().sum("lockstep_ai_in_flight", &[]) == 0.0);
    until("its end is logged", || {
        proxy.proxy.access_log().iter().any(|line| line["ai"]["outcome"] == "client_closed")
    });
}

#[test]
fn streams_end_in_order_at_shutdown() {
    let provider = Provider::start("a");
    let mut proxy = gateway(&[("a", &provider)])
        .configured("server.shutdown", json!({"lame_duck": "0s", "grace": "1s"}))
        .start();
    let mut body = chat_body("stall");
    body["stream"] = json!(true);
    let mut told = Stream::open(proxy.addr(), "POST", CHAT, KEY);
    told.finish(&body.to_string());
    let mut leaves = Stream::open(proxy.addr(), "POST", CHAT, KEY);
    leaves.finish(&body.to_string());
    until("both are with the provider", || provider.count() == 2);
    proxy.proxy.signal(Signal::Term);
    drop(leaves);
    let (_, text, is_whole) = told.take();
    assert!(text.contains("\"code\":\"shutting_down\"") && !text.contains("[DONE]"), "{text}");
    assert!(is_whole, "a reset would overtake what was said last");
    assert!(proxy.proxy.process.wait(Duration::from_secs(10)).success());
    let log = proxy.proxy.access_log();
    let mut outcomes: Vec<_> = log.iter().filter_map(|line| line["ai"]["outcome"].as_str()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["client_closed", "interrupted"]);
}
