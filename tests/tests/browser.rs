//! Chromium and the pages of the demo: they keep their version over a deploy.

use std::net::SocketAddr;
use std::process::Command;

use lockstep_tests::lockstep::binary;
use lockstep_tests::process::Process;
use lockstep_tests::{Config, HOST, Lockstep, eventually, tools};
use serde_json::{Value, json};

/// One version of the demo's app.
struct Site {
    _process: Process,
    addr: SocketAddr,
}

impl Site {
    fn start(version: &str) -> Self {
        let mut command = Command::new(binary());
        command.args(["demo", "app", "--version", version, "--addr", "127.0.0.1:0"]);
        let process = Process::start("demo app", &mut command);
        let addr = eventually("the app listens", || {
            let line = process.stdout.find("listening addr=")?;
            line.split("addr=").nth(1)?.parse().ok()
        });
        Self { _process: process, addr }
    }
}

/// Runs the script, which deploys v2 in its course; tells what it saw.
fn browse(navigation: &str) -> Value {
    let sites = [Site::start("v1"), Site::start("v2")];
    let config = |count: usize| {
        let versions = [("v1", sites[0].addr), ("v2", sites[1].addr)];
        Config::shop(&versions[..count]).set("skew.navigation", navigation)
    };
    let proxy = Lockstep::start(&config(1));
    let next = proxy.dir.path().join("next.yaml");
    std::fs::write(&next, proxy.text(&config(2))).expect("it is written");
    let output = tools::node("browser.js")
        .args([HOST, &proxy.addr().to_string()])
        .args([&next, &proxy.config_file()])
        .output()
        .expect("node runs");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What a tab shows when all of it is of one version.
fn all(version: &str, offers_reload: bool) -> Value {
    json!({
        "page": version, "script": version, "api": version, "clock": version, "bare": version,
        "offersReload": offers_reload,
    })
}

#[test]
fn a_page_keeps_its_version_over_a_deploy() {
    let saw = browse("pinned");
    assert_eq!(saw["before"], all("v1", false));
    assert_eq!(saw["reloaded"], all("v1", true), "a reload stays");
    assert_eq!(saw["other"], all("v1", true), "so does the other tab");
    assert_eq!(saw["newcomer"], all("v2", false));
    let cookie = &saw["cookie"];
    let attributes = (&cookie["value"], &cookie["httpOnly"], &cookie["sameSite"]);
    assert_eq!(attributes, (&json!("v1"), &json!(true), &json!("Lax")));
    assert_eq!((&cookie["path"], &cookie["domain"]), (&json!("/"), &json!(HOST)), "host-only");
}

#[test]
fn a_reload_gets_the_latest_while_the_open_page_keeps_its_version() {
    let saw = browse("latest");
    assert_eq!(saw["before"], all("v1", false));
    assert_eq!(saw["reloaded"], all("v2", false));
    // The tabs share the cookie: a call without the wrapper would reach the new version.
    let mut open = all("v1", true);
    open["bare"] = json!("v2");
    assert_eq!(saw["other"], open);
    assert_eq!(saw["cookie"]["value"], "v2");
}
