//! TLS: certificates by name, replaced while connections go on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use lockstep_tests::certificates::Certificate;
use lockstep_tests::curl::Curl;
use lockstep_tests::lockstep::cli;
use lockstep_tests::{Config, HOST, Lockstep, Origin, Request, app, poll, until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn config(origin: &Origin, certificates: &[&Certificate]) -> Config {
    let entries: Vec<Value> = certificates.iter().map(|certificate| certificate.entry()).collect();
    let listen = json!([
        {"addr": "127.0.0.1:0", "redirect_https": true},
        {"addr": "127.0.0.1:0", "tls": {"certificates": entries}},
    ]);
    let shop = app("shop").hosts(&[HOST, "*.wild.test", "other.test"]).version("v1", &[origin.addr]);
    Config::new().app(shop).set("server.listen", listen)
}

/// Whether a client that trusts `certificate` alone gets an answer for `host`.
fn accepted(host: &str, addr: SocketAddr, certificate: &Path) -> bool {
    let output = Curl::new("https", host, addr, "/").trusting(certificate).output();
    // 60: the certificate is not the trusted one, or not for this name.
    assert!(matches!(output.status.code(), Some(0 | 60)), "{output:?}");
    output.status.success()
}

#[test]
fn the_name_chooses_the_certificate() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let shop = Certificate::write(dir.path(), "shop", &[HOST]);
    let wild = Certificate::write(dir.path(), "wild", &["*.wild.test", "other.test"]);
    let proxy = Lockstep::start_in(dir, &config(&origin, &[&shop, &wild]));
    let cases = [(HOST, &shop), ("a.wild.test", &wild), ("other.test", &wild)];
    for (host, certificate) in cases {
        assert!(accepted(host, proxy.tls_addr(), &certificate.cert), "{host}");
    }
    // An unknown name gets the first certificate.
    assert!(!accepted("unknown.test", proxy.tls_addr(), &wild.cert));
    let address = Curl::new("https", HOST, proxy.tls_addr(), "/").args(&["--insecure"]).response();
    assert_eq!(address.status(), 200);
}

#[test]
fn whoever_agrees_on_http2_and_says_nothing_is_not_waited_for() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let certificate = Certificate::write(dir.path(), "shop", &[HOST]);
    let config = config(&origin, &[&certificate]).set("server.limits.header_timeout", "500ms");
    let proxy = Lockstep::start_in(dir, &config);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate.cert).expect("PEM")).expect("an authority");
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let client = client.with_safe_default_protocol_versions().expect("versions");
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    for said in ["", "PRI * HTT"] {
        let name = HOST.try_into().expect("a name");
        let session = ClientConnection::new(Arc::new(client.clone()), name).expect("a session");
        let socket = TcpStream::connect(proxy.tls_addr()).expect("connected");
        socket.set_read_timeout(Some(poll::SOON)).expect("set");
        let mut stream = StreamOwned::new(session, socket);
        stream.write_all(said.as_bytes()).and_then(|()| stream.flush()).expect("sent");
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("a handshake");
        }
        let ended = stream.read_to_end(&mut Vec::new());
        assert!(!ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it is waited for");
    }
    proxy.expect_refused("header_timeout", 2.0);
}

#[test]
fn new_files_replace_a_certificate_while_connections_go_on() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let old = Certificate::write(dir.path(), "shop", &[HOST]);
    let trusted_old = dir.path().join("trusted-old.pem");
    std::fs::write(&trusted_old, &old.pem).expect("it is written");
    let proxy = Lockstep::start_in(dir, &config(&origin, &[&old]));
    assert!(accepted(HOST, proxy.tls_addr(), &trusted_old));
    let new = Certificate::write(proxy.dir.path(), "shop", &[HOST]);
    until("the new certificate is served", || accepted(HOST, proxy.tls_addr(), &new.cert));
    assert!(!accepted(HOST, proxy.tls_addr(), &trusted_old));
}

