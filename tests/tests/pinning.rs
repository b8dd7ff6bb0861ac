//! Every visitor stays with the version that served the first page: by cookie, header and query.

use lockstep_tests::{COOKIE, Client, Config, Lockstep, Message, Origin, Request};
use serde_json::json;

struct Shop {
    _origins: [Origin; 2],
    proxy: Lockstep,
}

/// v2 is active, v1 drains.
fn shop(configure: impl Fn(Config) -> Config) -> Shop {
    let origins = [Origin::echo("v1"), Origin::echo("v2")];
    let config = Config::shop(&[("v1", origins[0].addr), ("v2", origins[1].addr)]);
    Shop { proxy: Lockstep::start(&configure(config)), _origins: origins }
}

impl Shop {
    fn get(&self, request: &Request) -> Message {
        let answer = self.proxy.send(request);
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer
    }
}

#[test]
fn a_new_visitor_gets_the_newest_and_a_pin() {
    let shop = shop(|config| config);
    let answer = shop.get(&Request::get("/"));
    assert_eq!(answer.origin(), "v2");
    assert_eq!(answer.header("x-lockstep-version"), Some("v2"));
    assert_eq!(answer.header("x-lockstep-latest"), None);
    assert_eq!(answer.header("x-lockstep-skew"), None);
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let mut attributes: Vec<_> = cookies[0].split("; ").collect();
    assert_eq!(attributes.remove(0), format!("{COOKIE}=v2"));
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=43200", "Path=/", "SameSite=Lax"]);
}

#[test]
fn the_cookie_decides_and_is_not_renewed_for_an_old_version() {
    let shop = shop(|config| config);
    for request in [Request::get("/"), Request::get("/").page_load(), Request::post("/buy", "one")] {
        let answer = shop.get(&request.pinned("v1"));
        assert_eq!(answer.origin(), "v1");
        assert_eq!(answer.pins_to(), None);
        assert_eq!(answer.header("x-lockstep-version"), Some("v1"));
        assert_eq!(answer.header("x-lockstep-latest"), Some("v2"));
    }
}

#[test]
fn a_page_load_renews_the_pin_to_the_active_version() {
    let shop = shop(|config| config);
    assert_eq!(shop.get(&Request::get("/").pinned("v2")).pins_to(), None);
    assert_eq!(shop.get(&Request::get("/").pinned("v2").page_load()).pins_to().as_deref(), Some("v2"));
    let accepts = Request::get("/").pinned("v2").header("accept", "text/html,*/*;q=0.8");
    assert_eq!(shop.get(&accepts).pins_to().as_deref(), Some("v2"));
    let prefetch = Request::get("/").pinned("v2").page_load().header("sec-purpose", "prefetch");
    assert_eq!(shop.get(&prefetch).pins_to(), None);
}

#[test]
fn header_beats_query_beats_cookie() {
    let shop = shop(|config| config);
    let cases = [
        (Request::get("/").header("x-deployment-id", "v1"), "v1"),
        (Request::get("/?dpl=v1"), "v1"),
        (Request::get("/?a=b&dpl=v%31&c=d"), "v1"),
        (Request::get("/?dpl=v2").header("x-deployment-id", "v1"), "v1"),
        (Request::get("/?dpl=v1").pinned("v2"), "v1"),
        (Request::get("/?dpl=v2").pinned("v1"), "v2"),
        (Request::get("/").header("x-deployment-id", "v2").pinned("v1"), "v2"),
        (Request::get("/?dpl=v2").pinned("v1").page_load(), "v1"),
    ];
    for (request, expected) in cases {
        let answer = shop.get(&request);
        assert_eq!(answer.origin(), expected, "{request:?}");
        assert_eq!(answer.pins_to(), None, "{request:?}");
    }
}

#[test]
fn a_query_chooses_a_page_only_where_that_is_wanted() {
    let shop = shop(|config| config.set("skew.query_on_navigation", true));
    let answer = shop.get(&Request::get("/?dpl=v1").pinned("v2").page_load());
    assert_eq!(answer.origin(), "v1");
}

#[test]
fn an_unknown_pin_gives_way_to_the_next() {
    let shop = shop(|config| config);
    let answer = shop.get(&Request::get("/").header("x-deployment-id", "v9").pinned("v1"));
    assert_eq!(answer.origin(), "v1");
    assert_eq!(answer.header("x-lockstep-skew"), Some("unknown"));
    let answer = shop.get(&Request::get("/").pinned("v9"));
    assert_eq!((answer.origin(), answer.pins_to().as_deref()), ("v2", Some("v2")));
    assert_eq!(answer.header("x-lockstep-skew"), Some("unknown"));
}

