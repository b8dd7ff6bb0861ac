//! Who may call what, and how it is told where not: always in OpenAI's shape, and without a word to
//! any provider.

use std::collections::BTreeSet;

use lockstep_tests::curl::Curl;
use lockstep_tests::gateway::{
    Gateway, KEY, Running, Stream, chat, chat_body, chat_stream, digest, gateway, keyed, post, provider_key,
};
use lockstep_tests::provider::CONTENT;
use lockstep_tests::{Client, HOST, Message, Provider, Request, until};
use serde_json::{Value, json};

const OTHER: &str = "lk-other-0123456789abcdef";

/// Asserts the shape of an error and tells its parts: status, type, code, parameter.
fn refused(answer: &Message) -> (u16, String, String, Option<String>) {
    let error = &answer.json()["error"];
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    assert_eq!(answer.header("x-request-id").map(str::len), Some(26), "{answer:?}");
    let text = |key: &str| error[key].as_str().map(str::to_owned);
    assert!(text("message").is_some_and(|message| !message.is_empty()), "{answer:?}");
    assert!(error.as_object().is_some_and(|error| error.contains_key("param")), "{answer:?}");
    let part = |key: &str| text(key).unwrap_or_else(|| panic!("{key}: {answer:?}"));
    (answer.status(), part("type"), part("code"), text("param"))
}

fn is(answer: &Message, status: u16, code: &str, param: Option<&str>) {
    let (got, _, got_code, got_param) = refused(answer);
    assert_eq!((got, got_code.as_str(), got_param.as_deref()), (status, code, param), "{answer:?}");
}

fn known(gateway: Gateway) -> Gateway {
    // Without the model that stands for all others.
    gateway.set("models", json!({"gpt-test": {"targets": [{"provider": "a", "model": "ok"}]}}))
}

#[test]
fn keys_come_in_three_headers() {
    let provider = Provider::start("a");
    let keys = json!([
        {"id": "one", "sha256": digest(KEY)},
        {"id": "old", "sha256": digest(OTHER), "expires": "2026-01-31"},
    ]);
    let proxy = gateway(&[("a", &provider)]).set("keys", keys).start();
    let bearer = format!("Bearer {KEY}");
    let lower = format!("bearer  {KEY}");
    for (name, value) in
        [("authorization", &*bearer), ("authorization", &lower), ("api-key", KEY), ("x-api-key", KEY)]
    {
        let answer = chat("ok").header(name, value).send(proxy.addr());
        assert_eq!(answer.status(), 200, "{name}: {value}");
        let seen = provider.last();
        assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {}", provider_key("a"))));
        assert_eq!((seen.header("api-key"), seen.header("x-api-key")), (None, None));
    }
    let count = provider.count();
    let wrong = [
        ("authorization", "Bearer lk-nobody"),
        ("authorization", "Basic bGs6bGs="),
        ("api-key", ""),
        ("x-api-key", OTHER),
        ("cookie", KEY),
    ];
    for (name, value) in wrong {
        is(&chat("ok").header(name, value).send(proxy.addr()), 401, "invalid_api_key", None);
    }
    is(&chat("ok").send(proxy.addr()), 401, "invalid_api_key", None);
    is(&Request::get("/v1/models").send(proxy.addr()), 401, "invalid_api_key", None);
    is(&Request::get("/v1/nowhere").send(proxy.addr()), 401, "invalid_api_key", None);
    assert_eq!(provider.count(), count, "nobody was asked");
    assert_eq!(proxy.proxy.metrics().sum("lockstep_ai_refused_total", &[("code", "invalid_api_key")]), 8.0);
    let logged =
        || proxy.proxy.access_log().iter().filter(|line| line["ai"]["code"] == "invalid_api_key").count();
    until("the log says why", || logged() == 8);
}

