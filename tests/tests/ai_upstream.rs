//! Connections to providers, clients that leave or do not read, and cooldown.

use std::time::{Duration, Instant};

use lockstep_tests::certificates::Certificate;
use lockstep_tests::gateway::{chat, chat_stream, gateway, keyed, post};
use lockstep_tests::origin::Refusing;
use lockstep_tests::provider::{CONTENT, Ending, Head, Step};
use lockstep_tests::{Client, Origin, Provider, Request, until};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_a_client_leaves_is_cancelled_within_a_second() {
    let provider = Provider::start("a");
    let section = gateway(&[("a", &provider)]);
    for http2 in [false, true] {
        let proxy = section.clone().set("providers.a.http2", http2).start();
        for model in ["silence", "headers-silence", "stall", "paced-50", "endless"] {
            for streamed in [false, true] {
                provider.forget();
                let mut client = Client::connect(proxy.addr());
                let request = if streamed { chat_stream(model) } else { chat(model) };
                client.send(keyed(&request).bytes());
                until("the provider has the request", || provider.count() == 1);
                if streamed && !model.ends_with("silence") {
                    assert_eq!(client.head().status(), 200);
                }
                if !streamed && model == "paced-50" {
                    continue;
                }
                drop(client);
                assert!(provider.is_left_within(SECOND), "{model}, http2 {http2}, streamed {streamed}");
            }
        }
        // What shares the connection, or comes after it, is not touched.
        assert_eq!(proxy.chat("ok").status(), 200);
    }
}

#[test]
fn requests_share_connections() {
    let provider = Provider::start("a");
    let section = gateway(&[("a", &provider)]);
    for http2 in [false, true] {
        let proxy = section.clone().set("providers.a.http2", http2).start();
        let before = provider.accepted();
        let mut client = Client::connect(proxy.addr());
        for number in 0..100 {
            let request = if number % 2 == 0 { chat("ok") } else { chat_stream("ok") };
            let answer = client.exchange(&keyed(&request)).expect("an answer");
            assert_eq!(answer.status(), 200);
        }
        // A request may come before the connection of the last one is back in the pool.
        let connections = provider.accepted() - before;
        assert!(connections <= 5, "http2 {http2}: {connections}");
        // Many at once share a connection over HTTP/2 only.
        let streams: Vec<_> = (0..20).map(|_| proxy.begun(&chat_stream("stall"))).collect();
        let connections = provider.accepted() - before;
        assert_eq!(connections <= 5, http2, "{connections}");
        drop(streams);
    }
}

#[test]
fn connections_that_the_provider_has_closed_cost_no_request() {
    // It closes after each answer without having said so.
    let origin = Origin::answering("a", |_, reply| {
        let body =
            json!({"choices": [{"index": 0, "message": {"content": CONTENT}, "finish_reason": "stop"}]});
        reply.respond(200, &[("content-type", "application/json")], body.to_string())?;
        reply.close();
        Ok(())
    });
    let provider = Provider::start("b");
    let proxy = gateway(&[("b", &provider)])
        .provider("a", json!({"kind": "openai", "base_url": format!("http://{}/v1", origin.addr)}))
        .set("retry.per_target", 1)
        .model("closing", &[("a", "ok")])
        .start();
    let mut client = Client::connect(proxy.addr());
    for number in 0..200 {
        let answer = client.exchange(&keyed(&chat("closing"))).expect("an answer");
        assert_eq!(answer.status(), 200, "{number}: {answer:?}");
    }
    assert_eq!(origin.requests().len(), 200, "none is made twice");
}

#[test]
fn a_call_that_a_provider_may_have_worked_on_is_not_made_again() {
    let provider = Provider::start("a");
    // A load balancer between would do so after a minute.
    provider.play("late", vec![Step::Pause(Duration::from_millis(1500)), Step::Cut]);
    let proxy = gateway(&[("a", &provider)]).set("retry", json!({"on": ["connect"]})).start();
    // One worker has both, and the connection.
    let mut client = Client::connect(proxy.addr());
    for (model, status) in [("ok", 200), ("late", 502)] {
        assert_eq!(client.exchange(&keyed(&chat(model))).expect("an answer").status(), status);
    }
    assert_eq!((provider.count(), provider.accepted()), (2, 1), "over the connection that was kept, once");
}

