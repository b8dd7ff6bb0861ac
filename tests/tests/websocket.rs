//! WebSockets, with server and client of the `ws` package.

use std::process::Command;

use lockstep_tests::process::{Process, Signal};
use lockstep_tests::servers::Server;
use lockstep_tests::{COOKIE, Client, Config, HOST, Lockstep, Origin, Request, app, poll, tools, until};
use serde_json::{Value, json};

fn client(proxy: &Lockstep, host: &str, cookie: &str) -> Command {
    let mut command = tools::node("ws-client.js");
    command.args([&format!("ws://{}/socket", proxy.addr()), host, cookie]);
    command
}

fn seen(command: &mut Command) -> Value {
    let output = command.output().expect("node runs");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn messages_pass_both_ways_and_the_pin_holds() {
    let servers = [Server::node("ws-server.js", &["v1"]), Server::node("ws-server.js", &["v2"])];
    let proxy = Lockstep::start(&Config::shop(&[("v1", servers[0].addr), ("v2", servers[1].addr)]));
    for (cookie, origin) in [(format!("{COOKIE}=v1"), "v1"), (String::new(), "v2")] {
        let seen = seen(&mut client(&proxy, HOST, &cookie));
        assert_eq!(seen["status"], 101, "{seen}");
        assert_eq!((&seen["origin"], &seen["protocol"]), (&json!(origin), &json!("chat")));
        assert_eq!(seen["echoes"], json!([true, true, true]));
        assert_eq!((&seen["pong"], &seen["code"]), (&json!(true), &json!(4001)));
        assert_eq!(seen["pinned"], false, "a 101 does not pin");
    }
    for server in &servers {
        until("the server sees the close", || server.process.stdout.find("closed 4001").is_some());
    }
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Origin::answering("v1", |_, reply| reply.respond(403, &[], "no"));
    let proxy = Lockstep::start(&Config::shop(&[("v1", origin.addr)]));
    assert_eq!(seen(&mut client(&proxy, HOST, ""))["status"], 403);
    assert_eq!(seen(&mut client(&proxy, "nobody.test", ""))["status"], 404);
}

#[test]
fn other_upgrades_are_not_tunnelled() {
    let origin = Origin::echo("v1");
    let proxy = Lockstep::start(&Config::shop(&[("v1", origin.addr)]));
    let request = Request::get("/").header("connection", "upgrade, http2-settings").header("upgrade", "h2c");
    let mut client = lockstep_tests::Client::connect(proxy.addr());
    assert_eq!(client.exchange(&request).expect("an answer").status(), 200);
    assert_eq!(origin.last().header("upgrade"), None);
}

#[test]
fn a_quiet_socket_is_bounded_by_its_app_alone_and_cut_cleanly() {
    let origin = Server::node("ws-server.js", &["v1"]);
    for (read_timeout, outlives) in [("60s", true), ("1s", false)] {
        let shop = app("shop").version("v1", &[origin.addr]).set("upstream.read_timeout", read_timeout);
        let config = Config::new().app(shop).set("server.limits.idle_timeout", "1s");
        let proxy = Lockstep::start(&config);
        let mut holding = Process::start("ws-client.js", client(&proxy, HOST, "").arg("hold"));
        until("the socket is open", || holding.stdout.find("open").is_some());
        if outlives {
            for _ in 0..3 {
                // Each of them is closed when it has been idle for as long as connections may.
                assert!(Client::connect(proxy.addr()).closes());
            }
            assert!(holding.exited().is_none(), "{:?}", holding.stdout.all());
            continue;
        }
        holding.wait(poll::SOON);
        let seen: Value = serde_json::from_str(&holding.stdout.all()[1]).expect("what it saw");
        assert_eq!((&seen["code"], &seen["error"]), (&json!(1006), &Value::Null), "nothing but its end");
    }
}

#[test]
fn an_open_socket_outlives_a_deploy_and_ends_with_its_server() {
    let mut old = Server::node("ws-server.js", &["v1"]);
    let new = Server::node("ws-server.js", &["v2"]);
    let proxy = Lockstep::start(&Config::shop(&[("v1", old.addr)]));
    let mut holding = Process::start("ws-client.js", client(&proxy, HOST, "").arg("hold"));
    until("the socket is open", || holding.stdout.find("open").is_some());
    proxy.reload(&Config::shop(&[("v1", old.addr), ("v2", new.addr)]));
    until("v2 is active", || proxy.active("shop").as_deref() == Some("v2"));
    assert!(holding.exited().is_none());
    assert_eq!(proxy.metrics().sum("lockstep_requests_in_flight", &[("version", "v1")]), 1.0);
    old.process.signal(Signal::Term);
    old.process.wait(poll::SOON);
    holding.wait(poll::SOON);
    let seen: Value = serde_json::from_str(&holding.stdout.all()[1]).expect("what it saw");
    assert_eq!((&seen["origin"], &seen["code"]), (&json!("v1"), &json!(1006)), "a cut is no close");
}
