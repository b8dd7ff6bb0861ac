//! Bodies pass through byte for byte, both ways, in whatever pieces they come.

use std::time::Duration;

use lockstep_tests::curl::Curl;
use lockstep_tests::gateway::{KEY, Running, Stream, chat_body, gateway, keyed, post};
use lockstep_tests::provider::{CONTENT, Head, Step};
use lockstep_tests::{Client, HOST, Message, Provider, Request};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const SIZES: [usize; 8] = [1, 2, 3, 7, 64, 1000, 65_536, 1 << 20];

/// A stream as no library would write it: comments, names, ids, several lines of data, fields that
/// nobody knows, white space, escapes.
fn odd_stream(eol: &str, at_least: usize) -> String {
    let mut text = format!(": hello{eol}{eol}retry: 3000{eol}{eol}");
    let mut number = 0;
    while number < 5 || text.len() < at_least {
        let padding = "x".repeat(if at_least > 10_000 { 5_000 } else { 0 });
        let data = format!(
            "data: {{\"id\":\"c-1\",  \"unknown\":[1.0e2,{{\"é\":null}}], \"choices\":[ {{\"index\":0,\
             \"delta\":{{\"content\":\"{number} 日本 \\u00e9 😀 ß{padding}\"}},\"finish_reason\":null}}],\"model\":\"odd\"}}"
        );
        text += &format!("id: {number}{eol}{data}{eol}{eol}:{eol}{eol}");
        number += 1;
    }
    let line = "data:{\"choices\":[{\"index\":0,";
    text += &format!("{line}{eol}data:\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}{eol}{eol}");
    text + &format!("data: [DONE]{eol}{eol}")
}

fn played(body: &[u8], size: usize, head: &Head) -> Vec<Step> {
    let pieces = body.chunks(size).map(|piece| Step::Data(piece.to_vec().into()));
    std::iter::once(Step::Head(head.clone())).chain(pieces).chain([Step::End]).collect()
}

fn stream_request(model: &str) -> Request {
    let mut body = chat_body(model);
    body["stream"] = json!(true);
    post("/v1/chat/completions", &body)
}

fn event_stream() -> Head {
    Head::new(200, "text/event-stream")
}

#[test]
fn streams_are_equal_over_all_sizes_of_pieces() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    for (ending, eol) in [("lf", "\n"), ("crlf", "\r\n"), ("cr", "\r")] {
        for size in SIZES {
            let text = odd_stream(eol, if size > 1000 { 3 << 20 } else { 0 });
            let model = format!("played-{ending}-{size}");
            provider.play(&model, played(text.as_bytes(), size, &event_stream()));
            let direct = Stream::of(provider.addr, &stream_request(&model));
            assert!(direct.message.body == text.as_bytes(), "{model}: the provider plays it");
            let through = Stream::of(proxy.addr(), &keyed(&stream_request(&model)));
            assert!(!through.cut, "{model}");
            same(&through.message.body, text.as_bytes(), &model);
        }
    }
}

/// Shows where two bodies differ, as they may be large.
fn same(got: &[u8], expected: &[u8], what: &str) {
    if got == expected {
        return;
    }
    let at = got.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let near = |bytes: &[u8]| {
        let end = bytes.len().min(at + 80);
        String::from_utf8_lossy(&bytes[at.saturating_sub(40).min(end)..end]).into_owned()
    };
    panic!(
        "{what}: {} and {} bytes differ at {at}: {:?}, {:?}",
        got.len(),
        expected.len(),
        near(got),
        near(expected)
    );
}

#[test]
fn streams_are_equal_over_http2_on_either_side() {
    let provider = Provider::start("a");
    let section = gateway(&[("a", &provider)]);
    let text = odd_stream("\n", 300_000);
    for upstream in ["false", "true"] {
        let proxy = section.clone().set("providers.a.http2", json!(upstream == "true")).start();
        for size in [7, 65_536] {
            let model = format!("played-{size}");
            let bytes = if size == 7 { &text.as_bytes()[text.len() - 3000..] } else { text.as_bytes() };
            provider.play(&model, played(bytes, size, &event_stream()));
            let mut body = chat_body(&model);
            body["stream"] = json!(true);
            let curl = Curl::new("http", HOST, proxy.addr(), "/v1/chat/completions").args(&[
                "--http2-prior-knowledge",
                "--oauth2-bearer",
                KEY,
                "--json",
                &body.to_string(),
            ]);
            same(&curl.response().body, bytes, &format!("{model}, {upstream}"));
            assert_eq!(provider.last().http2, upstream == "true");
            let through = Stream::of(proxy.addr(), &keyed(&stream_request(&model)));
            same(&through.message.body, bytes, &model);
        }
    }
}

