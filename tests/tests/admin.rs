//! The admin API: who may ask, who may change, and what it says.

use lockstep_tests::certificates::Certificate;
use lockstep_tests::curl::Curl;
use lockstep_tests::{App, Config, Lockstep, OPERATOR, Origin, Request, VIEWER, app, until};
use serde_json::{Value, json};

struct Shop {
    _origins: [Origin; 2],
    config: Config,
    proxy: Lockstep,
}

fn shop(configure: impl Fn(App) -> App) -> Shop {
    let origins = [Origin::echo("v1"), Origin::echo("v2")];
    let entry = app("shop").version("v1", &[origins[0].addr]).version("v2", &[origins[1].addr]);
    let config = Config::new().app(configure(entry));
    Shop { proxy: Lockstep::start(&config), config, _origins: origins }
}

impl Shop {
    fn ask(&self, request: Request, token: Option<&str>) -> (u16, Value) {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let request = bearer
            .iter()
            .fold(request.host("localhost"), |request, bearer| request.header("authorization", bearer));
        let answer = request.send(self.proxy.admin);
        (answer.status(), serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    fn post(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        self.ask(Request::post(&format!("/api/v1/{path}"), ""), token)
    }
}

#[test]
fn loopback_reads_without_a_token_and_changes_need_one_that_may_operate() {
    let shop = shop(|app| app);
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/api/v1/status",
        "/api/v1/apps",
        "/api/v1/config",
        "/api/v1/problems",
    ] {
        assert_eq!(shop.ask(Request::get(path), None).0, 200, "{path}");
        assert_eq!(shop.ask(Request::get(path), Some(VIEWER)).0, 200, "{path}");
    }
    let promote = "apps/shop/versions/v1/promote";
    for (token, status) in [(None, 401), (Some("wrong"), 401), (Some(VIEWER), 403)] {
        let (answered, body) = shop.post(promote, token);
        assert_eq!(answered, status, "{body}");
        assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
    }
    assert_eq!(shop.ask(Request::get("/api/v1/apps"), Some("wrong")).0, 401, "a wrong token is no token");
    let basic = Request::get("/api/v1/apps").header("authorization", "Basic b3BzOm9wcw==");
    assert_eq!(shop.ask(basic, None).0, 401, "other credentials are not no credentials");
    assert_eq!(shop.proxy.active("shop").as_deref(), Some("v2"));
    assert_eq!(shop.post(promote, Some(OPERATOR)).0, 200);
    shop.proxy.serves("v1");
}

/// A page in a browser on this machine can have a name of its own point here.
#[test]
fn loopback_asks_under_its_own_name_or_with_a_token() {
    let shop = shop(|app| app);
    let status_as = |host: &str, authorization: &[(&str, &str)]| {
        let request = Request::get("/api/v1/config").host(host);
        let request =
            authorization.iter().fold(request, |request, (name, value)| request.header(name, value));
        request.send(shop.proxy.admin).status()
    };
    for host in ["localhost", "LOCALHOST:9901", "127.0.0.1:9901", "[::1]:9901"] {
        assert_eq!(status_as(host, &[]), 200, "{host}");
    }
    for host in ["evil.test", "evil.test:9901", "localhost.evil.test", ""] {
        assert_eq!(status_as(host, &[]), 403, "{host}");
    }
    let bearer = format!("Bearer {VIEWER}");
    assert_eq!(status_as("admin.example.com", &[("authorization", &bearer)]), 200);
}

#[test]
fn versions_are_told_with_their_states() {
    let shop = shop(|app| app);
    let (status, body) = shop.ask(Request::get("/api/v1/apps/shop/versions"), None);
    assert_eq!((status, &body["app"], &body["namespace"]), (200, &json!("shop"), &json!("")));
    assert_eq!(shop.proxy.states("shop"), [("v2".into(), "active".into()), ("v1".into(), "draining".into())]);
    let newest = &body["versions"][0];
    assert_eq!(
        (&newest["ready"], &newest["desired"], &newest["inFlight"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert!(newest["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{newest}");
    assert!(newest["revision"].as_u64() > body["versions"][1]["revision"].as_u64());
    let apps = shop.proxy.api("apps");
    assert_eq!(apps["apps"][0]["app"], "shop");
}

#[test]
fn a_version_is_promoted_expired_and_remembered_with_its_actor() {
    let shop = shop(|app| app);
    let operate = |command: &str| shop.post(&format!("apps/shop/versions/{command}"), Some(OPERATOR));
    assert_eq!(operate("v2/expire?now=true").0, 409, "the active version never expires");
    assert_eq!(operate("v1/promote").0, 200);
    shop.proxy.serves("v1");
    assert_eq!(operate("v2/expire").0, 200, "asked for in the ordinary way");
    assert_eq!(shop.proxy.state("shop", "v2").as_deref(), Some("draining"), "its grace is not over");
    assert_eq!(operate("v2/expire?now=true").0, 200);
    until("v2 has expired", || shop.proxy.state("shop", "v2").as_deref() == Some("expired"));
    let history = shop.proxy.api("apps/shop/history");
    let steps: Vec<_> = history["history"].as_array().expect("a list").iter().collect();
    let step = |version: &str, to: &str| {
        let found = steps.iter().rev().find(|step| step["version"] == version && step["to"] == to);
        *found.unwrap_or_else(|| panic!("{version} to {to} in {history}"))
    };
    for (version, to) in [("v1", "pending"), ("v2", "expiring")] {
        assert_eq!(step(version, to)["actor"], "ops");
    }
    assert_eq!(step("v2", "draining")["reason"], "superseded");
    let transitions =
        |to| shop.proxy.metrics().sum("lockstep_version_transitions_total", &[("app", "shop"), ("to", to)]);
    assert_eq!(transitions("expired"), 1.0);
    assert_eq!(shop.proxy.metrics().sum("lockstep_versions", &[("app", "shop"), ("state", "active")]), 1.0);
}

#[test]
fn a_version_waits_for_approval() {
    let origins = [Origin::echo("v1"), Origin::echo("v2"), Origin::echo("v3")];
    let config = |count: usize| {
        let ids = ["v1", "v2", "v3"];
        let versions: Vec<_> = (0..count).map(|n| (ids[n], origins[n].addr)).collect();
        Config::shop(&versions).set("skew.requires_approval", count > 1)
    };
    let proxy = Lockstep::start(&config(1));
    proxy.reload(&config(2));
    until("v2 is staged", || proxy.state("shop", "v2").as_deref() == Some("staged"));
    assert_eq!(proxy.send(&Request::get("/")).origin(), "v1");
    assert_eq!(proxy.operate("apps/shop/versions/v2/approve").status(), 200);
    proxy.serves("v2");
    assert_eq!(proxy.operate("apps/shop/versions/v2/reject").status(), 409, "it is active");
    proxy.reload(&config(3));
    until("v3 is staged", || proxy.state("shop", "v3").as_deref() == Some("staged"));
    assert_eq!(proxy.operate("apps/shop/versions/v3/reject").status(), 200);
    until("v3 has expired", || proxy.state("shop", "v3").as_deref() == Some("expired"));
}

#[test]
fn what_does_not_exist_is_said_to_be_so() {
    let shop = shop(|app| app);
    let cases = [
        ("apps/nobody/versions/v1/promote", 404),
        ("apps/shop/versions/v9/promote", 404),
        ("apps/shop/versions/v1/explode", 404),
        ("apps/shop/versions/v1/promote?now=true", 400),
        ("apps/shop/versions/v1/expire?now=perhaps", 400),
        ("apps/%ff/versions/v1/promote", 400),
        ("nothing", 404),
    ];
    for (path, status) in cases {
        let (answered, body) = shop.post(path, Some(OPERATOR));
        assert_eq!(answered, status, "{path}: {body}");
        assert!(body["error"].is_string() && body["message"].is_string(), "{path}: {body}");
    }
    assert_eq!(shop.ask(Request::get("/api/v1/apps/nobody/versions"), None).0, 404);
    assert_eq!(shop.ask(Request::new("DELETE", "/api/v1/apps"), Some(OPERATOR)).0, 405);
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let shop = shop(|app| app);
    let shown = shop.proxy.api("config");
    let text = shown.to_string();
    assert!(!text.contains(OPERATOR) && !text.contains(VIEWER), "{text}");
    assert_eq!(shown["apps"][0]["name"], "shop");
    assert_eq!(shown["server"]["limits"]["header_bytes"], "64KiB", "defaults are filled in");
    assert!(text.contains("ops"), "names of tokens are no secret");
}

#[test]
fn tokens_are_replaced_by_an_edit() {
    let shop = shop(|app| app);
    let tokens = json!([{"name": "new", "token": {"value": "a-new-token-0123456789"}, "can": "operate"}]);
    shop.proxy.reload(&shop.config.clone().set("server.admin.tokens", tokens));
    assert_eq!(shop.post("apps/shop/versions/v1/promote", Some(OPERATOR)).0, 401);
    assert_eq!(shop.post("apps/shop/versions/v1/promote", Some("a-new-token-0123456789")).0, 200);
}

#[test]
fn metrics_may_ask_for_a_token_of_their_own() {
    let config =
        Config::new().set("server.admin.metrics", json!({"token": {"value": "scrape-me-0123456789"}}));
    let proxy = Lockstep::start(&config);
    let scrape = |token: &str| {
        Request::get("/metrics").header("authorization", &format!("Bearer {token}")).send(proxy.admin)
    };
    assert_eq!(Request::get("/metrics").send(proxy.admin).status(), 401);
    assert_eq!(scrape("wrong").status(), 401);
    let scraped = scrape("scrape-me-0123456789");
    assert_eq!(scraped.status(), 200);
    assert!(scraped.text().contains("lockstep_build_info{"));
}

#[test]
fn the_admin_api_may_speak_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let certificate = Certificate::write(dir.path(), "admin", &["admin.test", "localhost"]);
    let file = dir.path().join("lockstep.yaml");
    let config = Config::new()
        .set("server.admin.tls", json!({"certificates": [certificate.entry()]}))
        .set("server.data_dir", json!(dir.path().join("data")));
    std::fs::write(&file, config.text()).expect("it is written");
    let mut command = std::process::Command::new(lockstep_tests::lockstep::binary());
    let process =
        lockstep_tests::process::Process::start("lockstep", command.arg("run").arg("--config").arg(file));
    let line = lockstep_tests::eventually("the admin API listens", || process.stderr.find("admin listening"));
    let addr = line.split("addr=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let addr = addr.and_then(|addr| addr.parse().ok()).expect("its address");
    let addr: std::net::SocketAddr = addr;
    let curl = Curl::new("https", "admin.test", addr, "/livez").trusting(&certificate.cert);
    assert_eq!(curl.response().status(), 200);
    let list = |ca: &[&str]| {
        let url = format!("https://localhost:{}", addr.port());
        lockstep_tests::lockstep::cli([&["versions", "list", "--admin", &url], ca].concat())
    };
    let untrusted = list(&[]);
    assert!(String::from_utf8_lossy(&untrusted.stderr).contains("--ca FILE"), "{untrusted:?}");
    let trusted = list(&["--ca", certificate.cert.to_str().expect("a path in UTF-8")]);
    assert!(trusted.status.success(), "{trusted:?}");
}