#[test]
fn a_broken_certificate_file_leaves_the_old_one_in_force() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let shop = Certificate::write(dir.path(), "shop", &[HOST]);
    let trusted = dir.path().join("trusted.pem");
    std::fs::write(&trusted, &shop.pem).expect("it is written");
    let proxy = Lockstep::start_in(dir, &config(&origin, &[&shop]));
    std::fs::write(&shop.cert, "no certificate").expect("it is written");
    until("the log names the file", || proxy.process.stderr.find("shop.crt").is_some());
    assert!(accepted(HOST, proxy.tls_addr(), &trusted));
}

#[test]
fn a_file_that_is_refused_keeps_no_certificate_from_being_renewed() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let old = Certificate::write(dir.path(), "shop", &[HOST]);
    let config = config(&origin, &[&old]);
    let proxy = Lockstep::start_in(dir, &config);
    proxy.write(&config.set("server.limits.connections", 0));
    until("the edit is refused", || proxy.metrics().sum("lockstep_config_stale", &[]) == 1.0);
    let new = Certificate::write(proxy.dir.path(), "shop", &[HOST]);
    until("the new certificate is served", || accepted(HOST, proxy.tls_addr(), &new.cert));
}

#[test]
fn an_edit_adds_a_certificate() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let shop = Certificate::write(dir.path(), "shop", &[HOST]);
    let other = Certificate::write(dir.path(), "other", &["other.test"]);
    let proxy = Lockstep::start_in(dir, &config(&origin, &[&shop]));
    assert!(!accepted("other.test", proxy.tls_addr(), &other.cert));
    proxy.write(&config(&origin, &[&shop, &other]));
    until("the new name is served", || accepted("other.test", proxy.tls_addr(), &other.cert));
    assert!(accepted(HOST, proxy.tls_addr(), &shop.cert));
}

#[test]
fn old_protocol_versions_are_refused_and_counted() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let shop = Certificate::write(dir.path(), "shop", &[HOST]);
    let proxy = Lockstep::start_in(dir, &config(&origin, &[&shop]));
    let versions = [("--tlsv1.2", "1.2", true), ("--tlsv1.3", "1.3", true), ("--tlsv1.0", "1.1", false)];
    for (at_least, most, expected) in versions {
        let curl = Curl::new("https", HOST, proxy.tls_addr(), "/").trusting(&shop.cert);
        let output = curl.args(&[at_least, "--tls-max", most, "--ciphers", "DEFAULT@SECLEVEL=0"]).output();
        assert_eq!(output.status.success(), expected, "{most}: {output:?}");
    }
    proxy.expect_refused("tls_handshake", 1.0);
    let mut client = lockstep_tests::Client::connect(proxy.tls_addr());
    client.send("GET / HTTP/1.1\r\n\r\n");
    client.rest();
    proxy.expect_refused("tls_handshake", 2.0);
}

#[test]
fn plain_requests_are_sent_to_https() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let shop = Certificate::write(dir.path(), "shop", &[HOST]);
    let proxy = Lockstep::start_in(dir, &config(&origin, &[&shop]).set("server.trusted_proxies", json!([])));
    for (host, request) in
        [(HOST, Request::get("/a?b=c")), (&format!("{HOST}:8080"), Request::post("/a?b=c", "x"))]
    {
        let answer = proxy.send(&request.host(host));
        assert_eq!(answer.status(), 308);
        assert_eq!(answer.header("location"), Some(format!("https://{HOST}/a?b=c").as_str()));
    }
    let claims = proxy.send(&Request::get("/").header("x-forwarded-proto", "https"));
    assert_eq!(claims.status(), 308, "an untrusted peer's word does not count");
    assert!(origin.requests().is_empty());
}

