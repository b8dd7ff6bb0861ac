//! Requests and answers at their edges: bodies that stop, providers that answer early, or in a way
//! that is no HTTP.

use std::io::{BufReader, Write as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lockstep_tests::curl::Curl;
use lockstep_tests::gateway::{KEY, Running, chat, chat_body, chat_stream, gateway, keyed, post};
use lockstep_tests::http1;
use lockstep_tests::provider::{CONTENT, Head, Step};
use lockstep_tests::{Client, HOST, Origin, Provider, Request, poll, until};
use serde_json::{Value, json};

/// A gateway whose model `m` is first asked at an address that answers with these bytes.
fn answering(bytes: &'static [u8]) -> (Origin, Provider, Running) {
    let origin = Origin::connection(move |stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        let head = http1::read_head(&mut reader)?.expect("a request");
        let framing = head.framing();
        http1::read_body(&mut reader, head, framing)?;
        stream.write_all(bytes)
    });
    let (right, proxy) = before(&origin);
    (origin, right, proxy)
}

fn before(origin: &Origin) -> (Provider, Running) {
    let right = Provider::start("b");
    let proxy = gateway(&[("b", &right)])
        .provider("a", json!({"kind": "openai", "base_url": format!("http://{}/v1", origin.addr)}))
        .model("m", &[("a", "x"), ("b", "ok")])
        .model("alone", &[("a", "x")])
        .set("timeouts", json!({"total": "5s"}))
        .start();
    (right, proxy)
}

#[test]
fn what_is_no_http_is_no_answer() {
    let cases: [&[u8]; 7] = [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 999999 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{\"a\":1",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n{}",
    ];
    for bytes in cases {
        let (_origin, right, proxy) = answering(bytes);
        let answer = proxy.chat("m");
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!((answer.status(), right.count()), (200, 1), "{shown:?}: {answer:?}");
        let alone = proxy.chat("alone");
        assert_eq!(alone.status(), 502, "{shown:?}: {alone:?}");
        assert!(
            alone.json()["error"]["code"].as_str().is_some_and(|code| code.starts_with("upstream_")),
            "{alone:?}"
        );
    }
}

#[test]
fn interim_answers_are_left_out() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\
        HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 56\r\n\r\n\
        {\"choices\":[{\"message\":{\"content\":\"x\"},\"index\":0}]}      ";
    let (_origin, right, proxy) = answering(answer);
    let answer = proxy.chat("m");
    assert_eq!((answer.status(), answer.header("x-lockstep-target")), (200, Some("a/x")), "{answer:?}");
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "x");
    assert_eq!(right.count(), 0);
}

#[test]
fn an_early_answer_is_heard() {
    // It answers on the head and closes, with the body still on its way.
    let origin = Origin::connection(|stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        http1::read_head(&mut reader)?;
        let body = r#"{"error":{"message":"too much","type":"invalid_request_error","param":null,"code":"too_much"}}"#;
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    });
    let (right, proxy) = before(&origin);
    let mut body = chat_body("m");
    body["user"] = json!("x".repeat(8 << 20));
    for _ in 0..5 {
        let answer = proxy.send(&post("/v1/chat/completions", &body));
        assert_eq!(
            (answer.status(), &answer.json()["error"]["code"]),
            (413, &json!("too_much")),
            "{answer:?}"
        );
    }
    assert_eq!(right.count(), 0, "it is the request's fault");
}

#[test]
fn bodies_that_stop_reach_nobody() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).configured("server.limits.idle_timeout", "1s").start();
    let begin = || {
        let request = Request::new("POST", "/v1/chat/completions").header("content-type", "application/json");
        keyed(&request.header("content-length", "1000"))
    };
    let mut client = Client::connect(proxy.addr());
    client.send(begin().bytes());
    client.send("{\"model\":");
    let answer = client.response();
    assert_eq!((answer.status(), &answer.json()["error"]["type"]), (408, &json!("invalid_request_error")));
    assert!(answer.json()["error"]["code"].is_string());
    let mut client = Client::connect(proxy.addr());
    client.send(begin().bytes());
    client.send("{\"model\":");
    drop(client);
    until("both are logged", || proxy.proxy.access_log().len() == 2);
    let outcomes: Vec<_> =
        proxy.proxy.access_log().iter().map(|line| line["ai"]["outcome"].clone()).collect();
    assert_eq!(outcomes, ["rejected", "client_closed"]);
    assert_eq!((provider.count(), provider.accepted()), (0, 0));
}