#[test]
fn what_stays_with_the_gateway() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let request = chat("ok")
        .header("cookie", "session=1")
        .header("x-forwarded-for", "192.0.2.1")
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "1")
        .header("openai-organization", "org-callers")
        .header("x-goog-api-key", "somebody-elses")
        .header("openai-beta", "assistants=v2")
        .header("x-unknown", "kept")
        .header("x-request-id", "theirs");
    let answer = Client::connect(proxy.addr()).exchange(&keyed(&request)).expect("an answer");
    let seen = provider.last();
    for name in
        ["cookie", "x-forwarded-for", "x-hop", "x-request-id", "openai-organization", "x-goog-api-key"]
    {
        assert_eq!(seen.header(name), None, "{name}");
    }
    for (name, value) in
        [("openai-beta", "assistants=v2"), ("x-unknown", "kept"), ("accept-encoding", "identity")]
    {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert_eq!(seen.header("host"), Some(&*provider.addr.to_string()));
    // What providers tell besides the answer is passed on, but for their id.
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("9999"));
    assert_eq!(answer.header("openai-processing-ms"), Some("7"));
    assert_eq!(answer.header("x-lockstep-target"), Some("a/ok"));
    assert_eq!(answer.all("x-request-id").len(), 1);
    assert_ne!(answer.header("x-request-id"), Some("theirs"));
}

#[test]
fn models_are_those_of_the_key() {
    let provider = Provider::start("a");
    let keys = json!([
        {"id": "all", "sha256": digest(KEY)},
        {"id": "some", "sha256": digest(OTHER), "models": ["gpt-*", "exact"]},
    ]);
    let mut section = gateway(&[("a", &provider)]).set("keys", keys);
    for model in ["gpt-1", "gpt-2", "exact", "exactly", "org/name"] {
        section = section.model(model, &[("a", "ok")]);
    }
    let proxy = section.start();
    let by = |key: &str, request: &Request| {
        request.clone().header("authorization", &format!("Bearer {key}")).send(proxy.addr())
    };
    let listed = |key: &str| {
        let answer = by(key, &Request::get("/v1/models")).json();
        assert_eq!(answer["object"], "list");
        let models = answer["data"].as_array().expect("a list").clone();
        assert!(
            models.iter().all(|model| model["object"] == "model" && model["created"].is_u64()),
            "{models:?}"
        );
        models.iter().filter_map(|model| model["id"].as_str().map(str::to_owned)).collect::<BTreeSet<_>>()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(listed(KEY), names(&["gpt-1", "gpt-2", "exact", "exactly", "org/name"]));
    assert_eq!(listed(OTHER), names(&["gpt-1", "gpt-2", "exact"]));
    assert_eq!(by(KEY, &Request::get("/v1/models/org%2Fname")).json()["id"], "org/name");
    is(&by(OTHER, &Request::get("/v1/models/exactly")), 404, "model_not_found", Some("model"));
    is(&by(OTHER, &chat("exactly")), 404, "model_not_found", Some("model"));
    is(&by(OTHER, &chat("anything")), 404, "model_not_found", Some("model"));
    assert_eq!(provider.count(), 0);
    assert_eq!(by(OTHER, &chat("gpt-1")).status(), 200);
    assert_eq!(by(KEY, &chat("anything")).status(), 200);
    assert_eq!(provider.last().model, "anything");
}

#[test]
fn bad_requests_are_told_and_ask_nobody() {
    let provider = Provider::start("a");
    let proxy = known(gateway(&[("a", &provider)])).set("limits", json!({"body_bytes": "64KiB"})).start();
    let path = "/v1/chat/completions";
    let json = |body: &str| Request::post(path, body).header("content-type", "application/json");
    let long = chat_body("gpt-test").to_string().replace("Hello", &"x".repeat(70_000));
    let cases = [
        (json("{\"model\":"), 400, "invalid_json", None),
        (json(""), 400, "invalid_json", None),
        (json("[]"), 400, "invalid_json", None),
        (json("{\"messages\":[{}]}"), 400, "missing_required_parameter", Some("model")),
        (json("{\"model\":7,\"messages\":[{}]}"), 400, "invalid_type", Some("model")),
        (json("{\"model\":\"gpt-test\",\"messages\":[]}"), 400, "empty_array", Some("messages")),
        (
            json("{\"model\":\"gpt-test\",\"model\":\"b\",\"messages\":[{}]}"),
            400,
            "duplicate_parameter",
            Some("model"),
        ),
        (chat("gpt-9"), 404, "model_not_found", Some("model")),
        (chat(&"m".repeat(257)), 400, "string_above_max_length", Some("model")),
        (json(&long), 413, "request_too_large", None),
        (
            Request::post(path, "a=b").header("content-type", "application/x-www-form-urlencoded"),
            415,
            "unsupported_content_type",
            None,
        ),
        (chat("gpt-test").header("content-encoding", "gzip"), 415, "unsupported_content_encoding", None),
        (Request::get("/v1/models/gpt-9"), 404, "model_not_found", Some("model")),
        (Request::post("/v1/../admin", "{}"), 404, "unknown_url", None),
    ];
    for (request, status, code, param) in &cases {
        let answer = proxy.send(request);
        is(&answer, *status, code, *param);
        assert_eq!(refused(&answer).1, "invalid_request_error");
    }
    let upgrade = Request::get("/v1/realtime?model=gpt-test")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut client = Client::connect(proxy.addr());
    is(&client.exchange(&keyed(&upgrade)).expect("an answer"), 501, "not_implemented", None);
    assert_eq!((provider.count(), provider.accepted()), (0, 0), "nobody was asked");
}

#[test]
fn an_upgrade_that_nobody_needs_is_left_alone() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let request = chat("ok")
        .header("connection", "Upgrade, HTTP2-Settings")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA");
    assert_eq!(proxy.send(&request).status(), 200);
    assert_eq!((provider.last().header("upgrade"), provider.last().header("http2-settings")), (None, None));
}

