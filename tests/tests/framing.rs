//! Requests that two parsers could read in two ways, and other ill-formed ones.

use lockstep_tests::{Client, Config, HOST, Lockstep, Origin, Request};

struct Edge {
    origin: Origin,
    proxy: Lockstep,
}

impl Edge {
    fn start() -> Self {
        let origin = Origin::echo("v1");
        let proxy = Lockstep::start(&Config::shop(&[("v1", origin.addr)]));
        Self { origin, proxy }
    }

    /// Sends bytes and expects a refusal, a metric of it, the end of the connection, and nothing
    /// at the origin.
    fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16, reason: &str) {
        let bytes = bytes.as_ref();
        let text = String::from_utf8_lossy(bytes).chars().take(200).collect::<String>();
        let (before, seen) = (self.proxy.metrics().refused(reason), self.origin.requests().len());
        let mut client = Client::connect(self.proxy.addr());
        client.send(bytes);
        let answer = client.try_response().unwrap_or_else(|error| panic!("{error}: {text:?}"));
        assert_eq!(answer.status(), status, "{text:?} {answer:?}");
        assert!(answer.text().contains(reason), "{text:?} {answer:?}");
        let rest = client.rest();
        assert!(rest.is_empty(), "{text:?} is followed by {:?}", String::from_utf8_lossy(&rest));
        self.proxy.expect_refused(reason, before + 1.0);
        assert_eq!(self.origin.requests().len(), seen, "{text:?} reached the origin");
    }

    /// The status of the answer to a request line; 0 if there is none.
    fn status_of(&self, line: &str) -> u16 {
        let mut client = Client::connect(self.proxy.addr());
        client.send(format!("{line}\r\nHost: {HOST}\r\n\r\n"));
        client.try_response().map_or(0, |answer| answer.status())
    }

    fn refuses_head(&self, head: &str, body: &str) {
        self.refuses(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n{body}"), 400, "bad_request");
    }
}

const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";

#[test]
fn ambiguous_lengths_are_refused() {
    let edge = Edge::start();
    let heads = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: \r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 5\r\n",
    ];
    for head in heads {
        edge.refuses_head(head, SMUGGLED);
    }
}

#[test]
fn http_1_0_has_no_chunks() {
    let edge = Edge::start();
    let head = format!("POST / HTTP/1.0\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{SMUGGLED}");
    edge.refuses(head, 400, "bad_request");
}

#[test]
fn broken_chunks_are_refused() {
    let edge = Edge::start();
    for body in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "5\r\nabc\r\n0\r\n\r\nxx",
        "ffffffffffffffffff\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
    ] {
        let mut client = Client::connect(edge.proxy.addr());
        client.send(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        let answer = client.try_response().unwrap_or_else(|error| panic!("{error}: {body:?}"));
        assert_eq!(answer.status(), 400, "{body:?} {answer:?}");
        assert!(client.rest().is_empty());
    }
    edge.proxy.expect_refused("bad_request", 5.0);
    assert!(edge.origin.requests().is_empty(), "no origin takes half a body for a whole one");
}

#[test]
fn control_characters_and_broken_lines_are_refused() {
    let edge = Edge::start();
    let fields = [
        "X-A: b\0c\r\n",
        "X-A: b\x01c\r\n",
        "X-A: b\x7fc\r\n",
        "X\x01A: b\r\n",
        "X A: b\r\n",
        ": b\r\n",
        "no colon\r\n",
        " folded: line\r\n",
        "X-A: b\r\n folded\r\n",
        "X-A: b\rc\r\n",
    ];
    for field in fields {
        edge.refuses_head(field, "");
    }
}

