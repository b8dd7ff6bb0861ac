//! What a pin gets whose version is gone, sick or superseded, and who gets what is not released.

use lockstep_tests::origin::Refusing;
use lockstep_tests::{App, Client, Config, HOST, Lockstep, Message, Origin, Request, app, until};
use serde_json::json;

/// An app whose v1 has expired and whose v2 is active.
struct Expired {
    origins: [Origin; 2],
    proxy: Lockstep,
}

impl Expired {
    fn start(on_expired: &str) -> Self {
        let origins = [Origin::echo("v1"), Origin::echo("v2")];
        let config = Config::shop(&[("v1", origins[0].addr), ("v2", origins[1].addr)])
            .set("skew.on_expired", on_expired);
        let proxy = Lockstep::start(&config);
        let answer = proxy.operate("apps/shop/versions/v1/expire?now=true");
        assert!(answer.status() < 300, "{answer:?}");
        lockstep_tests::until("v1 has expired", || proxy.state("shop", "v1").as_deref() == Some("expired"));
        lockstep_tests::until("requests know", || {
            proxy.send(&Request::get("/").pinned("v1")).origin() != "v1"
        });
        Self { origins, proxy }
    }

    fn rejects(&self, request: Request) -> bool {
        let answer = self.proxy.send(&request.pinned("v1"));
        if answer.status() == 200 {
            assert_eq!((answer.origin(), answer.pins_to().as_deref()), ("v2", Some("v2")));
            assert_eq!(answer.header("x-lockstep-skew"), Some("expired"));
            return false;
        }
        assert_eq!(answer.status(), 409);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!((&problem["pinned"], &problem["latest"]), (&json!("v1"), &json!("v2")));
        true
    }
}

#[test]
fn an_expired_pin_is_replaced() {
    let shop = Expired::start("active");
    let writes = shop.origins[0].requests().len();
    for request in [
        Request::get("/"),
        Request::get("/").page_load(),
        Request::post("/", "x"),
        Request::new("DELETE", "/"),
    ] {
        assert!(!shop.rejects(request));
    }
    assert_eq!(shop.origins[0].requests().len(), writes, "the expired version is left alone");
}

#[test]
fn an_expired_pin_by_header_leaves_the_cookie_alone() {
    let shop = Expired::start("active");
    let answer = shop.proxy.send(&Request::get("/").header("x-deployment-id", "v1").pinned("v2"));
    assert_eq!((answer.origin(), answer.pins_to()), ("v2", None));
    assert_eq!(answer.header("x-lockstep-skew"), Some("expired"));
}

#[test]
fn a_stale_form_does_not_write_where_that_is_unwanted() {
    let shop = Expired::start("reject_unsafe");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        assert!(shop.rejects(Request::new(method, "/")), "{method}");
    }
    assert!(!shop.rejects(Request::get("/")));
    assert!(!shop.rejects(Request::new("OPTIONS", "/")));
    assert!(shop.origins[1].requests().iter().all(|request| request.method() != "POST"));
}

#[test]
fn all_but_page_loads_may_be_rejected() {
    let shop = Expired::start("reject");
    assert!(shop.rejects(Request::get("/api")));
    assert!(shop.rejects(Request::post("/api", "x")));
    assert!(!shop.rejects(Request::get("/").page_load()));
    let labels = [("app", "shop"), ("version", "v2"), ("reason", "pin_expired"), ("status", "4xx")];
    until("both are counted", || shop.proxy.metrics().sum("lockstep_requests_total", &labels) >= 2.0);
    let logged = || shop.proxy.access_log().into_iter().find(|line| line["reason"] == "pin_expired");
    assert_eq!(lockstep_tests::eventually("it is logged", logged)["app"], "shop");
}

#[test]
fn a_sick_version_fails_or_hands_over() {
    let healthy = Origin::echo("v2");
    let sick = Refusing::default();
    let health = json!({"path": "/", "interval": "100ms"});
    let origin = Origin::echo("v1");
    for (policy, status) in [("fail", 503), ("active", 200)] {
        let shop = |v1| {
            app("shop").version("v1", &[v1]).version("v2", &[healthy.addr]).set("health", health.clone())
        };
        let config = |app: App| Config::new().app(app).set("skew.on_unhealthy", policy);
        let proxy = Lockstep::start(&config(shop(origin.addr)));
        assert_eq!(proxy.send(&Request::get("/").pinned("v1")).origin(), "v1");
        proxy.reload(&config(shop(sick.addr)));
        let answer = lockstep_tests::eventually("the checks see that v1 is sick", || {
            let answer = proxy.send(&Request::get("/").pinned("v1"));
            (answer.status() == status && answer.origin() != "v1").then_some(answer)
        });
        assert_eq!(answer.pins_to(), None, "the pin survives");
        if status == 503 {
            assert_eq!(answer.json()["error"], "no_endpoint");
            assert!(answer.header("retry-after").is_some());
            let labels = [("app", "shop"), ("version", "v1"), ("reason", "no_endpoint"), ("status", "5xx")];
            until("it is counted", || proxy.metrics().sum("lockstep_requests_total", &labels) >= 1.0);
            let logged = || proxy.access_log().into_iter().find(|line| line["reason"] == "no_endpoint");
            let line = lockstep_tests::eventually("it is logged", logged);
            assert_eq!((&line["app"], &line["version"]), (&json!("shop"), &json!("v1")));
        } else {
            assert_eq!(answer.origin(), "v2");
        }
    }
}