#[test]
fn a_large_body_is_refused_however_it_comes() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).set("limits", json!({"body_bytes": "1KiB"})).start();
    let begin =
        || keyed(&Request::new("POST", "/v1/chat/completions").header("content-type", "application/json"));
    for size in [2000, 40_000, 200_000] {
        let body = chat_body("ok").to_string().replace("Hello", &"x".repeat(size));
        let mut client = Client::connect(proxy.addr());
        client.send(begin().header("transfer-encoding", "chunked").bytes());
        let _cut = client.try_send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
        is(&client.response(), 413, "request_too_large", None);
    }
    let mut client = Client::connect(proxy.addr());
    let announced = begin().header("content-length", "2000").header("expect", "100-continue");
    client.send(announced.bytes());
    let answer = client.response();
    assert!(answer.interim.is_empty(), "it is not asked for");
    is(&answer, 413, "request_too_large", None);
    let mut body = chat_body("ok");
    body["user"] = json!("x".repeat(2000));
    let curl = Curl::new("http", HOST, proxy.addr(), "/v1/chat/completions");
    let output =
        curl.args(&["--http2-prior-knowledge", "--oauth2-bearer", KEY, "--json", &body.to_string()]).output();
    assert!(String::from_utf8_lossy(&output.stdout).contains("request_too_large"), "{output:?}");
    assert_eq!(provider.count(), 0);
}

