//! Streams at their edges: ends that providers forget, what comes behind the end, events that mean
//! nothing, events that are too much, and silence.

use std::io::Read as _;
use std::time::{Duration, Instant};

use lockstep_tests::curl::Curl;
use lockstep_tests::gateway::{KEY, Running, Stream, chat, chat_body, chat_stream, gateway, keyed, post};
use lockstep_tests::provider::{CONTENT, Head, Step};
use lockstep_tests::{Client, HOST, Provider, Request};
use serde_json::{Value, json};

const DONE: &str = "data: [DONE]\n\n";

fn start() -> (Provider, Provider, Running) {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let proxy = gateway(&[("a", &a), ("b", &b)])
        .model("m", &[("a", "played"), ("b", "ok")])
        .set("timeouts", json!({"idle": "5s", "first_event": "2s"}))
        .start();
    (a, b, proxy)
}

fn part(index: u32, text: &str, reason: &Value) -> String {
    let choice = json!({"index": index, "delta": {"content": text}, "finish_reason": reason});
    format!(
        "data: {}\n\n",
        json!({"id": "c", "object": "chat.completion.chunk", "model": "x", "choices": [choice]})
    )
}

fn said(text: &str) -> String {
    part(0, text, &Value::Null)
}

fn finished() -> String {
    part(0, "", &json!("stop"))
}

fn play(provider: &Provider, pieces: &[String], end: Step) {
    let mut script = vec![Step::Head(Head::new(200, "text/event-stream"))];
    script.extend(pieces.iter().map(|piece| Step::Data(piece.clone().into())));
    script.push(end);
    provider.play("played", script);
}

#[test]
fn what_comes_behind_the_end_is_not_waited_for() {
    let (a, _b, proxy) = start();
    let pieces = [said("x"), finished(), DONE.to_owned()];
    for (behind, end) in
        [(String::new(), Step::Silence), (said("y") + DONE, Step::End), ("data: {".into(), Step::Cut)]
    {
        play(&a, &[pieces.as_slice(), &[behind]].concat(), end);
        let begun = Instant::now();
        let stream = proxy.stream("m");
        // SDKs wait for the end of the body.
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert_eq!(stream.message.text(), pieces.concat());
        assert!(!stream.cut);
    }
}

#[test]
fn an_end_that_is_missing_is_added_where_all_was_said() {
    let (a, b, proxy) = start();
    let usage = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\n";
    // The end, then whether it is whole.
    let cases = [
        (vec![said("x"), finished()], Step::End, true),
        (vec![said("x"), finished(), usage.to_owned()], Step::End, true),
        (vec![said("x"), finished()], Step::Cut, true),
        (vec![said("x"), finished(), "data: [DONE]".to_owned()], Step::End, true),
        (vec![said("x"), finished(), "data: [DONE]\n".to_owned()], Step::Cut, true),
        (vec![said("x"), "data: [DONE]\n\n".to_owned()], Step::End, true),
        (vec![said("x")], Step::End, false),
        (vec![said("x"), "data: {\"choices\":[{\"ind".to_owned()], Step::End, false),
    ];
    for (pieces, end, whole) in cases {
        play(&a, &pieces, end.clone());
        let stream = proxy.stream("m");
        assert_eq!((stream.is_done(), stream.cut), (whole, !whole), "{pieces:?} {end:?}: {stream:?}");
        assert_eq!(stream.said(), "x");
        let count = stream.message.text().matches("[DONE]").count();
        assert_eq!(count, usize::from(whole), "{stream:?}");
    }
    assert_eq!(b.count(), 0);
}

#[test]
fn every_choice_must_have_finished() {
    let (a, _b, proxy) = start();
    let both = [said("x"), part(1, "y", &Value::Null), finished()];
    let mut body = chat_body("m");
    body["stream"] = json!(true);
    body["n"] = json!(2);
    let ask = || Stream::of(proxy.addr(), &keyed(&post("/v1/chat/completions", &body)));
    play(&a, &both, Step::End);
    let stream = ask();
    assert!(stream.cut && stream.error().is_some(), "the other one had not: {stream:?}");
    play(&a, &[both.as_slice(), &[part(1, "", &json!("length"))]].concat(), Step::End);
    assert!(ask().is_done());
}

