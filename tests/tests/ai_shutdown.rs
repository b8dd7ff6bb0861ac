//! How calls end with the process.

use std::time::Duration;

use lockstep_tests::gateway::{chat, chat_stream, gateway, keyed};
use lockstep_tests::process::Signal;
use lockstep_tests::provider::{Head, Step};
use lockstep_tests::{Client, Provider, Request, until};
use serde_json::json;

#[test]
fn calls_end_in_order_at_shutdown() {
    let provider = Provider::start("a");
    let mut proxy = gateway(&[("a", &provider)])
        .configured("server.shutdown", json!({"lame_duck": "0s", "grace": "2s"}))
        .start();
    let mut paced = proxy.begun(&chat_stream("paced-40"));
    let mut stalled = proxy.begun(&chat_stream("stall"));
    let mut silent = Client::connect(proxy.addr());
    silent.send(keyed(&chat("silence")).bytes());
    until("all are with the provider", || provider.count() == 3);
    proxy.proxy.signal(Signal::Term);
    let read = |client: &mut Client| {
        let mut text = Vec::new();
        let end = loop {
            match client.chunk() {
                Ok(Some(chunk)) => text.extend(chunk),
                end => break end,
            }
        };
        (String::from_utf8(text).expect("text"), end.is_err())
    };
    let (text, cut) = read(&mut paced);
    assert!(!cut && text.ends_with("data: [DONE]\n\n"), "what ends in time is not touched: {text}");
    let (text, cut) = read(&mut stalled);
    assert!(cut && text.contains("\"code\":\"shutting_down\"") && !text.contains("[DONE]"), "{text}");
    let answer = silent.response();
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (503, &json!("shutting_down")));
    assert!(proxy.proxy.process.wait(Duration::from_secs(10)).success());
}

#[test]
fn bodies_on_their_way_end_in_order_at_shutdown() {
    let provider = Provider::start("a");
    let head = Head::new(200, "application/octet-stream").length(1000);
    provider.play("half", vec![Step::Head(head), Step::Data("half".into()), Step::Silence]);
    provider.otherwise("half");
    let mut proxy = gateway(&[("a", &provider)])
        .configured("server.shutdown", json!({"lame_duck": "0s", "grace": "1s"}))
        .start();
    let begin = |request: &Request, body: &str| {
        let mut client = Client::connect(proxy.addr());
        client.send(keyed(request).bytes());
        client.send(body);
        client
    };
    let mut answer = begin(&Request::get("/v1/files/file-1/content"), "");
    assert_eq!((answer.head().status(), answer.bytes(4)), (200, b"half".to_vec()));
    let chunked = Request::new("POST", "/v1/batches").header("transfer-encoding", "chunked");
    let length = Request::new("POST", "/v1/chat/completions").header("content-length", "1000");
    let waiting = [
        begin(&chunked, "5\r\nhello\r\n"),
        begin(&chunked, "13\r\n{\"model\":\"silence\"}\r\n0\r\n\r\n"),
        begin(&length, "{"),
    ];
    let in_flight = || proxy.proxy.metrics().sum("lockstep_ai_in_flight", &[]);
    until("all have begun", || provider.count() == 2 && in_flight() == 4.0);
    proxy.proxy.signal(Signal::Term);
    for mut client in waiting {
        let told = client.response();
        assert_eq!((told.status(), &told.json()["error"]["code"]), (503, &json!("shutting_down")));
    }
    assert!(answer.rest().is_empty(), "it is cut");
    assert!(proxy.proxy.process.wait(Duration::from_secs(10)).success());
    let log = proxy.proxy.access_log();
    let mut outcomes: Vec<_> = log.iter().filter_map(|line| line["ai"]["outcome"].as_str()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["interrupted", "interrupted", "interrupted", "rejected"]);
}

#[test]
fn who_takes_nothing_does_not_keep_a_call_from_its_end_at_shutdown() {
    let provider = Provider::start("a");
    let mut proxy = gateway(&[("a", &provider)])
        .configured("server.shutdown", json!({"lame_duck": "0s", "grace": "2s"}))
        .start();
    // Neither is read any further, so that by the end of the grace their next piece is half written.
    let stuck = [chat_stream("endless"), chat("endless")].map(|request| {
        let mut client = Client::connect(proxy.addr());
        client.send(keyed(&request).bytes());
        assert_eq!(client.head().status(), 200);
        client
    });
    proxy.proxy.signal(Signal::Term);
    assert!(proxy.proxy.process.wait(Duration::from_secs(10)).success());
    drop(stuck);
    let log = proxy.proxy.access_log();
    let outcomes: Vec<_> = log.iter().filter_map(|line| line["ai"]["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["interrupted", "interrupted"]);
}