#[test]
fn a_key_has_its_requests_of_a_minute() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).set("keys.0.limits", json!({"requests_per_minute": 3})).start();
    let answers: Vec<_> = (0..4).map(|_| proxy.chat("ok")).collect();
    assert_eq!(answers.iter().map(Message::status).collect::<Vec<_>>(), [200, 200, 200, 429]);
    let last = &answers[3];
    let (_, kind, code, _) = refused(last);
    assert_eq!((kind.as_str(), code.as_str()), ("requests", "rate_limit_exceeded"));
    let number = |name: &str| last.header(name).and_then(|value| value.parse::<u64>().ok());
    assert_eq!(number("x-ratelimit-limit-requests"), Some(3));
    assert_eq!(number("x-ratelimit-remaining-requests"), Some(0));
    assert!(last.header("x-ratelimit-reset-requests").is_some());
    for name in ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"] {
        assert!(last.header(name).is_some(), "{name}");
    }
    assert!(number("retry-after").is_some_and(|seconds| (1..=20).contains(&seconds)), "{last:?}");
    assert!(number("retry-after-ms").is_some_and(|millis| (1..=20_000).contains(&millis)), "{last:?}");
    assert_ne!(last.header("x-should-retry"), Some("false"));
    assert_eq!(provider.count(), 3);
}

#[test]
fn a_key_has_so_many_requests_at_once() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).set("keys.0.limits", json!({"concurrent": 2})).start();
    let mut holders: Vec<_> = (0..2)
        .map(|_| {
            let mut client = Client::connect(proxy.addr());
            client.send(keyed(&chat_stream("stall")).bytes());
            assert_eq!(client.head().status(), 200);
            client
        })
        .collect();
    let answer = proxy.chat("ok");
    is(&answer, 429, "rate_limit_exceeded", None);
    assert!(answer.header("retry-after-ms").is_some());
    holders.pop();
    until("a place is free", || proxy.chat("ok").status() == 200);
    // A request that is refused takes no place.
    assert_eq!(proxy.chat("ok").status(), 200);
}

#[test]
fn keys_of_an_edited_file_are_in_force() {
    let provider = Provider::start("a");
    let section = gateway(&[("a", &provider)]);
    let proxy = section.start();
    let other = || chat("ok").header("api-key", OTHER).send(proxy.addr()).status();
    assert_eq!((other(), proxy.chat("ok").status()), (401, 200));
    proxy.proxy.reload(&section.set("keys", json!([{"id": "b", "sha256": digest(OTHER)}])).config());
    assert_eq!((other(), proxy.chat("ok").status()), (200, 401));
}

#[test]
fn callers_own_keys_go_where_they_belong() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let section = gateway(&[("a", &a), ("b", &b)]).set("auth", "passthrough").set("keys", json!([]));
    let section = section
        .set("providers.b.accepts_caller_key", true)
        .model("both", &[("a", "ok"), ("b", "ok")])
        .model("refusing", &[("b", "401"), ("a", "ok")])
        .model("unknowing", &[("b", "unknown-model"), ("a", "ok")])
        .set("default_provider", "b");
    let proxy = section.start();
    let own = |model: &str| chat(model).header("authorization", "Bearer sk-callers-own").send(proxy.addr());
    assert_eq!(own("both").header("x-lockstep-target"), Some("b/ok"));
    assert_eq!(b.last().header("authorization"), Some("Bearer sk-callers-own"));
    // What the caller's own key may not is the caller's to know.
    is(&own("refusing"), 401, "invalid_api_key", None);
    is(&own("unknowing"), 404, "model_not_found", Some("model"));
    assert_eq!(a.count(), 0, "it does not accept callers' keys");
    is(&chat("both").send(proxy.addr()), 401, "invalid_api_key", None);
    let files = Request::get("/v1/files").header("api-key", "sk-callers-own").send(proxy.addr());
    assert_eq!(files.status(), 200);
    assert_eq!(b.last().header("authorization"), Some("Bearer sk-callers-own"));
}

#[test]
fn without_keys_everybody_on_this_machine_may_call() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).set("auth", "none").start();
    assert_eq!(chat("ok").send(proxy.addr()).status(), 200);
    assert_eq!(provider.last().header("authorization"), Some(&*format!("Bearer {}", provider_key("a"))));
}