#[test]
fn the_choices_of_every_prompt_must_have_finished() {
    let (a, _b, proxy) = start();
    let part = |index: u32, reason: &Value| {
        let choice = json!({"index": index, "text": "x", "finish_reason": reason});
        format!("data: {}\n\n", json!({"id": "c", "object": "text_completion", "choices": [choice]}))
    };
    let stop = json!("stop");
    let body = json!({"model": "m", "stream": true, "prompt": ["one", "two"]});
    let ask = || Stream::of(proxy.addr(), &keyed(&post("/v1/completions", &body)));
    play(&a, &[part(0, &stop)], Step::End);
    let stream = ask();
    assert!(stream.cut && stream.error().is_some(), "the other one has not begun: {stream:?}");
    play(&a, &[part(0, &stop), part(1, &stop)], Step::End);
    assert!(ask().is_done());
}

#[test]
fn a_silent_end_is_added_after_a_while() {
    let (a, _b, proxy) = start();
    play(&a, &[said("x"), finished()], Step::Silence);
    let begun = Instant::now();
    let stream = proxy.stream("m");
    assert!(stream.is_done());
    // A usage chunk may still come for 2 s.
    assert!((1.8..4.5).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    assert!(a.is_left_within(Duration::from_secs(1)));
}

#[test]
fn a_stream_that_says_nothing_is_none() {
    let (a, b, proxy) = start();
    let cases = [
        vec![],
        vec![": hello\n\n".to_owned()],
        vec![": hello\n\n".to_owned(), "\n\n\r\n".to_owned(), "id: 7\n\n".to_owned()],
        vec!["data: nonsense\n\n".to_owned(), "data: \n\n".to_owned()],
        vec!["data: {\"unfinished".to_owned()],
    ];
    for pieces in cases {
        b.forget();
        play(&a, &pieces, Step::End);
        let stream = proxy.stream("m");
        assert_eq!(stream.message.header("x-lockstep-target"), Some("b/ok"), "{pieces:?}: {stream:?}");
        assert!(stream.is_done() && stream.said() == CONTENT && b.count() == 1, "{pieces:?}");
    }
}

#[test]
fn nothing_but_malformed_events_is_no_answer() {
    let (a, b, proxy) = start();
    let bad = || "data: {{{{\n\n".to_owned();
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n".to_owned();
    let mut pieces = vec![role];
    pieces.extend((0..9).map(|_| bad()));
    pieces.extend([finished(), DONE.to_owned()]);
    play(&a, &pieces, Step::End);
    let stream = proxy.stream("m");
    assert!(stream.cut && !stream.message.text().contains("[DONE]"), "{stream:?}");
    assert_eq!(stream.error().map(|error| error["code"].clone()), Some(json!("upstream_malformed")));
    let dropped = proxy.proxy.metrics().sum("lockstep_ai_events_dropped_total", &[("provider", "a")]);
    assert_eq!(dropped, 2.0);
    // Where nothing was sent yet, somebody else answers.
    play(&a, &[bad(), bad(), said("x"), finished(), DONE.to_owned()], Step::End);
    let stream = proxy.stream("m");
    assert!(stream.is_done() && stream.said() == CONTENT && b.count() == 1, "{stream:?}");
}

#[test]
fn what_azure_sends_first_is_no_end() {
    let (a, _b, proxy) = start();
    let first = "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[]}\n\n";
    let pieces = [first.to_owned(), said("x"), finished(), DONE.to_owned()];
    play(&a, &pieces, Step::End);
    assert_eq!(proxy.stream("m").message.text(), pieces.concat());
}

#[test]
fn unusual_lines_are_read_as_sdks_read_them() {
    let (a, _b, proxy) = start();
    let mark = "\u{feff}".to_owned() + &said("x");
    let tight = said("y").replace("data: ", "data:");
    let named = "event: chunk\nid: 1\nretry: 5\nunknown: z\n".to_owned() + &said("z");
    let pieces = [mark, tight, named, finished(), "data:[DONE]\r\r".to_owned()];
    play(&a, &pieces, Step::End);
    let stream = proxy.stream("m");
    assert_eq!(stream.message.text(), pieces.concat());
    assert!(!stream.cut);
}

#[test]
fn an_event_beyond_all_measure_ends_the_stream() {
    let (a, _b, proxy) = start();
    let huge = said(&"x".repeat(1 << 20));
    // Fifteen mebibytes are an event; twenty without an end are none.
    play(&a, &[said("x"), said(&"y".repeat(15 << 20)), finished(), DONE.to_owned()], Step::End);
    assert!(proxy.stream("m").is_done());
    let before = proxy.resident();
    let endless = Step::Repeat(huge.trim_end().replace("data: ", "").into(), 40);
    let mut script = vec![Step::Head(Head::new(200, "text/event-stream")), Step::Data(said("x").into())];
    script.extend([Step::Data("data: ".into()), endless, Step::End]);
    a.play("played", script);
    let stream = proxy.stream("m");
    assert!(stream.cut && stream.said() == "x", "{} bytes", stream.message.body.len());
    assert_eq!(stream.error().map(|error| error["code"].clone()), Some(json!("upstream_malformed")));
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 128 << 20, "{} MiB", grown >> 20);
}