#[test]
fn broken_request_lines_are_refused() {
    let edge = Edge::start();
    let lines = [
        "GET /\x01 HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.7",
        "GET / HTTP/9",
        "GET /",
        "G\0T / HTTP/1.1",
        "\x16\x03\x01\x02",
        "GET noslash HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\t HTTP/1.1",
        "GET / HTTP/1.1 HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET ftp://shop.test/ HTTP/1.1",
        "GET x/http://shop.test/ HTTP/1.1",
    ];
    let served: Vec<_> = lines.iter().filter(|line| edge.status_of(line) != 400).collect();
    assert!(served.is_empty(), "{served:?}");
    assert!(edge.origin.requests().is_empty());
    edge.proxy.expect_refused("bad_request", lines.len() as f64);
}

#[test]
fn a_request_needs_one_valid_host() {
    let edge = Edge::start();
    edge.refuses("GET / HTTP/1.1\r\n\r\n", 400, "bad_request");
    edge.refuses(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n"), 400, "bad_request");
    edge.refuses(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: other.test\r\n\r\n"), 400, "bad_request");
}

#[test]
fn nominating_a_protected_field_is_refused() {
    let edge = Edge::start();
    edge.refuses(
        format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: x-forwarded-for\r\n\r\n"),
        400,
        "bad_request",
    );
}

#[test]
fn connect_is_not_served() {
    let edge = Edge::start();
    edge.refuses(
        format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n"),
        405,
        "method_not_allowed",
    );
}

#[test]
fn many_fields_are_refused() {
    let edge = Edge::start();
    let fields = (0..300).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
    edge.refuses(head, 431, "header_too_large");
}

#[test]
fn junk_never_takes_the_proxy_down() {
    let edge = Edge::start();
    // A small generator with a fixed seed: failures repeat.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..200 {
        let valid = format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\n\r\nbody").into_bytes();
        let mut bytes = valid;
        for _ in 0..=next() % 4 {
            let at = usize::try_from(next()).unwrap_or(0) % bytes.len();
            bytes[at] = (next() & 0xff) as u8;
        }
        let mut client = Client::connect(edge.proxy.addr());
        client.send(&bytes);
        client.finish_sending();
        let answer = client.rest();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(edge.proxy.send(&lockstep_tests::Request::get("/")).status(), 200);
    assert_eq!(edge.proxy.metrics().sum("lockstep_task_panics_total", &[]), 0.0);
}

#[test]
fn answers_that_two_parsers_could_read_in_two_ways_go_no_further() {
    let endless = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(40);
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nbody".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n".to_owned(),
        format!("{endless}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"),
    ];
    for answer in answers {
        let shown = answer.get(..60).unwrap_or(&answer).to_owned();
        let origin = Origin::connection(move |stream| {
            let mut head = std::io::BufReader::new(stream.try_clone()?);
            lockstep_tests::http1::read_head(&mut head)?;
            std::io::Write::write_all(stream, answer.as_bytes())?;
            std::io::Read::read(&mut head, &mut [0; 1]).map(drop)
        });
        let proxy = Lockstep::start(&Config::shop(&[("v1", origin.addr)]));
        let mut client = Client::connect(proxy.addr());
        client.send(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"));
        let received = String::from_utf8_lossy(&client.rest()).into_owned();
        let last = received.rsplit("HTTP/1.1 ").next().unwrap_or_default();
        assert!(last.starts_with("502"), "{shown:?} became {received:?}");
    }
}

#[test]
fn what_an_origin_claims_about_versions_is_replaced() {
    let origin = Origin::answering("v1", |_, reply| {
        reply.begin(&[
            ("x-lockstep-version", "v9"),
            ("x-lockstep-latest", "v9"),
            ("x-lockstep-skew", "expired"),
        ])?;
        reply.end()
    });
    let proxy = Lockstep::start(&Config::shop(&[("v1", origin.addr)]));
    let answer = Request::get("/").send(proxy.addr());
    assert_eq!(answer.header("x-lockstep-version"), Some("v1"));
    assert_eq!((answer.header("x-lockstep-latest"), answer.header("x-lockstep-skew")), (None, None));
}
