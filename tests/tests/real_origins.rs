//! nginx and Node as origins, curl as the client.

use lockstep_tests::curl::Curl;
use lockstep_tests::servers::Server;
use lockstep_tests::{COOKIE, Client, Config, HOST, Lockstep, Request};

fn nginx(version: &str) -> Server {
    let server = Server::nginx(&format!("add_header x-origin {version} always;\nkeepalive_requests 7;"));
    let large: Vec<u8> = (0..20 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(server.html().join("large.bin"), large).expect("the file is written");
    std::fs::write(server.html().join("index.html"), format!("<h1>{version}</h1>\n"))
        .expect("the file is written");
    server
}

#[test]
fn nginx_serves_files_ranges_and_conditions_through_the_proxy() {
    let servers = [nginx("v1"), nginx("v2")];
    let proxy = Lockstep::start(&Config::shop(&[("v1", servers[0].addr), ("v2", servers[1].addr)]));
    let get = |target: &str, arguments: &[&str]| {
        let cookie = format!("{COOKIE}=v1");
        Curl::new("http", HOST, proxy.addr(), target).args(&["--cookie", &cookie]).args(arguments).response()
    };
    let page = get("/", &[]);
    assert_eq!((page.origin(), page.text().as_str()), ("v1", "<h1>v1</h1>\n"));
    let large = std::fs::read(servers[0].html().join("large.bin")).expect("the file");
    assert!(get("/large.bin", &[]).body == large);
    let range = get("/large.bin", &["--range", "1000000-1000099"]);
    assert_eq!((range.status(), range.body.as_slice()), (206, &large[1_000_000..=1_000_099]));
    let etag = page.header("etag").expect("nginx sends one").to_owned();
    assert_eq!(get("/", &["--header", &format!("if-none-match: {etag}")]).status(), 304);
    let missing = get("/missing", &[]);
    assert_eq!((missing.status(), missing.origin()), (404, "v1"));
}

#[test]
fn a_deploy_is_seen_by_new_visitors_alone() {
    let servers = [nginx("v1"), nginx("v2")];
    let proxy = Lockstep::start(&Config::shop(&[("v1", servers[0].addr)]));
    let jar = tempfile::NamedTempFile::new().expect("a file");
    let jar = jar.path().to_str().expect("a path in UTF-8");
    let visit = || {
        let curl = Curl::new("http", HOST, proxy.addr(), "/");
        curl.args(&["--cookie", jar, "--cookie-jar", jar]).response().text()
    };
    assert_eq!(visit(), "<h1>v1</h1>\n");
    proxy.reload(&Config::shop(&[("v1", servers[0].addr), ("v2", servers[1].addr)]));
    proxy.serves("v2");
    assert_eq!(visit(), "<h1>v1</h1>\n");
}

#[test]
fn nginx_that_closes_every_seventh_connection_costs_no_request() {
    let server = nginx("v1");
    let proxy = Lockstep::start(&Config::shop(&[("v1", server.addr)]));
    let mut client = Client::connect(proxy.addr());
    for number in 0..200 {
        let request = if number % 2 == 0 { Request::get("/") } else { Request::post("/nowhere", "x") };
        let answer = client.exchange(&request).expect("an answer");
        assert!(matches!(answer.status(), 200 | 404 | 405), "{answer:?}");
    }
}

#[test]
fn node_sees_the_request_as_it_was_sent() {
    let server = Server::node("origin.js", &["v1"]);
    let proxy = Lockstep::start(&Config::shop(&[("v1", server.addr)]));
    let curl = Curl::new("http", HOST, proxy.addr(), "/a/../b%2F/?q=%20&r=%C3%BC#frag");
    let answer =
        curl.args(&["--path-as-is", "--data", "a=b&c=d", "--header", "X-Mixed-Case: Yes"]).response();
    let seen = answer.json();
    assert_eq!((&seen["method"], &seen["url"]), (&"POST".into(), &"/a/../b%2F/?q=%20&r=%C3%BC".into()));
    assert_eq!(seen["bytes"], 7);
    assert_eq!(answer.origin(), "v1");
    let stream = Curl::new("http", HOST, proxy.addr(), "/stream").args(&["--no-buffer"]).response();
    assert_eq!(stream.text(), (1..=5).map(|n| format!("data: {n}\n\n")).collect::<String>());
}

#[test]
fn node_with_a_short_keep_alive_costs_no_post() {
    // Closes idle connections after 5 ms, so that the proxy finds many of them stale.
    let server = Server::node("origin.js", &["v1", "5"]);
    let proxy = Lockstep::start(&Config::shop(&[("v1", server.addr)]));
    let mut client = Client::connect(proxy.addr());
    for number in 0..300_u64 {
        // Around the moment at which Node closes.
        std::thread::sleep(std::time::Duration::from_micros(4000 + number % 30 * 100));
        let answer = client.exchange(&Request::post("/", "pay")).expect("an answer");
        assert_eq!(answer.status(), 200, "request {number}: {answer:?}");
    }
}