#[test]
fn certificates_of_providers_are_verified() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |file: &str, names: &[&str]| Certificate::write(dir.path(), file, names);
    let (named, other) = (write("named", &["127.0.0.1"]), write("other", &["provider.test"]));
    let (a, b) = (Provider::with_tls("a", &named), Provider::with_tls("b", &other));
    let entry = |provider: &Provider, ca: Option<&Certificate>, http2: Value| {
        let ca = ca.map(|ca| ca.cert.clone());
        json!({"kind": "openai", "base_url": provider.url(), "ca": ca, "http2": http2, "api_key": {"value": "sk"}})
    };
    let auto = || json!("auto");
    let proxy = gateway(&[("x", &a)])
        .provider("x", entry(&a, Some(&named), auto()))
        .provider("old", entry(&a, Some(&named), json!(false)))
        .provider("untrusted", entry(&a, Some(&other), auto()))
        .provider("public", entry(&a, None, auto()))
        .provider("misnamed", entry(&b, Some(&other), auto()))
        .model("x", &[("x", "ok")])
        .model("old", &[("old", "ok")])
        .model("untrusted", &[("untrusted", "ok")])
        .model("public", &[("public", "ok")])
        .model("misnamed", &[("misnamed", "ok")])
        .model("cut", &[("x", "cut")])
        .start();
    for (model, http2) in [("x", true), ("old", false)] {
        let stream = proxy.stream(model);
        assert!(stream.is_done() && stream.said() == CONTENT, "{model}: {stream:?}");
        assert_eq!(a.last().http2, http2, "{model}");
    }
    let stream = proxy.stream("cut");
    assert!(stream.cut && !stream.said().is_empty(), "{stream:?}");
    let asked = (a.count(), b.count());
    for model in ["untrusted", "public", "misnamed"] {
        let answer = proxy.chat(model);
        assert_eq!(
            (answer.status(), &answer.json()["error"]["code"]),
            (502, &json!("upstream_unreachable")),
            "{model}"
        );
    }
    assert_eq!((a.count(), b.count()), asked, "no request, and no key, went there");
}

#[test]
fn what_can_not_be_reached_is_passed_over() {
    let provider = Provider::start("b");
    let refusing = Refusing::default();
    let nowhere = |url: String| json!({"kind": "openai", "base_url": url});
    let proxy = gateway(&[("b", &provider)])
        .provider("refusing", nowhere(format!("http://{}/v1", refusing.addr)))
        // No name below `invalid` exists (RFC 6761).
        .provider("unknown", nowhere("http://provider.invalid/v1".to_owned()))
        .model("refused", &[("refusing", "x"), ("b", "ok")])
        .model("unknown", &[("unknown", "x"), ("b", "ok")])
        .model("alone", &[("refusing", "x")])
        .start();
    for model in ["refused", "unknown"] {
        assert_eq!(proxy.chat(model).header("x-lockstep-target"), Some("b/ok"), "{model}");
        let stream = proxy.stream(model);
        assert!(stream.is_done() && stream.said() == CONTENT, "{model}");
    }
    let answer = proxy.chat("alone");
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (502, &json!("upstream_unreachable")));
    assert_eq!(answer.header("x-should-retry"), Some("false"));
}

