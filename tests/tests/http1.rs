//! HTTP/1.1, byte by byte.

use std::io::{BufReader, Read as _, Write as _};

use lockstep_tests::http1::{self, Framing};
use lockstep_tests::{Client, Config, HOST, Lockstep, Origin, Request};

const LARGE: usize = 20 * 1024 * 1024;

/// Bytes that tell when they are out of place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn proxy(origin: &Origin) -> Lockstep {
    Lockstep::start(&Config::shop(&[("v1", origin.addr)]))
}

#[test]
fn whoever_is_still_sending_when_refused_gets_the_answer() {
    let origin = Origin::echo("v1");
    let proxy = proxy(&origin);
    let config = Config::shop(&[("v1", origin.addr)]).set("server.limits.body_bytes", "10KiB");
    let narrow = Lockstep::start(&config);
    let body = pattern(LARGE);
    for (proxy, request, status) in [
        (&proxy, Request::post("/", body.clone()).host("nobody.test"), 404),
        (&narrow, Request::post("/", body.clone()), 413),
    ] {
        let mut client = Client::connect(proxy.addr());
        client.try_send(request.bytes()).expect("all of it is taken");
        assert_eq!(client.response().status(), status);
    }
}

#[test]
fn chunked_bodies_pass_both_ways() {
    let origin = Origin::answering("v1", |request, reply| {
        reply.begin(&[("x-body", &request.text())])?;
        for chunk in ["one ", "two ", "three"] {
            reply.chunk(chunk)?;
        }
        reply.end()
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    for _ in 0..2 {
        client.send(Request::new("POST", "/").header("transfer-encoding", "chunked").bytes());
        client.send("3\r\nabc\r\n4;extension=1\r\ndefg\r\n0\r\n\r\n");
        let answer = client.response();
        assert_eq!(answer.header("x-body"), Some("abcdefg"));
        assert_eq!((answer.framing(), answer.text().as_str()), (Framing::Chunked, "one two three"));
    }
    assert_eq!(origin.last().header("transfer-encoding"), Some("chunked"));
    assert_eq!(origin.last().header("content-length"), None);
}

#[test]
fn large_bodies_pass_both_ways() {
    let origin = Origin::answering("v1", |request, reply| {
        let body = request.body.clone();
        reply.respond(200, &[], body)
    });
    let proxy = proxy(&origin);
    let body = pattern(LARGE);
    let answer = proxy.send(&Request::post("/", body.clone()));
    assert_eq!(answer.status(), 200);
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
}

#[test]
fn large_chunked_answers_pass() {
    let origin = Origin::answering("v1", |_, reply| {
        reply.begin(&[])?;
        pattern(LARGE).chunks(100_000).try_for_each(|chunk| reply.chunk(chunk))?;
        reply.end()
    });
    let answer = proxy(&origin).send(&Request::get("/"));
    assert!(answer.body == pattern(LARGE), "{} bytes came", answer.body.len());
}

#[test]
fn a_client_that_expects_100_gets_it_before_it_sends() {
    let origin = Origin::echo("v1");
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(
        Request::new("POST", "/").header("content-length", "5").header("expect", "100-continue").bytes(),
    );
    assert_eq!(client.head().status(), 100);
    client.send("hello");
    let answer = client.response();
    assert_eq!((answer.status(), answer.json()["bytes"].as_u64()), (200, Some(5)));
}

#[test]
fn early_hints_pass_and_the_pin_comes_once_with_the_final_answer() {
    let origin = Origin::answering("v1", |_, reply| {
        reply.raw("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")?;
        reply.respond(200, &[], "page")
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/").bytes());
    let hints = client.head();
    assert_eq!((hints.status(), hints.header("link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(hints.header("set-cookie"), None);
    let answer = client.response();
    assert_eq!((answer.status(), answer.all("set-cookie").len()), (200, 1));
}

#[test]
fn head_has_a_length_and_no_body() {
    let origin = Origin::answering("v1", |request, reply| match request.method() {
        "HEAD" => reply.raw("HTTP/1.1 200 OK\r\nx-origin: v1\r\ncontent-length: 12345\r\n\r\n"),
        _ => reply.echo(request),
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    for _ in 0..2 {
        let head = client.exchange(&Request::new("HEAD", "/")).expect("a head");
        assert_eq!((head.status(), head.header("content-length")), (200, Some("12345")));
        assert_eq!(client.exchange(&Request::get("/")).expect("an answer").origin(), "v1");
    }
    let refused = client.exchange(&Request::new("HEAD", "/").host("nobody.test")).expect("a head");
    assert_eq!(refused.status(), 404);
    assert_eq!(client.exchange(&Request::get("/")).expect("nothing is left over").status(), 200);
}

#[test]
fn answers_without_bodies_leave_the_connection_in_step() {
    let origin = Origin::answering("v1", |request, reply| match request.target() {
        "/204" => reply.raw("HTTP/1.1 204 No Content\r\nx-origin: v1\r\n\r\n"),
        "/304" => reply.raw("HTTP/1.1 304 Not Modified\r\nx-origin: v1\r\netag: \"1\"\r\n\r\n"),
        _ => reply.echo(request),
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    for (target, status) in [("/204", 204), ("/", 200), ("/304", 304), ("/", 200)] {
        assert_eq!(client.exchange(&Request::get(target)).expect("an answer").status(), status);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::echo("v1");
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    let requests = [Request::get("/1"), Request::post("/2", "body"), Request::get("/3")];
    client.send(requests.iter().flat_map(Request::bytes).collect::<Vec<_>>());
    for target in ["/1", "/2", "/3"] {
        assert_eq!(client.response().json()["target"], target);
    }
}

#[test]
fn old_clients_are_served() {
    let origin = Origin::answering("v1", |request, reply| {
        reply.raw("HTTP/1.1 103 Early Hints\r\n\r\n")?;
        reply.begin(&[])?;
        reply.chunk(request.target())?;
        reply.end()
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(format!("GET /old HTTP/1.0\r\nHost: {HOST}\r\n\r\n"));
    let answer = client.response();
    assert_eq!(answer.framing(), Framing::Close, "HTTP/1.0 knows no chunks: {answer:?}");
    assert_eq!(answer.text(), "/old");
}

#[test]
fn fields_of_one_connection_do_not_pass() {
    let origin = Origin::answering("v1", |request, reply| {
        let fields = [
            ("connection", "x-internal"),
            ("x-internal", "secret"),
            ("keep-alive", "timeout=9"),
            ("x-public", "1"),
        ];
        reply.respond(200, &fields, request.target())
    });
    let proxy = proxy(&origin);
    let request = Request::get("/")
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=9")
        .header("proxy-connection", "keep-alive")
        .header("proxy-authorization", "Basic eDp5")
        .header("te", "gzip")
        .header("x-end-to-end", "1");
    let mut client = Client::connect(proxy.addr());
    let answer = client.exchange(&request).expect("an answer");
    for name in ["x-internal", "keep-alive"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-public"), Some("1"));
    let seen = origin.last();
    for name in ["x-hop", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-end-to-end"), Some("1"));
    assert_eq!(client.exchange(&Request::get("/")).expect("the connection is kept").status(), 200);
}

#[test]
fn answers_of_old_origins_and_in_old_encodings_pass() {
    let origin = Origin::answering("v1", |_, reply| {
        reply.raw(b"HTTP/1.0 200 OK\r\ncontent-disposition: attachment; filename=caf\xe9\r\ncontent-length: 2\r\n\r\nok")?;
        reply.close();
        Ok(())
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/").header("connection", "close").bytes());
    let answer = client.rest();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"ok"),
        "{}",
        answer.escape_ascii()
    );
    assert!(answer.windows(5).any(|window| window == b"caf\xe9\r"), "{}", answer.escape_ascii());
}

#[test]
fn an_answer_that_is_cut_is_cut_for_the_client() {
    let origin = Origin::answering("v1", |request, reply| {
        match request.target() {
            "/length" => reply.raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")?,
            _ => {
                reply.begin(&[])?;
                reply.chunk("half")?;
            }
        }
        reply.close();
        Ok(())
    });
    let proxy = proxy(&origin);
    for target in ["/length", "/chunked"] {
        let mut client = Client::connect(proxy.addr());
        client.send(Request::get(target).bytes());
        let cut = client.try_response().expect_err("a cut is an error");
        assert!(
            matches!(cut.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset),
            "{cut}"
        );
    }
    proxy.expect_refused("upstream_failed", 2.0);
}

#[test]
fn an_answer_that_is_cut_is_a_reset_for_old_clients() {
    let origin = Origin::answering("v1", |request, reply| {
        reply.begin(&[])?;
        reply.chunk("half")?;
        if request.target() == "/whole" {
            return reply.end();
        }
        reply.close();
        Ok(())
    });
    let proxy = proxy(&origin);
    let ask = |target: &str| {
        let mut client = Client::connect(proxy.addr());
        client.send(format!("GET {target} HTTP/1.0\r\nHost: {HOST}\r\n\r\n"));
        client.stream().read_to_end(&mut Vec::new()).map_err(|error| error.kind())
    };
    assert_eq!(ask("/cut"), Err(std::io::ErrorKind::ConnectionReset));
    assert!(ask("/whole").is_ok());
}

#[test]
fn an_early_answer_to_an_unfinished_upload_reaches_the_client() {
    let origin = Origin::connection(|stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        let _head = http1::read_head(&mut reader)?;
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")?;
        reader.read_to_end(&mut Vec::new()).map(drop)
    });
    let proxy = proxy(&origin);
    let mut client = Client::connect(proxy.addr());
    client.send(Request::new("POST", "/").header("content-length", "1000000").bytes());
    client.send("x".repeat(1000));
    let answer = client.response();
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
}