#[test]
fn for_http10_only_what_is_whole_has_a_clean_end() {
    let (_a, _b, proxy) = start();
    let ask = |request: Request| {
        let mut client = Client::connect(proxy.addr());
        let bytes = keyed(&request).bytes();
        let old = String::from_utf8(bytes).expect("text").replacen("HTTP/1.1", "HTTP/1.0", 1);
        client.send(old);
        let mut answer = Vec::new();
        let end = client.stream().read_to_end(&mut answer).map(drop).map_err(|error| error.kind());
        (String::from_utf8_lossy(&answer).contains(DONE), end)
    };
    assert_eq!(ask(chat_stream("ok")), (true, Ok(())));
    assert_eq!(ask(chat("ok")), (false, Ok(())));
    assert_eq!(ask(chat_stream("cut")), (false, Err(std::io::ErrorKind::ConnectionReset)));
}

#[test]
fn on_http2_an_error_has_a_clean_end_without_done() {
    let (a, _b, proxy) = start();
    play(&a, &[said("x")], Step::Cut);
    let body = {
        let mut body = chat_body("m");
        body["stream"] = json!(true);
        body.to_string()
    };
    for _ in 0..5 {
        let arguments = ["--http2-prior-knowledge", "--oauth2-bearer", KEY, "--json", &body];
        let answer =
            Curl::new("http", HOST, proxy.addr(), "/v1/chat/completions").args(&arguments).response();
        let text = answer.text();
        assert!(text.starts_with(&said("x")) && text.contains("\"code\":\"upstream_failed\""), "{text}");
        assert!(!text.contains("[DONE]"), "{text}");
    }
}

#[test]
fn clients_of_http_1_0_get_streams_too() {
    let (a, _b, proxy) = start();
    let pieces = [said("x"), finished(), DONE.to_owned()];
    play(&a, &pieces, Step::End);
    let mut client = Client::connect(proxy.addr());
    let request = String::from_utf8(keyed(&chat_stream("m")).bytes()).expect("text");
    client.send(request.replace("HTTP/1.1", "HTTP/1.0"));
    let head = client.head();
    assert_eq!((head.status(), head.header("transfer-encoding")), (200, None));
    assert_eq!(String::from_utf8_lossy(&client.rest()), pieces.concat());
}

#[test]
fn many_streams_share_a_connection_of_the_client() {
    let (_a, b, proxy) = start();
    let mut client = Client::connect(proxy.addr());
    for _ in 0..50 {
        let answer = client.exchange(&keyed(&chat_stream("m"))).expect("a whole answer");
        assert!(answer.text().ends_with(DONE));
    }
    assert_eq!(b.count(), 0);
}

#[test]
fn silence_is_filled_with_comments() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).set("keep_alive", "100ms").start();
    let mut client = Client::connect(proxy.addr());
    client.send(keyed(&chat_stream("stall")).bytes());
    assert_eq!(client.head().status(), 200);
    let mut text = String::new();
    while text.matches("\n:").count() < 3 && text.matches(": ").count() < 40 {
        let chunk = client.chunk().expect("it goes on").expect("a chunk");
        text += &String::from_utf8(chunk).expect("text");
    }
    // Before the first event nothing is sent: another target may have to be asked.
    let mut client = Client::connect(proxy.addr());
    client.send(keyed(&chat_stream("headers-silence")).bytes());
    client.patience(Duration::from_millis(700));
    assert!(client.rest().is_empty());
    // None where it is switched off.
    let proxy = gateway(&[("a", &provider)]).set("keep_alive", "off").set("timeouts.idle", "1s").start();
    let stream = proxy.stream("stall");
    assert!(stream.cut && !stream.message.text().lines().any(|line| line.starts_with(':')), "{stream:?}");
}