#[test]
fn a_body_may_be_asked_for() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let body = chat_body("ok").to_string();
    for path in ["/v1/chat/completions", "/v1/batches"] {
        let request = Request::new("POST", path).header("content-type", "application/json");
        let request =
            request.header("content-length", &body.len().to_string()).header("expect", "100-continue");
        let mut client = Client::connect(proxy.addr());
        client.send(keyed(&request).bytes());
        assert_eq!(client.head().status(), 100, "{path}");
        client.send(&body);
        assert_eq!(client.response().status(), 200, "{path}");
        assert_eq!(provider.last().request.text(), body);
        // The connection goes on.
        assert_eq!(client.exchange(&keyed(&chat("ok"))).expect("an answer").status(), 200);
    }
    let large = "x".repeat(3 << 20);
    let curl = Curl::new("http", HOST, proxy.addr(), "/v1/batches");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &large).expect("it is written");
    let data = format!("@{}", file.path().display());
    let answer = curl
        .args(&["--oauth2-bearer", KEY, "--header", "expect: 100-continue", "--data-binary", &data])
        .response();
    assert_eq!(answer.json()["bytes"], large.len());
}

#[test]
fn an_upload_streams_to_the_provider() {
    let (parts, arrived) = std::sync::mpsc::channel();
    let parts = parking_lot::Mutex::new(parts);
    let origin = Origin::connection(move |stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        http1::read_head(&mut reader)?;
        while let Some(part) = http1::read_chunk(&mut reader)? {
            let _over = parts.lock().send(part);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
    });
    let (_right, proxy) = before(&origin);
    proxy.proxy.reload(
        &gateway(&[])
            .provider("a", json!({"kind": "openai", "base_url": format!("http://{}/v1", origin.addr)}))
            .set("models", json!({}))
            .set("default_provider", "a")
            .config(),
    );
    let mut client = Client::connect(proxy.addr());
    client.send(keyed(&Request::new("POST", "/v1/files").header("transfer-encoding", "chunked")).bytes());
    for number in 0..10 {
        let part = format!("part {number}");
        client.send(format!("{:x}\r\n{part}\r\n", part.len()));
        let got = arrived.recv_timeout(Duration::from_secs(10)).expect("it arrives before the next is sent");
        assert_eq!(String::from_utf8_lossy(&got), part);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn an_upload_of_unknown_size_passes_over_http2() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).set("providers.a.http2", true).start();
    let mut client = Client::connect(proxy.addr());
    client.send(keyed(&Request::new("POST", "/v1/files").header("transfer-encoding", "chunked")).bytes());
    client.send("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let curl = Curl::new("http", HOST, proxy.addr(), "/v1/batches/b1/cancel");
    let arguments = ["--http2-prior-knowledge", "--oauth2-bearer", KEY, "--request", "POST"];
    assert_eq!(curl.args(&arguments).response().status(), 200);
    let calls = provider.calls();
    let seen: Vec<_> = calls.iter().map(|call| (call.http2, &call.request.body[..])).collect();
    assert_eq!(seen, [(true, &b"hello world"[..]), (true, b"")]);
}

#[test]
fn redirects_of_providers_are_not_followed() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let proxy = gateway(&[("a", &a)]).start();
    let away = Head::new(307, "text/plain").header("location", &format!("{}/stolen", b.url())).length(0);
    a.play("away", vec![Step::Head(away), Step::End]);
    let answer = proxy.chat("away");
    assert_ne!(answer.status(), 200);
    assert_eq!(b.count(), 0, "our key goes nowhere else");
}

#[test]
fn odd_answers_of_the_right_kind_pass() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let play = |head: Head, body: &str| {
        let script = vec![Step::Head(head.length(body.len())), Step::Data(body.to_owned().into()), Step::End];
        provider.play("odd", script);
        proxy.chat("odd")
    };
    // Some providers have no usage, no id, or names of their own.
    let answer = play(Head::new(200, "application/json; charset=utf-8"), "{\"choices\":[],\"x\":1}");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{\"choices\":[],\"x\":1}"));
    // Errors that lack OpenAI's shape are given it; those that have it keep their words.
    let answer = play(Head::new(400, "text/plain"), "nope");
    assert_eq!((answer.status(), &answer.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let answer = play(Head::new(400, "application/json"), "{\"error\":\"nope\"}");
    assert!(
        answer.json()["error"]["message"].as_str().is_some_and(|text| text.contains("nope")),
        "{answer:?}"
    );
    let own =
        "{\"error\": {\"message\":\"m\",\"type\":\"own\",\"param\":null,\"code\":\"own_code\",\"more\":1}}";
    assert_eq!(play(Head::new(422, "application/json"), own).text(), own);
    let cookies = Head::new(200, "application/json").header("set-cookie", "a=b").header("x-own", "1");
    let answer = play(cookies, "{\"choices\":[]}");
    assert_eq!((answer.header("set-cookie"), answer.header("x-own")), (None, Some("1")));
}

#[test]
fn compressed_answers_arrive() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let mut body = chat_body("gzip");
    for streamed in [false, true] {
        body["stream"] = json!(streamed);
        let arguments = ["--compressed", "--oauth2-bearer", KEY, "--json", &body.to_string()];
        let text =
            Curl::new("http", HOST, proxy.addr(), "/v1/chat/completions").args(&arguments).response().text();
        if streamed {
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        } else {
            let value: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(value["choices"][0]["message"]["content"], CONTENT);
        }
    }
}