#[test]
fn the_cookie_is_found_among_all_kinds_of_others() {
    let shop = shop(|config| config);
    let junk = "k=v; ".repeat(16 * 1024 / 5);
    let cases = [
        vec![format!("a=b; {COOKIE}=v1; c=d")],
        vec![format!("{COOKIE}=\"v1\"")],
        vec!["a=b".to_owned(), format!("{COOKIE}=v1")],
        vec![format!("x{COOKIE}=v2; {COOKIE}x=v2; {COOKIE}=v1")],
        vec![format!("{COOKIE}=other-app; {COOKIE}=v1; {COOKIE}=v2")],
        vec![format!("{junk}{COOKIE}=v1; {junk}")],
        vec![format!("=; ;;; a; {COOKIE}; {COOKIE}=; {COOKIE}=v1")],
    ];
    for lines in cases {
        let request = lines.iter().fold(Request::get("/"), |request, line| request.header("cookie", line));
        assert_eq!(shop.get(&request).origin(), "v1", "{}", lines[0].chars().take(80).collect::<String>());
    }
}

#[test]
fn cookies_of_the_app_pass_both_ways() {
    let origin = Origin::answering("v1", |_, reply| {
        reply.respond(200, &[("set-cookie", "session=1; Path=/"), ("set-cookie", "theme=dark")], "")
    });
    let proxy = Lockstep::start(&Config::shop(&[("v1", origin.addr)]));
    let answer = proxy.send(&Request::get("/").header("cookie", "session=0"));
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies[..2], ["session=1; Path=/", "theme=dark"]);
    assert!(cookies[2].starts_with("__plt_dpl=v1;"), "{cookies:?}");
    assert_eq!(cookies.len(), 3);
    assert_eq!(origin.last().header("cookie"), Some("session=0"));
}

#[test]
fn a_response_that_shared_caches_may_store_does_not_pin() {
    let origin = Origin::answering("v1", |request, reply| match request.target() {
        "/shared" => reply.respond(200, &[("cache-control", "public, max-age=60")], ""),
        "/moved" => reply.respond(302, &[("location", "/")], ""),
        _ => reply.respond(200, &[("cache-control", "private")], ""),
    });
    let proxy = Lockstep::start(&Config::shop(&[("v1", origin.addr)]));
    let pin = |request: Request| proxy.send(&request).pins_to();
    assert_eq!(pin(Request::get("/shared")), None);
    assert_eq!(pin(Request::get("/shared").page_load()).as_deref(), Some("v1"));
    assert_eq!(pin(Request::get("/private")).as_deref(), Some("v1"));
    assert_eq!(pin(Request::get("/moved")).as_deref(), Some("v1"));
}

#[test]
fn the_names_and_attributes_of_pins_are_configurable() {
    let shop = shop(|config| {
        config
            .set("skew.cookie", json!({"name": "release", "max_age": "1h", "same_site": "none", "secure": "always", "http_only": false}))
            .set("skew.header", "x-release")
            .set("skew.query", "release")
            .set("skew.response_headers", false)
    });
    let answer = shop.get(&Request::get("/"));
    let cookie = answer.header("set-cookie").expect("a pin");
    let mut attributes: Vec<_> = cookie.split("; ").collect();
    assert_eq!(attributes.remove(0), "release=v2");
    attributes.sort_unstable();
    assert_eq!(attributes, ["Max-Age=3600", "Path=/", "SameSite=None", "Secure"]);
    assert_eq!(answer.header("x-lockstep-version"), None);
    for request in [
        Request::get("/").header("cookie", "release=v1"),
        Request::get("/").header("x-release", "v1"),
        Request::get("/?release=v1"),
    ] {
        assert_eq!(shop.get(&request).origin(), "v1", "{request:?}");
    }
}

#[test]
fn the_cookie_is_secure_where_a_trusted_proxy_speaks_https() {
    let forwarded = Request::get("/").header("x-forwarded-proto", "https");
    let secure = |answer: Message| answer.header("set-cookie").expect("a pin").contains("; Secure");
    let trusting = shop(|config| config.set("server.trusted_proxies", json!(["127.0.0.0/8"])));
    assert!(secure(trusting.get(&forwarded)));
    assert!(!secure(trusting.get(&Request::get("/"))));
    let wary = shop(|config| config.set("server.trusted_proxies", json!([])));
    assert!(!secure(wary.get(&forwarded)));
}

#[test]
fn pins_hold_over_one_connection_that_changes_its_mind() {
    let shop = shop(|config| config);
    let mut client = Client::connect(shop.proxy.addr());
    for version in ["v1", "v2", "v1", "v1", "v2"] {
        let answer = client.exchange(&Request::get("/").pinned(version)).expect("an answer");
        assert_eq!(answer.origin(), version);
    }
}