#[test]
fn what_nobody_serves_is_not_found() {
    let provider = Provider::start("a");
    let proxy = known(gateway(&[("a", &provider)])).set("default_provider", Value::Null).start();
    for request in
        [Request::get("/v1/files"), Request::post("/v1/batches", "{}"), Request::get("/v1/chat/completions")]
    {
        is(&proxy.send(&request), 404, "unknown_url", None);
    }
    let moderation = post("/v1/moderations", &json!({"input": "x"}));
    is(&proxy.send(&moderation), 404, "unknown_url", None);
    assert_eq!(provider.count(), 0);
    // Outside the prefix, no app is there.
    assert_eq!(proxy.send(&Request::get("/elsewhere")).status(), 404);
}

#[test]
fn raw_paths_go_to_the_default_provider() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    for (method, target) in [
        ("GET", "/v1/fine_tuning/jobs?limit=2"),
        ("POST", "/v1/batches"),
        ("DELETE", "/v1/x/y%2Fz"),
        ("PATCH", "/v1/q"),
    ] {
        let request = Request::new(method, target);
        let request =
            if matches!(method, "POST" | "PATCH") { request.header("content-length", "2") } else { request };
        let mut client = Client::connect(proxy.addr());
        client.send(keyed(&request).bytes());
        if matches!(method, "POST" | "PATCH") {
            client.send("{}");
        }
        let answer = client.response();
        assert_eq!(answer.json()["method"], method);
        assert_eq!(answer.json()["target"], target, "the path is not touched");
        assert_eq!(answer.header("x-request-id").map(str::len), Some(26));
    }
    // Without a length there is no body, and none is announced.
    let cancel = Request::new("POST", "/v1/batches/b1/cancel").header("accept-encoding", "gzip, deflate");
    assert_eq!(proxy.send(&cancel).status(), 200);
    let seen = provider.last();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (Some("0"), None));
    assert_eq!(seen.header("accept-encoding"), Some("identity"), "an error could not be read otherwise");
    // Refusals of providers keep their status and their words.
    provider.otherwise("404");
    assert_eq!(proxy.send(&Request::get("/v1/batches/b1")).status(), 404);
}

#[test]
fn who_may_use_some_models_has_no_default_provider() {
    let provider = Provider::start("a");
    let keys = json!([
        {"id": "all", "sha256": digest(KEY), "models": ["gpt-*", "*"]},
        {"id": "some", "sha256": digest(OTHER), "models": ["gpt-*"]},
    ]);
    let proxy = gateway(&[("a", &provider)]).set("keys", keys).start();
    let json = |target: &str| Request::post(target, "{}").header("content-type", "application/json");
    let requests = [
        Request::get("/v1/files"),
        Request::new("DELETE", "/v1/models/gpt-1"),
        Request::get("/v1/chat/completions"),
        json("/v1/batches"),
        json("/v1/chat/completions;x"),
        json("/v1/moderations"),
        // Of unknown length, as what passes through unread.
        Request::new("POST", "/v1/files").header("transfer-encoding", "chunked"),
    ];
    for (index, request) in requests.iter().enumerate() {
        let by = |key: &str| {
            let mut client = Client::connect(proxy.addr());
            client.send(request.clone().header("authorization", &format!("Bearer {key}")).bytes());
            if index + 1 == requests.len() {
                client.send("0\r\n\r\n");
            }
            client.response()
        };
        let count = provider.count();
        is(&by(OTHER), 404, "unknown_url", None);
        assert_eq!(provider.count(), count, "nobody was asked");
        assert_ne!(by(KEY).status(), 401);
        assert_eq!(provider.count(), count + 1, "{request:?}");
    }
}

