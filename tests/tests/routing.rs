//! Which app answers for a host and a path.

use std::net::SocketAddr;

use lockstep_tests::{Config, HOST, Lockstep, Origin, Request, app};

/// Apps whose only origin names them.
struct Site {
    _origins: Vec<Origin>,
    proxy: Lockstep,
}

impl Site {
    /// Apps by name, hosts and path; a path that ends in `!` is stripped.
    fn start(apps: &[(&str, &[&str], &str)]) -> Self {
        let mut origins = Vec::new();
        let mut config = Config::new();
        for (name, hosts, path) in apps {
            let origin = Origin::echo(name);
            let entry = app(name).hosts(hosts).version("v1", &[origin.addr]);
            let entry =
                entry.set("path", path.trim_end_matches('!')).set("strip_prefix", path.ends_with('!'));
            config = config.app(entry);
            origins.push(origin);
        }
        Self { proxy: Lockstep::start(&config), _origins: origins }
    }

    fn addr(&self) -> SocketAddr {
        self.proxy.addr()
    }

    /// The app that answers, or the error.
    fn app(&self, host: &str, target: &str) -> String {
        let answer = Request::get(target).host(host).send(self.addr());
        match answer.status() {
            200 => answer.origin().to_owned(),
            status => format!("{status} {}", answer.json()["error"].as_str().unwrap_or_default()),
        }
    }
}

#[test]
fn hosts_are_exact_or_wildcards() {
    let site = Site::start(&[
        ("shop", &["shop.example.com"], "/"),
        ("wild", &["*.example.com"], "/"),
        ("deep", &["*.eu.example.com"], "/"),
        ("books", &["bücher.example"], "/"),
    ]);
    let cases = [
        ("shop.example.com", "shop"),
        ("SHOP.Example.COM", "shop"),
        ("shop.example.com:8080", "shop"),
        ("shop.example.com.", "shop"),
        ("other.example.com", "wild"),
        ("a.b.example.com", "wild"),
        ("a.eu.example.com", "deep"),
        ("xn--bcher-kva.example", "books"),
        ("XN--BCHER-KVA.example", "books"),
        // No client sends it unencoded: the field is ASCII (RFC 9110, 7.2).
        ("bücher.example", "400 bad_request"),
        ("example.com", "404 no_route"),
        ("notexample.com", "404 no_route"),
        ("shop.example.com.evil.test", "404 no_route"),
        ("127.0.0.1", "404 no_route"),
    ];
    for (host, expected) in cases {
        assert_eq!(site.app(host, "/"), expected, "{host}");
    }
}

#[test]
fn the_longest_prefix_wins_on_segment_borders() {
    let site = Site::start(&[
        ("root", &[HOST], "/"),
        ("api", &[HOST], "/api"),
        ("v2", &[HOST], "/api/v2"),
        ("elsewhere", &["other.test"], "/only"),
    ]);
    let cases = [
        (HOST, "/", "root"),
        (HOST, "/apis", "root"),
        (HOST, "/api", "api"),
        (HOST, "/api?x=/api/v2", "api"),
        (HOST, "/api/", "api"),
        (HOST, "/api/v1", "api"),
        (HOST, "/api/v2", "v2"),
        (HOST, "/api/v2/users", "v2"),
        (HOST, "/api/v22", "api"),
        ("other.test", "/only/this", "elsewhere"),
        ("other.test", "/", "404 no_route"),
    ];
    for (host, target, expected) in cases {
        assert_eq!(site.app(host, target), expected, "{host}{target}");
    }
}

#[test]
fn a_prefix_is_stripped_where_that_is_wanted() {
    let site = Site::start(&[("kept", &[HOST], "/kept"), ("gone", &[HOST], "/gone!")]);
    let sent = |target: &str| site.proxy.send(&Request::get(target)).json()["target"].clone();
    assert_eq!(sent("/kept/a?b=c"), "/kept/a?b=c");
    assert_eq!(sent("/gone/a?b=c"), "/a?b=c");
    assert_eq!(sent("/gone"), "/");
    assert_eq!(sent("/gone?x=1"), "/?x=1");
    assert_eq!(sent("/gone/"), "/");
    assert_eq!(sent("/gone/%2Fa//b"), "/%2Fa//b");
    let answer = site.proxy.send(&Request::get("/gone/"));
    let cookie = answer.header("set-cookie").expect("a pin");
    assert!(cookie.contains("Path=/gone"), "{cookie}");
}

#[test]
fn apps_under_one_host_keep_their_pins_apart() {
    let origins: Vec<_> = ["a1", "a2", "b1", "b2"].iter().map(|name| Origin::echo(name)).collect();
    let entry = |name: &str, path: &str, first: usize| {
        app(name)
            .set("path", path)
            .version(&format!("{name}1"), &[origins[first].addr])
            .version(&format!("{name}2"), &[origins[first + 1].addr])
    };
    let proxy = Lockstep::start(&Config::new().app(entry("a", "/", 0)).app(entry("b", "/b", 2)));
    // A browser sends the cookies of both paths, the longer path first.
    let both = |target: &str| Request::get(target).header("cookie", "__plt_dpl=b1; __plt_dpl=a1");
    assert_eq!(proxy.send(&both("/b/x")).origin(), "b1");
    assert_eq!(proxy.send(&both("/x")).origin(), "a1");
}

#[test]
fn nobody_answers_with_a_short_json_body() {
    let site = Site::start(&[("shop", &[HOST], "/")]);
    let answer = Request::get("/").host("nobody.test").send(site.addr());
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["error"], "no_route");
    assert!(answer.body.len() < 200);
    site.proxy.expect_refused("no_route", 1.0);
}

#[test]
fn an_app_without_hosts_answers_for_all_others() {
    let origins = [Origin::echo("any"), Origin::echo("shop")];
    let any = app("any").hosts(&[]).version("v1", &[origins[0].addr]);
    let shop = app("shop").version("v1", &[origins[1].addr]);
    let proxy = Lockstep::start(&Config::new().app(any).app(shop));
    for (host, expected) in [("127.0.0.1:80", "any"), ("[::1]:80", "any"), (HOST, "shop")] {
        assert_eq!(proxy.send(&Request::get("/").host(host)).origin(), expected, "{host}");
    }
    let old = {
        let mut client = lockstep_tests::Client::connect(proxy.addr());
        client.send("GET / HTTP/1.0\r\n\r\n");
        client.response()
    };
    assert_eq!(old.origin(), "any", "HTTP/1.0 needs no host");
}