#[test]
fn a_stream_may_be_split_anywhere() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let text =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"日😀\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n"
            .as_bytes();
    let mut client = Client::connect(proxy.addr());
    for at in 1..text.len() {
        let (first, second) = text.split_at(at);
        let pause = Step::Pause(Duration::from_millis(2));
        let data = |part: &[u8]| Step::Data(part.to_vec().into());
        let script = vec![Step::Head(event_stream()), data(first), pause, data(second), Step::End];
        provider.play("split", script);
        let answer = client.exchange(&keyed(&stream_request("split"))).expect("a whole answer");
        same(&answer.body, text, &format!("split at {at}"));
    }
}

#[test]
fn plain_answers_are_equal() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let odd = format!(
        " {{ \"unknown\" : 1.50, \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"\\u00e9é😀{}\"}},\
         \"finish_reason\":\"stop\"}}],\r\n \"usage\": {{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}} }}\n",
        "y".repeat(2 << 20)
    );
    let short = odd.replace(&"y".repeat(2 << 20), "");
    for size in SIZES {
        let body = if size > 1000 { &odd } else { &short };
        for head in
            [Head::new(200, "application/json"), Head::new(200, "application/json").length(body.len())]
        {
            let model = format!("played-{size}");
            provider.play(&model, played(body.as_bytes(), size, &head));
            let answer = proxy.chat(&model);
            same(&answer.body, body.as_bytes(), &format!("{size} {head:?}"));
        }
    }
}

/// A body of a size, with white space and fields that a library would write otherwise.
fn odd_request(model: &str, size: usize) -> String {
    let before = format!(
        "{{\n\t\"model\" : \"{model}\" , \"temperature\":1.0e0,\"x\":{{\"é\\u0301\":[ ]}},\"messages\":[{{\"role\":\"user\",\"content\":\""
    );
    let after = "\"}]  }\n";
    let filling = "日本😀 text ".repeat(size / 18 + 1);
    let room = size.saturating_sub(before.len() + after.len());
    let mut end = room.min(filling.len());
    while !filling.is_char_boundary(end) {
        end -= 1;
    }
    let padding = ".".repeat(room - end);
    format!("{before}{}{padding}{after}", &filling[..end])
}