#[test]
fn azures_paths_and_azure_as_a_provider() {
    let (a, z) = (Provider::start("a"), Provider::start("z"));
    let azure = json!({
        "kind": "azure", "base_url": format!("http://{}", z.addr), "api_version": "2024-10-21",
        "api_key": {"value": provider_key("z")},
    });
    let proxy = gateway(&[("a", &a)])
        .provider("z", azure)
        .model("gpt-test", &[("a", "ok")])
        .model("on-azure", &[("z", "dep.loy-1")])
        .model("both", &[("z", "429-after-200"), ("a", "ok")])
        .start();
    let body = json!({"messages": [{"role": "user", "content": "Hello"}]});
    let inbound = post("/openai/deployments/gpt-test/chat/completions?api-version=2023-05-15", &body);
    let answer = inbound.clone().header("api-key", KEY).send(proxy.addr());
    assert_eq!(answer.json()["choices"][0]["message"]["content"], CONTENT);
    let seen = a.last();
    assert_eq!((seen.request.target(), seen.model.as_str()), ("/v1/chat/completions", "ok"));
    let v1 = post("/openai/v1/chat/completions", &chat_body("gpt-test"));
    assert_eq!(proxy.send(&v1).status(), 200);
    let target = "/openai/deployments/dep.loy-1/chat/completions?api-version=2024-10-21";
    assert_eq!(proxy.chat("on-azure").status(), 200);
    let seen = z.last();
    assert_eq!(seen.request.target(), target);
    assert_eq!(seen.header("api-key"), Some(&*provider_key("z")));
    assert_eq!(seen.header("authorization"), None);
    let stream = proxy.stream("on-azure");
    assert!(stream.is_done() && stream.said() == CONTENT);
    assert_eq!(proxy.chat("both").header("x-lockstep-target"), Some("a/ok"));
    let embeddings = post("/v1/embeddings", &json!({"model": "on-azure", "input": "x"}));
    assert_eq!(proxy.send(&embeddings).status(), 200);
    assert_eq!(z.last().request.target(), "/openai/deployments/dep.loy-1/embeddings?api-version=2024-10-21");
    let responses = post("/v1/responses", &json!({"model": "on-azure", "input": "x"}));
    assert_eq!(proxy.send(&responses).status(), 200);
    assert_eq!(z.last().request.target(), "/openai/responses?api-version=2024-10-21");
}

#[test]
fn forms_are_routed_by_their_model() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let proxy = gateway(&[("a", &a), ("b", &b)]).model("whisper", &[("a", "500"), ("b", "loud")]).start();
    let form = |model: &str| {
        let mut body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n\0\u{fffd}--b\r\n\r\n--b\r\n\
             Content-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--b--\r\n"
        )
        .into_bytes();
        body[70] = 0xff;
        body
    };
    let request = Request::post("/v1/audio/transcriptions", form("whisper"));
    let answer = proxy.send(&request.header("content-type", "multipart/form-data; boundary=b"));
    assert_eq!((answer.status(), answer.header("x-lockstep-target")), (200, Some("b/loud")));
    // Only the model is another.
    assert!(a.last().request.body == form("500"), "{:?}", a.last().request.text());
    assert!(b.last().request.body == form("loud"), "{:?}", b.last().request.text());
    let broken = Request::post("/v1/audio/transcriptions", "nothing of this kind");
    is(
        &proxy.send(&broken.header("content-type", "multipart/form-data; boundary=b")),
        400,
        "invalid_multipart",
        None,
    );
}

#[test]
fn the_gateway_has_hosts_of_its_own() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).set("hosts", json!(["api.test"])).set("path", "/llm/v1").start();
    let at = |host: &str, path: &str| proxy.send(&post(path, &chat_body("ok")).host(host)).status();
    assert_eq!(at("api.test", "/llm/v1/chat/completions"), 200);
    assert_eq!(provider.last().request.target(), "/v1/chat/completions");
    assert_eq!(at("other.test", "/llm/v1/chat/completions"), 404);
    assert_eq!(at("api.test", "/v1/chat/completions"), 404);
    assert_eq!(provider.count(), 1);
}

#[test]
fn streams_are_refused_as_plain_calls_are() {
    let provider = Provider::start("a");
    let proxy: Running = known(gateway(&[("a", &provider)])).start();
    let stream = Stream::of(proxy.addr(), &keyed(&chat_stream("gpt-9")));
    is(&stream.message, 404, "model_not_found", Some("model"));
}