#[test]
fn navigation_latest_takes_page_loads_to_the_newest() {
    let origins = [Origin::echo("v1"), Origin::echo("v2")];
    let config =
        Config::shop(&[("v1", origins[0].addr), ("v2", origins[1].addr)]).set("skew.navigation", "latest");
    let proxy = Lockstep::start(&config);
    let page = proxy.send(&Request::get("/").pinned("v1").page_load());
    assert_eq!((page.origin(), page.pins_to().as_deref()), ("v2", Some("v2")));
    let fetch = proxy.send(&Request::get("/api").pinned("v1"));
    assert_eq!((fetch.origin(), fetch.pins_to()), ("v1", None));
    let wrapped = proxy.send(&Request::get("/api").pinned("v2").header("x-deployment-id", "v1"));
    assert_eq!(wrapped.origin(), "v1");
}

/// v1 is active; v2 waits for approval.
fn staged(preview: serde_json::Value) -> ([Origin; 2], Lockstep) {
    let origins = [Origin::echo("v1"), Origin::echo("v2")];
    let config = |versions: &[(&str, std::net::SocketAddr)]| {
        Config::shop(versions).set("skew.requires_approval", true).set("skew.preview", preview.clone())
    };
    let first = [("v1", origins[0].addr)];
    let dir = tempfile::tempdir().expect("a directory");
    let proxy = Lockstep::start_in(dir, &config(&first).set("skew.requires_approval", false));
    proxy.serves("v1");
    proxy.reload(&config(&[first[0], ("v2", origins[1].addr)]));
    lockstep_tests::until("v2 is staged", || proxy.state("shop", "v2").as_deref() == Some("staged"));
    (origins, proxy)
}

#[test]
fn staged_versions_are_closed_open_or_behind_a_token() {
    let preview = |proxy: &Lockstep, token: Option<&str>| -> Message {
        let request = Request::get("/").header("x-deployment-id", "v2");
        proxy.send(&token.map_or(request.clone(), |token| request.header("x-lockstep-preview", token)))
    };
    let (_origins, closed) = staged(json!({"access": "closed"}));
    assert_eq!(preview(&closed, None).origin(), "v1");
    let (_origins, open) = staged(json!({"access": "open"}));
    lockstep_tests::until("v2 can be looked at", || preview(&open, None).origin() == "v2");
    assert_eq!(open.send(&Request::get("/")).origin(), "v1");
    let (origins, guarded) = staged(json!({"access": "token", "token": {"value": "let-me-in"}}));
    lockstep_tests::until("v2 can be looked at", || preview(&guarded, Some("let-me-in")).origin() == "v2");
    assert_eq!(origins[1].last().header("x-lockstep-preview"), None, "the token stays here");
    assert_eq!(preview(&guarded, Some("let-me-inn")).origin(), "v1");
    assert_eq!(preview(&guarded, None).origin(), "v1");
}

#[test]
fn a_canary_gets_its_share_of_new_visitors_and_keeps_them() {
    let origins = [Origin::echo("v1"), Origin::echo("v2")];
    let shop = || app("shop").version("v1", &[origins[0].addr]).version("v2", &[origins[1].addr]);
    let canary =
        |share: &str| Config::new().app(shop().set("canary", json!({"version": "v2", "share": share})));
    let proxy = Lockstep::start(&canary("30%"));
    assert_eq!(proxy.active("shop").as_deref(), Some("v1"));
    let mut client = Client::connect(proxy.addr());
    let mut ask = |request: &Request| client.exchange(request).expect("an answer");
    let count = (0..500).filter(|_| {
        let answer = ask(&Request::get("/"));
        assert_eq!(answer.pins_to().as_deref(), Some(answer.origin()));
        answer.origin() == "v2"
    });
    // 150 expected; six standard deviations are 61.
    let count = count.count();
    assert!((89..=211).contains(&count), "{count} of 500");
    assert_eq!(ask(&Request::get("/").pinned("v2").page_load()).origin(), "v2");
    assert_eq!(ask(&Request::get("/").pinned("v1")).origin(), "v1");
    let explained = proxy.api(&format!("explain?host={HOST}&path=/"));
    assert_eq!(explained["canary"], "v2 (30%)");
    proxy.reload(&Config::new().app(shop()));
    proxy.serves("v2");
    assert_eq!(proxy.send(&Request::get("/").pinned("v1")).origin(), "v1");
}