/// Sends a body, with its length or in chunks.
fn send(proxy: &Running, body: &str, chunked: bool) -> Message {
    let path = "/v1/chat/completions";
    if !chunked {
        return proxy.send(&Request::post(path, body).header("content-type", "application/json"));
    }
    let request = Request::new("POST", path).header("content-type", "application/json");
    let mut client = Client::connect(proxy.addr());
    client.send(keyed(&request).header("transfer-encoding", "chunked").bytes());
    for chunk in body.as_bytes().chunks(100_000) {
        client.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    client.response()
}

#[test]
fn requests_reach_every_target_as_they_were_sent() {
    let (a, b) = (Provider::start("a"), Provider::start("b"));
    let mut section = gateway(&[("a", &a), ("b", &b)]);
    let faults = ["500", "reset", "429", "close", "silence"];
    for fault in faults {
        let targets = json!([
            {"provider": "a", "model": fault, "timeouts": {"total": "1s"}},
            {"provider": "b"},
        ]);
        section = section.entry(&format!("alias-{fault}"), json!({ "targets": targets }));
    }
    let proxy = section.start();
    let small = [(300, false), ((64 << 10) + 1, false), ((64 << 10) + 1, true)];
    let small = small.iter().flat_map(|(size, chunked)| faults.map(|fault| (*size, *chunked, fault)));
    let large = [("500", false), ("reset", true), ("silence", false)];
    let large = large.map(|(fault, chunked)| (20 << 20, chunked, fault));
    for (size, chunked, fault) in small.chain(large) {
        a.forget();
        let alias = format!("alias-{fault}");
        let body = odd_request(&alias, size);
        let answer = send(&proxy, &body, chunked);
        assert_eq!(answer.json()["choices"][0]["message"]["content"], CONTENT, "{fault} {size}");
        // Only the name of the model is another, and only where it must be.
        same(&b.last().request.body, body.as_bytes(), &format!("{fault} {size}"));
        let renamed = body.replacen(&format!("\"{alias}\""), &format!("\"{fault}\""), 1);
        assert!(a.count() >= 1);
        for call in a.calls() {
            same(&call.request.body, renamed.as_bytes(), &format!("{fault} {size}, first target"));
            assert_eq!(call.header("content-length"), Some(&*renamed.len().to_string()));
        }
    }
}

#[test]
fn usage_is_asked_for_and_hidden() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let request = |options: &str| {
        let body = format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"Hi\"}}], \"model\":\"ok\",\"stream\" :true{options}}}"
        );
        (Request::post("/v1/chat/completions", body.clone()).header("content-type", "application/json"), body)
    };
    let direct = |options: &str| Stream::of(provider.addr, &request(options).0).message.body;
    let through = |options: &str| Stream::of(proxy.addr(), &keyed(&request(options).0)).message.body;
    // The numbers of calls are in the ids of answers.
    let numbered = |body: Vec<u8>| {
        let text = String::from_utf8(body).expect("text");
        text.lines().map(|line| line.replace(|c: char| c.is_ascii_digit(), "#") + "\n").collect::<String>()
    };
    for options in
        ["", ",\"stream_options\":{\"include_usage\":true}", ",\"stream_options\":{\"include_usage\":false}"]
    {
        let expected = numbered(direct(options));
        assert_eq!(numbered(through(options)), expected, "{options}");
        let seen = provider.last().request.text();
        let sent = request(options).1;
        // It is always metered.
        assert_eq!(provider.last().json()["stream_options"]["include_usage"], true, "{seen}");
        if options.is_empty() {
            let rest =
                "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}], \"model\":\"ok\",\"stream\" :true";
            assert!(seen.contains(rest), "{seen}");
        } else {
            assert_eq!(seen, sent.replace("false", "true"), "nothing else is to be changed");
        }
    }
}

#[test]
fn what_has_arrived_is_not_held_back() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).start();
    let event =
        |n: usize| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{n}\"}}}}]}}\n\n");
    let mut script = vec![Step::Head(event_stream())];
    script.extend((0..5).map(|n| Step::Data(event(n).into())));
    // Half an event may wait for its other half; what is before it may not.
    script.extend([Step::Data("data: {\"cho".into()), Step::Silence]);
    provider.play("stalling", script);
    let mut client = Client::connect(proxy.addr());
    client.send(keyed(&stream_request("stalling")).bytes());
    assert_eq!(client.head().status(), 200);
    let expected: String = (0..5).map(event).collect();
    let mut got = Vec::new();
    while got.len() < expected.len() {
        got.extend(client.chunk().expect("the stream goes on").expect("an event"));
    }
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

#[test]
fn files_pass_through_both_ways() {
    let provider = Provider::start("a");
    let proxy = gateway(&[("a", &provider)]).set("limits", json!({"body_bytes": "1MiB"})).start();
    let file: Vec<u8> = (0..20 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let form = [
        b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n".as_slice(),
        &file,
        b"\r\n--b--\r\n",
    ]
    .concat();
    // Beyond what is kept: it streams.
    let request = Request::post("/v1/files?x=%2F&y", form.clone());
    let answer = proxy.send(&request.header("content-type", "multipart/form-data; boundary=b"));
    assert_eq!(answer.json()["sha256"], hex::encode(Sha256::digest(&file)));
    let seen = provider.last();
    assert_eq!(seen.request.target(), "/v1/files?x=%2F&y");
    assert!(seen.request.body == form);
    let get = |addr, request: &Request| request.try_send(addr).expect("a whole answer");
    let content = Request::get("/v1/files/file-1/content");
    let through = get(proxy.addr(), &keyed(&content));
    assert!(through.body == get(provider.addr, &content).body);
    assert_eq!(through.header("content-type"), Some("application/octet-stream"));
    let head = Client::connect(proxy.addr()).exchange(&keyed(&Request::new("HEAD", "/v1/anything")));
    assert_eq!(head.expect("a head").status(), 200);
    let deleted = proxy.send(&Request::new("DELETE", "/v1/files/file-1"));
    assert_eq!((deleted.status(), provider.last().request.method()), (200, "DELETE"));
}