#[test]
fn a_client_that_does_not_read_holds_the_provider_up() {
    let provider = Provider::start("a");
    let section = gateway(&[("a", &provider)]);
    for http2 in [false, true] {
        let proxy = section.clone().set("providers.a.http2", http2).start();
        assert_eq!(proxy.chat("ok").status(), 200);
        let before = proxy.resident();
        // Plain answers without end pass through as well.
        let clients: Vec<_> = [chat_stream("endless"), chat("endless")]
            .iter()
            .map(|request| {
                let mut client = Client::connect(proxy.addr());
                client.send(keyed(request).bytes());
                client
            })
            .collect();
        let grown = || proxy.resident().saturating_sub(before);
        let deadline = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < deadline {
            assert!(grown() < 100 << 20, "http2 {http2}: {} MiB", grown() >> 20);
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(clients);
    }
}

#[test]
fn answers_without_end_pass_in_bounded_memory() {
    let provider = Provider::start("a");
    // What records keep of them is bounded by a limit of its own.
    let proxy = gateway(&[("a", &provider)]).configured("audit", json!({"max_body": "1MiB"})).start();
    let before = proxy.resident();
    for (request, size) in [(chat_stream("endless"), 32 << 20), (chat("endless"), 200 << 20)] {
        let mut client = Client::connect(proxy.addr());
        client.send(keyed(&request).bytes());
        assert_eq!(client.head().status(), 200);
        let mut read = 0;
        while read < size {
            read += client.chunk().expect("it goes on").expect("a chunk").len();
        }
        // A plain answer of 16 MiB is understood, a longer one passes on.
        let grown = proxy.resident().saturating_sub(before);
        assert!(grown < 64 << 20, "{} MiB", grown >> 20);
    }
}

#[test]
fn what_keeps_failing_is_left_alone_and_probed() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let proxy = gateway(&[("a", &a), ("b", &b)])
        .set("cooldown", json!({"failures": 4, "window": "30s", "for": "1s"}))
        .model("m", &[("a", "shaky"), ("b", "ok")])
        .model("refused", &[("a", "400"), ("b", "ok")])
        .start();
    let failing =
        json!({"error": {"message": "x", "type": "server_error", "param": null, "code": null}}).to_string();
    let script = |status: u16, body: &str| {
        let head = Head::new(status, "application/json").length(body.len());
        vec![Step::Head(head), Step::Data(body.to_owned().into()), Step::End]
    };
    a.play("shaky", script(500, &failing));
    let asked = |model: &str| {
        a.forget();
        let answer = proxy.chat(model);
        (answer.status(), a.count())
    };
    // The callers' mistakes are not the target's.
    for _ in 0..5 {
        assert_eq!(asked("refused"), (400, 1));
    }
    assert_eq!([asked("m"), asked("m")], [(200, 2), (200, 2)]);
    assert_eq!([asked("m"), asked("m")], [(200, 0), (200, 0)], "it is left alone");
    let cooling = || proxy.proxy.metrics().sum("lockstep_ai_cooling", &[("provider", "a")]);
    assert_eq!(cooling(), 1.0);
    // A live request tries it when the time is over; it fails and is left alone again.
    until("it is probed", || asked("m") != (200, 0));
    assert_eq!(asked("m"), (200, 0), "one request tried it");
    let fine = json!({"choices": [{"index": 0, "message": {"content": "fine"}, "finish_reason": "stop"}]})
        .to_string();
    a.play("shaky", script(200, &fine));
    until("it is back", || asked("m") == (200, 1));
    assert_eq!((asked("m"), cooling()), ((200, 1), 0.0));
}

#[test]
fn streams_that_keep_breaking_count_though_each_has_begun() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let proxy = gateway(&[("a", &a), ("b", &b)])
        .set("cooldown", json!({"failures": 3, "window": "30s", "for": "1s"}))
        .model("m", &[("a", "shaky"), ("b", "ok")])
        .start();
    let broken = || {
        let half = Step::Data("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n".into());
        a.play("shaky", vec![Step::Head(Head::new(200, "text/event-stream")), half, Step::Cut]);
        proxy.stream("m").cut
    };
    assert!(broken() && broken());
    // A refusal of what is asked says nothing of how the target does.
    let error = json!({"error": {"message": "x", "type": "invalid_request_error"}}).to_string();
    let head = Head::new(400, "application/json").length(error.len());
    a.play("shaky", vec![Step::Head(head), Step::Data(error.into()), Step::End]);
    assert_eq!(proxy.chat("m").status(), 400);
    assert!(broken());
    assert!(!broken(), "it is left alone");
    until("it is probed", broken);
    assert!(!broken(), "one stream tried it");
    assert_eq!(a.count(), 5);
}