#[test]
fn a_trusted_proxy_that_ended_tls_is_not_redirected() {
    let origin = Origin::echo("v1");
    let listen = json!([{"addr": "127.0.0.1:0", "redirect_https": true}]);
    let config = Config::shop(&[("v1", origin.addr)]).set("server.listen", listen);
    let proxy = Lockstep::start(&config.set("server.trusted_proxies", json!(["127.0.0.1/32"])));
    let answer = proxy.send(&Request::get("/").header("x-forwarded-proto", "https"));
    assert_eq!(answer.status(), 200);
    assert_eq!(proxy.send(&Request::get("/")).status(), 308);
}

#[test]
fn without_a_certificate_there_is_no_start_but_a_clear_error() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let shop = Certificate::write(dir.path(), "shop", &[HOST]);
    std::fs::remove_file(&shop.key).expect("it was there");
    let file = dir.path().join("lockstep.yaml");
    let text = config(&origin, &[&shop]).set("server.data_dir", json!(dir.path().join("data"))).text();
    std::fs::write(&file, text).expect("it is written");
    let output = cli([Path::new("run"), Path::new("--config"), &file]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("shop.key"), "{output:?}");
}

#[test]
fn origins_may_speak_tls_too() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let shop = Certificate::write(dir.path(), "shop", &[HOST]);
    let inner = Lockstep::start_in(dir, &config(&origin, &[&shop]));
    let outer = |upstream: Value| {
        let app = app("outer").version("v1", &[inner.tls_addr()]).set("upstream", upstream);
        Lockstep::start(&Config::new().app(app))
    };
    let trusting = outer(json!({"tls": true, "ca": shop.cert}));
    assert_eq!(trusting.send(&Request::get("/")).origin(), "v1");
    let http2 = outer(json!({"tls": true, "ca": shop.cert, "http2": true}));
    assert_eq!(http2.send(&Request::get("/")).origin(), "v1");
    let misnamed = outer(json!({"tls": true, "ca": shop.cert, "sni": "wrong.test"}));
    assert_eq!(misnamed.send(&Request::get("/")).status(), 502);
    let wary = outer(json!({"tls": true}));
    assert_eq!(wary.send(&Request::get("/")).status(), 502, "nobody vouches for the certificate");
}

#[test]
fn new_authorities_of_origins_take_the_place_of_the_old() {
    let (dir, bundles, origin) = (dir(), tempfile::tempdir().expect("a directory"), Origin::echo("v1"));
    let old = Certificate::write(dir.path(), "shop", &[HOST]);
    let bundle = bundles.path().join("ca.pem");
    std::fs::copy(&old.cert, &bundle).expect("it is written");
    let inner = Lockstep::start_in(dir, &config(&origin, &[&old]));
    let upstream = json!({"tls": true, "ca": bundle, "idle_timeout": "100ms"});
    let outer = app("outer").version("v1", &[inner.tls_addr()]).set("upstream", upstream);
    let outer = Lockstep::start(&Config::new().app(outer));
    assert_eq!(outer.send(&Request::get("/")).origin(), "v1");
    let (before, begun) = (outer.reloads(), std::time::Instant::now());
    let new = Certificate::write(inner.dir.path(), "shop", &[HOST]);
    std::fs::copy(&new.cert, &bundle).expect("it is written");
    until("both have the new one, and no connection is left of before", || {
        let reloaded = outer.reloads() > before && accepted(HOST, inner.tls_addr(), &new.cert);
        reloaded && begun.elapsed() > std::time::Duration::from_millis(500)
    });
    assert_eq!(outer.send(&Request::get("/")).origin(), "v1");
}

#[test]
fn a_client_that_begins_no_handshake_is_given_up() {
    let (dir, origin) = (dir(), Origin::echo("v1"));
    let shop = Certificate::write(dir.path(), "shop", &[HOST]);
    let config = config(&origin, &[&shop]).set("server.limits.header_timeout", "500ms");
    let proxy = Lockstep::start_in(dir, &config);
    let mut client = lockstep_tests::Client::connect(proxy.tls_addr());
    client.send([0x16, 0x03, 0x01]);
    assert!(client.closes());
    proxy.expect_refused("tls_handshake", 1.0);
}
