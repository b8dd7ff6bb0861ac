//! When versions become active, and when they end by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lockstep_tests::load::Load;
use lockstep_tests::{Client, Config, Lockstep, Origin, Request, app, until};
use serde_json::json;

/// An origin that is healthy once it is told so.
fn starting(name: &str) -> (Origin, Arc<AtomicBool>) {
    let healthy = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&healthy);
    let origin = Origin::answering(name, move |request, reply| match request.target() {
        "/healthz" if !says.load(Ordering::Acquire) => reply.respond(503, &[], ""),
        _ => reply.echo(request),
    });
    (origin, healthy)
}

fn checked(origins: &[&Origin], share: &str) -> Config {
    let ids = ["v1", "v2", "v3"];
    let shop =
        origins.iter().zip(ids).fold(app("shop"), |shop, (origin, id)| shop.version(id, &[origin.addr]));
    let health = json!({"path": "/healthz", "interval": "100ms"});
    Config::new().app(shop.set("health", health)).set("skew.ready.share", share)
}

#[test]
fn a_version_goes_live_only_when_it_is_ready() {
    let ((new, healthy), old) = (starting("v2"), Origin::echo("v1"));
    let proxy = Lockstep::start(&checked(&[&old], "100%"));
    proxy.reload(&checked(&[&old, &new], "100%"));
    until("v2 was checked", || new.requests().len() >= 5);
    assert_eq!(proxy.state("shop", "v2").as_deref(), Some("pending"));
    for request in [Request::get("/"), Request::get("/").page_load(), Request::get("/").pinned("v1")] {
        assert_eq!(proxy.send(&request).origin(), "v1");
    }
    healthy.store(true, Ordering::Release);
    proxy.serves("v2");
    assert_eq!(proxy.send(&Request::get("/").pinned("v1")).origin(), "v1");
}

#[test]
fn a_newer_version_overtakes_one_that_never_gets_ready() {
    let ((stuck, _never), old, newest) = (starting("v2"), Origin::echo("v1"), Origin::echo("v3"));
    let proxy = Lockstep::start(&checked(&[&old], "100%"));
    proxy.reload(&checked(&[&old, &stuck], "100%").set("skew.ready.deadline", "300ms"));
    until("v2 is called stalled", || {
        let versions = proxy.api("apps/shop/versions");
        versions["versions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|v| v["id"] == "v2" && v["stalled"] == true))
    });
    assert_eq!(proxy.active("shop").as_deref(), Some("v1"));
    proxy.reload(&checked(&[&old, &stuck, &newest], "100%"));
    proxy.serves("v3");
    assert_eq!(proxy.state("shop", "v2").as_deref(), Some("staged"));
}

fn timed(origins: &[Origin], keys: &[(&str, &str)]) -> Config {
    let ids = ["v1", "v2", "v3", "v4"];
    let versions: Vec<_> = ids.into_iter().zip(origins).map(|(id, origin)| (id, origin.addr)).collect();
    keys.iter()
        .fold(Config::shop(&versions), |config, (key, value)| config.set(&format!("skew.{key}"), *value))
}

const QUICK: [(&str, &str); 2] = [("grace", "500ms"), ("idle_window", "1s")];

#[test]
fn a_superseded_version_ends_when_it_is_idle_and_not_before() {
    let origins = [Origin::echo("v1"), Origin::echo("v2")];
    let proxy = Lockstep::start(&timed(&origins, &QUICK));
    let addr = proxy.addr();
    let load = Load::new(move || addr);
    let visitor = load.pinned("v1");
    let begun = Instant::now();
    // Traffic keeps it alive, for longer than grace and window together.
    until("three windows have passed", || {
        assert_eq!(proxy.state("shop", "v1").as_deref(), Some("draining"));
        begun.elapsed() > Duration::from_secs(4)
    });
    visitor.leave();
    load.finish();
    let left = Instant::now();
    until("v1 has expired", || proxy.state("shop", "v1").as_deref() == Some("expired"));
    assert!(left.elapsed() >= Duration::from_millis(800), "{:?}", left.elapsed());
    until("its pins are replaced", || proxy.send(&Request::get("/").pinned("v1")).origin() == "v2");
}

#[test]
fn a_restart_knows_of_no_idleness() {
    let origins = [Origin::echo("v1"), Origin::echo("v2")];
    let config = timed(&origins, &[("grace", "500ms"), ("idle_window", "1m")]);
    let Lockstep { mut process, dir, .. } = Lockstep::start(&config);
    let begun = Instant::now();
    until("the grace is over", || begun.elapsed() > Duration::from_millis(600));
    process.kill();
    drop(process);
    let proxy = Lockstep::start_in(dir, &config);
    assert_eq!(proxy.send(&Request::get("/").pinned("v1")).origin(), "v1");
    assert_eq!(proxy.state("shop", "v1").as_deref(), Some("draining"));
}

#[test]
fn an_open_stream_is_traffic() {
    let streaming = Origin::answering("v1", |_, reply| {
        reply.begin(&[])?;
        reply.chunk("first")?;
        reply.closed();
        Ok(())
    });
    let origins = [streaming, Origin::echo("v2")];
    let proxy = Lockstep::start(&timed(&origins, &QUICK));
    let mut client = Client::connect(proxy.addr());
    client.send(Request::get("/").pinned("v1").bytes());
    assert_eq!(client.head().status(), 200);
    let begun = Instant::now();
    until("three windows have passed", || {
        assert_eq!(proxy.state("shop", "v1").as_deref(), Some("draining"));
        begun.elapsed() > Duration::from_secs(4)
    });
    drop(client);
    until("v1 has expired", || proxy.state("shop", "v1").as_deref() == Some("expired"));
}

#[test]
fn the_longest_life_ends_a_version_whatever_runs_on_it() {
    let origins = [Origin::echo("v1"), Origin::echo("v2")];
    let keys = [("grace", "1s"), ("idle_window", "10m"), ("max_alive", "1500ms")];
    let proxy = Lockstep::start(&timed(&origins, &keys));
    until("v1 has expired", || {
        // Traffic without end.
        let answer = proxy.send(&Request::get("/").pinned("v1"));
        assert_eq!(answer.status(), 200);
        proxy.state("shop", "v1").as_deref() == Some("expired")
    });
    assert_eq!(proxy.send(&Request::get("/").pinned("v1")).origin(), "v2");
    let history = proxy.api("apps/shop/history").to_string();
    assert!(history.contains("max_alive"), "{history}");
}

#[test]
fn only_so_many_superseded_versions_are_kept() {
    let origins = [Origin::echo("v1"), Origin::echo("v2"), Origin::echo("v3"), Origin::echo("v4")];
    // "The oldest go first, the ordinary way": once they are idle.
    let proxy = Lockstep::start(
        &timed(&origins, &QUICK[..1]).set("skew.max_versions", 2).set("skew.idle_window", "5s"),
    );
    until("the oldest goes", || {
        let state = proxy.state("shop", "v1");
        matches!(state.as_deref(), Some("expiring" | "expired")) || state.is_none()
    });
    for kept in ["v2", "v3"] {
        assert_eq!(proxy.state("shop", kept).as_deref(), Some("draining"));
    }
    assert_eq!(proxy.active("shop").as_deref(), Some("v4"));
}