#[test]
fn weights_share_requests() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let targets = json!([
        {"provider": "a", "model": "ok", "weight": 3},
        {"provider": "b", "model": "ok", "weight": 1},
    ]);
    let proxy = gateway(&[("a", &a), ("b", &b)])
        .entry("m", json!({"targets": targets, "strategy": "weighted"}))
        .start();
    let mut client = Client::connect(proxy.addr());
    for _ in 0..400 {
        assert_eq!(client.exchange(&keyed(&chat("m"))).expect("an answer").status(), 200);
    }
    // 300 are expected, with a deviation of 8.7; chance alone leaves this range once in 10^11.
    assert!((240..=360).contains(&a.count()), "{}", a.count());
    assert_eq!(a.count() + b.count(), 400);
}

#[test]
fn a_longer_prompt_goes_to_a_larger_window() {
    let (a, b, c) = (Provider::start("a"), Provider::start("b"), Provider::start("c"));
    let targets = json!([
        {"provider": "a", "model": "context-length", "context_window": 8000},
        {"provider": "b", "model": "ok", "context_window": 8000},
        {"provider": "c", "model": "ok", "context_window": 100_000},
    ]);
    let proxy = gateway(&[("a", &a), ("b", &b), ("c", &c)]).entry("m", json!({ "targets": targets })).start();
    assert_eq!(proxy.chat("m").header("x-lockstep-target"), Some("c/ok"));
    assert!(proxy.stream("m").is_done());
    assert_eq!((a.count(), b.count(), c.count()), (2, 0, 2));
}

#[test]
fn a_wait_that_does_not_fit_is_not_begun() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let proxy = gateway(&[("a", &a), ("b", &b)])
        .model("m", &[("a", "429-after-4"), ("b", "ok")])
        .model("alone", &[("a", "429-after-4")])
        .model("silent", &[("a", "silence")])
        .start();
    let in_time = |model: &str| {
        let begun = Instant::now();
        let answer = proxy.send(&chat(model).header("x-stainless-read-timeout", "2"));
        (answer, begun.elapsed())
    };
    let (answer, took) = in_time("m");
    assert_eq!(answer.header("x-lockstep-target"), Some("b/ok"));
    assert!(took < SECOND, "{took:?}");
    let (answer, took) = in_time("alone");
    assert_eq!((answer.status(), answer.header("retry-after")), (429, Some("4")));
    assert!(took < SECOND, "{took:?}");
    // What the caller will not wait for is cancelled.
    let (answer, took) = in_time("silent");
    assert_eq!(answer.status(), 504);
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(a.ended(), Ending::Left);
}

#[test]
fn the_callers_time_is_no_fault_of_the_targets() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let proxy = gateway(&[("a", &a), ("b", &b)])
        .set("cooldown", json!({"failures": 1, "window": "30s", "for": "30s"}))
        .model("m", &[("a", "silence"), ("b", "ok")])
        .model("b", &[("b", "ok")])
        .start();
    // A connection that is there already would take a request at once.
    assert_eq!(proxy.chat("b").status(), 200);
    for request in [chat("m"), chat_stream("m")] {
        let answer = proxy.send(&request.header("x-stainless-read-timeout", "3"));
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (504, &json!("upstream_timeout")));
    }
    assert_eq!((a.count(), b.count()), (2, 1), "nobody is asked whom nobody waits for");
    assert_eq!(proxy.proxy.metrics().sum("lockstep_ai_cooling", &[]), 0.0);
    // A body that took all of the time is passed on to nobody.
    let late = keyed(&chat("b").header("x-stainless-read-timeout", "0.2")).bytes();
    let (head, body) = late.split_at(late.len() - 5);
    let mut client = Client::connect(proxy.addr());
    client.send(head);
    let sent = Instant::now();
    until("the caller's time is over", || sent.elapsed() > Duration::from_millis(400));
    client.send(body);
    assert_eq!((client.response().status(), b.count()), (504, 1));
}