#[test]
fn a_binary_answer_that_stalls_is_cut() {
    let provider = Provider::start("a");
    let head = Head::new(200, "audio/mpeg").length(1000);
    provider.play("voice", vec![Step::Head(head), Step::Data(Bytes::from_static(b"half")), Step::Silence]);
    let proxy = gateway(&[("a", &provider)]).set("timeouts", json!({"idle": "300ms"})).start();
    let body = json!({"model": "voice", "input": "hello", "voice": "alloy"});
    let mut client = Client::connect(proxy.addr());
    client.send(keyed(&post("/v1/audio/speech", &body)).bytes());
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.rest(), b"half", "and then it is cut");
    assert!(provider.is_left_within(poll::SOON));
    until("it is logged", || proxy.proxy.access_log().len() == 1);
    assert_eq!(proxy.proxy.access_log()[0]["ai"]["outcome"], "upstream_error");
}

#[test]
fn the_time_of_a_first_event_begins_with_the_connection() {
    let provider = Provider::start("a");
    // Connecting takes no time here, and has none to give.
    let timeouts = json!({"connect": "5s", "first_event": "300ms", "total": "300ms"});
    let proxy = gateway(&[("a", &provider)]).set("timeouts", timeouts).start();
    for request in [chat_stream("silence"), chat_stream("headers-silence"), chat("silence")] {
        let begun = Instant::now();
        let answer = proxy.send(&request);
        assert_eq!(
            (answer.status(), answer.json()["error"]["code"].as_str()),
            (504, Some("upstream_timeout"))
        );
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_client_that_takes_nothing_is_cut_and_told_apart() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).configured("server.limits.idle_timeout", "500ms").start();
    let mut client = Client::connect(proxy.addr());
    client.send(keyed(&chat_stream("endless")).bytes());
    let sum = |name: &str, label: (&str, &str)| proxy.proxy.metrics().sum(name, &[label]);
    until("it is cut", || sum("lockstep_ai_requests_total", ("outcome", "client_closed")) == 1.0);
    assert_eq!(sum("lockstep_ai_attempts_total", ("result", "client_too_slow")), 1.0);
    drop(client);
}

#[test]
fn calls_that_go_well_are_logged_by_their_share() {
    let provider = Provider::start("a");
    let section = gateway(&[("a", &provider)]).set("models", json!({})).model("known", &[("a", "ok")]);
    let proxy = section.configured("server.access_log", json!({"sample": "0%"})).start();
    assert_eq!(proxy.chat("known").status(), 200);
    assert_eq!(proxy.chat("unknown").status(), 404);
    until("the refused one is logged", || !proxy.proxy.access_log().is_empty());
    let log = proxy.proxy.access_log();
    assert_eq!((log.len(), &log[0]["ai"]["code"]), (1, &json!("model_not_found")));
    let explained = proxy.proxy.api("explain?host=any.test&path=/v1/models");
    assert_eq!((&explained["reason"], &explained["status"]), (&json!("ai"), &json!(null)));
}

#[test]
fn who_leaves_the_path_out_of_the_base_url_is_told() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let request = Request::post("/chat/completions", chat_body("ok").to_string());
    let answer = keyed(&request).send(proxy.addr());
    let error = &answer.json()["error"];
    assert_eq!((answer.status(), &error["code"]), (404, &json!("unknown_url")));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("must end in")), "{answer:?}");
    assert_eq!(keyed(&Request::get("/models")).send(proxy.addr()).status(), 404);
    let other = Request::get("/elsewhere").send(proxy.addr());
    assert_eq!((other.status(), other.json()["error"].as_str()), (404, Some("no_route")));
    assert_eq!(provider.count(), 0);
}
