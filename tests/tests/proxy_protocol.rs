//! The PROXY protocol tells who the client of a balancer in front is.

use lockstep_tests::curl::Curl;
use lockstep_tests::{Client, Config, HOST, Lockstep, Origin, Request};
use serde_json::json;

const V2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

fn start(origin: &Origin, trusted: &[&str]) -> Lockstep {
    let config = Config::shop(&[("v1", origin.addr)])
        .set("server.listen", json!([{"addr": "127.0.0.1:0", "proxy_protocol": true}]))
        .set("server.limits.header_timeout", "500ms")
        .set("server.trusted_proxies", json!(trusted));
    Lockstep::start(&config)
}

/// A version 2 header: command and family, then the addresses.
fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).expect("short").to_be_bytes();
    [&V2[..], &[0x20 | command, family], &length, addresses].concat()
}

#[test]
fn both_versions_name_the_client() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &["127.0.0.0/8"]);
    let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
    let mut v6 = vec![0x20, 0x01, 0x0d, 0xb8];
    v6.extend([0; 11]);
    v6.extend([9]);
    v6.extend([0; 20]);
    let with_extension = [&v4[..], &[0x03, 0x00, 0x04, 1, 2, 3, 4]].concat();
    let cases = [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::9 ::1 12345 80\r\n".to_vec(), "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(1, 0x11, &v4), "192.0.2.7"),
        (v2(1, 0x21, &v6), "2001:db8::9"),
        (v2(1, 0x11, &with_extension), "192.0.2.7"),
        (v2(0, 0x00, &[]), "127.0.0.1"),
    ];
    for (header, client) in cases {
        let mut connection = Client::connect(proxy.addr());
        connection.send(&header);
        for _ in 0..2 {
            assert_eq!(connection.exchange(&Request::get("/")).expect("an answer").status(), 200);
            assert_eq!(origin.last().header("x-forwarded-for"), Some(client), "{header:?}");
        }
    }
}

#[test]
fn what_a_client_says_of_itself_is_replaced_unless_it_is_trusted() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &["127.0.0.0/8", "198.51.100.0/24"]);
    let claims = Request::get("/").header("x-forwarded-for", "10.0.0.1").header("x-forwarded-proto", "https");
    for (client, chain, scheme) in
        [("192.0.2.7", "192.0.2.7", "http"), ("198.51.100.1", "10.0.0.1, 198.51.100.1", "https")]
    {
        let mut connection = Client::connect(proxy.addr());
        connection.send(format!("PROXY TCP4 {client} 10.0.0.1 12345 80\r\n"));
        assert_eq!(connection.exchange(&claims).expect("an answer").status(), 200);
        let seen = origin.last();
        let told = (seen.header("x-forwarded-for"), seen.header("x-forwarded-proto"));
        assert_eq!(told, (Some(chain), Some(scheme)), "{client}");
    }
}

#[test]
fn the_header_may_come_in_pieces_and_before_http2() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &["127.0.0.0/8"]);
    let mut connection = Client::connect(proxy.addr());
    for piece in b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".chunks(5) {
        connection.send(piece);
    }
    assert_eq!(connection.exchange(&Request::get("/")).expect("an answer").status(), 200);
    assert_eq!(origin.last().header("x-forwarded-for"), Some("192.0.2.7"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let curl = Curl::new("http", HOST, proxy.addr(), "/").args(&["--haproxy-protocol", version]);
        assert_eq!(curl.response().status(), 200, "{version}");
    }
}

#[test]
fn a_missing_malformed_or_endless_header_ends_the_connection() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &["127.0.0.0/8"]);
    let cases: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 999.0.2.7 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 and so on, but never an end to the line that began so well, or is there? no.",
        b"\r\n\r\n\0\r\nQUIT\n\xff\x11\0\x0c0123456789ab",
        b"PROX",
    ];
    for (count, bytes) in cases.iter().enumerate() {
        let mut connection = Client::connect(proxy.addr());
        connection.send(bytes);
        assert!(connection.rest().is_empty(), "{}", String::from_utf8_lossy(bytes));
        proxy.expect_refused("proxy_header", count as f64 + 1.0);
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn an_untrusted_peer_may_not_name_anyone() {
    let origin = Origin::echo("v1");
    let proxy = start(&origin, &["192.0.2.0/24"]);
    let mut connection = Client::connect(proxy.addr());
    connection.send("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n");
    // The connection may be closed before the request is written.
    let _refused = connection.try_send(Request::get("/").bytes());
    assert!(connection.rest().is_empty());
    proxy.expect_refused("proxy_header", 1.0);
    assert!(origin.requests().is_empty());
}