#[test]
fn bodies_together_are_bounded() {
    let provider = Provider::start("a");
    let proxy =
        gateway(&[("a", &provider)]).set("limits", json!({"body_bytes": "1MiB", "buffered": "2MiB"})).start();
    let body = |model: &str| {
        let text = "x".repeat(900 << 10);
        post(
            "/v1/chat/completions",
            &json!({"model": model, "messages": [{"role": "user", "content": text}]}),
        )
    };
    let holders: Vec<_> = (0..2)
        .map(|_| {
            let mut client = Client::connect(proxy.addr());
            client.send(keyed(&body("silence")).bytes());
            client
        })
        .collect();
    until("both are with the provider", || provider.count() == 2);
    let answer = proxy.send(&body("ok"));
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (503, &json!("overloaded")));
    assert!(answer.header("retry-after-ms").is_some() && answer.header("x-should-retry") != Some("false"));
    assert_eq!(proxy.chat("ok").status(), 200, "a small one has room");
    drop(holders);
    until("there is room again", || proxy.send(&body("ok")).status() == 200);
}

#[test]
fn what_is_only_announced_keeps_nobody_out_and_has_its_time() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)])
        .set("limits", json!({"body_bytes": "4MiB", "buffered": "8MiB"}))
        .set("timeouts", json!({"total": "4s"}))
        .start();
    let announcing: Vec<_> = (0..4)
        .map(|_| {
            let mut client = Client::connect(proxy.addr());
            let head = Request::new("POST", "/v1/chat/completions").header("content-length", "4000000");
            client.send(keyed(&head).bytes());
            client.send("{");
            client
        })
        .collect();
    until("all are on their way", || proxy.proxy.metrics().sum("lockstep_ai_in_flight", &[]) == 4.0);
    assert_eq!(proxy.chat("ok").status(), 200);
    for mut client in announcing {
        let answer = client.response();
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (408, &json!("body_timeout")));
    }
}

#[test]
fn calls_are_counted() {
    let provider = Provider::start("a");
    let targets = json!([{"provider": "a", "model": "500-once", "price": {"input": 2.0, "output": 10.0, "cached_input": 1.0}}]);
    let proxy = gateway(&[("a", &provider)]).entry("m", json!({ "targets": targets })).start();
    assert_eq!(proxy.chat("m").status(), 200);
    assert!(proxy.stream("m").is_done());
    let sum = |name: &str, labels: &[(&str, &str)]| {
        proxy.proxy.metrics().sum(&format!("lockstep_ai_{name}"), labels)
    };
    until("both calls are counted", || sum("requests_total", &[("model", "m")]) == 2.0);
    assert_eq!(sum("requests_total", &[("outcome", "complete"), ("provider", "a")]), 2.0);
    assert_eq!(sum("attempts_total", &[("model", "m")]), 3.0);
    let tokens = |kind: &str| sum("key_tokens_total", &[("key", "team-a"), ("kind", kind)]);
    assert_eq!((tokens("input"), tokens("output")), (22.0, 30.0));
    let cost = 2.0 * (7.0 * 2.0 + 4.0 * 1.0 + 15.0 * 10.0) / 1e6;
    assert!((sum("cost_usd_total", &[]) - cost).abs() < 1e-9, "{} {cost}", sum("cost_usd_total", &[]));
    assert_eq!(sum("in_flight", &[]), 0.0);
    let log = proxy.proxy.access_log();
    let line =
        log.iter().find(|line| line["ai"]["model"] == "m").unwrap_or_else(|| panic!("a line: {log:?}"));
    assert_eq!(line["ai"]["key"], "team-a");
}
