//! The command line.

use std::path::{Path, PathBuf};
use std::process::Output;

use lockstep_tests::lockstep::{cli, command};
use lockstep_tests::{COOKIE, Config, HOST, Lockstep, Origin, until};
use serde_json::Value;
use tempfile::TempDir;

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bad.yaml");
    std::fs::write(&path, text.replace("DATA", &dir.path().join("data").to_string_lossy()))
        .expect("it is written");
    (dir, path)
}

fn with_file(command: &str, file: &Path) -> Output {
    cli([Path::new(command), Path::new("--config"), file])
}

/// What is wrong is marked: `#! path ~ part of the message`.
const BAD: &str = "\
server:
  data_dir: DATA
  listen:
    - addr: 127.0.0.1:0
    - addr: not-an-address             #! server.listen[1].addr ~
    - {addr: '127.0.0.1:0', tls: {certificates: [{cert: /nowhere/tls.crt, key: /nowhere/tls.key}]}}  #! server.listen[2].tls ~ /nowhere/tls
  admin:
    addr: 127.0.0.1:0
    tokens: [{name: ops, token: {env: LOCKSTEP_TEST_UNSET}, can: operate}]  #! server.admin.tokens[0].token ~ LOCKSTEP_TEST_UNSET
  limits: {body_bytes: much}           #! server.limits.body_bytes ~
  colour: blue                         #! server.colour ~
apps:
  - name: shop
    hosts: [shop.test]
    versions: [{id: v1, endpoints: ['127.0.0.1:9001']}, {id: v2, endpoints: []}]  #! apps[0].versions[1].endpoints ~
    canary: {version: v3, share: 10%}  #! apps[0].canary.version ~
  - name: shop                         #! apps[1].name ~
    hosts: [other.test]
    versions: [{id: v1, endpoints: [origin.internal]}]  #! apps[1].versions[0].endpoints[0] ~
  - name: third
    hosts: [shop.test]                 #! apps[2] ~
    versions: [{id: '-v1-', endpoints: ['127.0.0.1:9001']}]  #! apps[2].versions[0].id ~
";

#[test]
fn every_mistake_of_a_file_is_told_at_once_with_its_place() {
    let (_dir, path) = file(BAD);
    for command in ["check", "run"] {
        let output = with_file(command, &path);
        assert_eq!(output.status.code(), Some(64), "{command}: {output:?}");
        let errors = stderr(&output);
        let mut expected = 0;
        for (line, content) in (1..).zip(BAD.lines()) {
            let Some((_, mark)) = content.split_once("#! ") else { continue };
            let (place, part) = mark.split_once(" ~").expect("a mark");
            let at = format!("bad.yaml:{line}:");
            let told = errors
                .lines()
                .any(|error| error.contains(&at) && error.contains(place) && error.contains(part.trim()));
            assert!(told, "{command}: line {line}, {place} is missing in\n{errors}");
            expected += 1;
        }
        assert!(errors.lines().count() >= expected, "{errors}");
    }
}

#[test]
fn a_port_in_use_is_told_with_its_place() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("its address");
    let (_dir, path) = file(&format!(
        "server:\n  data_dir: DATA\n  listen: [{{addr: '{addr}'}}]\n  admin: {{addr: '127.0.0.1:0'}}\n"
    ));
    for command in ["check", "run"] {
        let output = with_file(command, &path);
        assert_eq!(output.status.code(), Some(64), "{command}: {output:?}");
        let errors = stderr(&output);
        assert!(errors.contains("bad.yaml:3:") && errors.contains("server.listen[0].addr"), "{errors}");
    }
}

#[test]
fn a_port_in_use_is_told_together_with_other_mistakes() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("its address");
    let (_dir, path) =
        file(&format!("server:\n  data_dir: DATA\n  colour: blue\n  listen: [{{addr: '{addr}'}}]\n"));
    let errors = stderr(&with_file("check", &path));
    for part in ["server.colour", "server.listen[0].addr"] {
        assert!(errors.contains(part), "{part} is missing in\n{errors}");
    }
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let nowhere = with_file("check", Path::new("/nowhere/lockstep.yaml"));
    assert_eq!(nowhere.status.code(), Some(64), "{nowhere:?}");
    assert!(stderr(&nowhere).contains("/nowhere/lockstep.yaml"));
    for text in ["", "[]", "server: {", "\u{0}", "a: &a [*a]"] {
        let (_dir, path) = file(text);
        let output = with_file("check", &path);
        assert_eq!(output.status.code(), Some(64), "{text:?}: {output:?}");
        assert!(stderr(&output).contains("bad.yaml"), "{text:?}: {output:?}");
    }
}

#[test]
fn a_good_file_passes_while_its_instance_runs() {
    let shop = Shop::start();
    let output = with_file("check", &shop.proxy.config_file());
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn usage_is_told_with_exit_code_2() {
    for arguments in [vec!["nonsense"], vec!["versions"], vec!["explain"], vec!["run", "--colour"]] {
        let output = cli(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
    assert!(cli(["--help"]).status.success());
    assert!(stdout(&cli(["--version"])).starts_with("lockstep "));
}

struct Shop {
    _origins: [Origin; 2],
    proxy: Lockstep,
    url: String,
}

impl Shop {
    fn start() -> Self {
        let origins = [Origin::echo("v1"), Origin::echo("v2")];
        let proxy = Lockstep::start(&Config::shop(&[("v1", origins[0].addr), ("v2", origins[1].addr)]));
        Self { url: format!("http://{}", proxy.admin), proxy, _origins: origins }
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        cli([arguments, &["--admin", &self.url]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.ask(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

#[test]
fn versions_are_listed_and_changed() {
    let shop = Shop::start();
    let table = stdout(&shop.ask(&["versions", "list"]));
    let row = |id: &str| {
        table.lines().find(|line| line.split_whitespace().any(|word| word == id)).unwrap_or_default()
    };
    assert!(row("v2").contains("active") && row("v1").contains("draining"), "{table}");
    let listed = shop.json(&["versions", "list", "shop"]);
    assert!(listed.to_string().contains("\"state\":\"active\""), "{listed}");
    let promoted = shop.ask(&["versions", "promote", "shop", "v1"]);
    assert!(promoted.status.success(), "{promoted:?}");
    shop.proxy.serves("v1");
    let expired = shop.ask(&["versions", "expire", "shop", "v2", "--now"]);
    assert!(expired.status.success(), "{expired:?}");
    until("v2 has expired", || shop.proxy.state("shop", "v2").as_deref() == Some("expired"));
    let history = stdout(&shop.ask(&["versions", "history", "shop"]));
    let promoted =
        history.lines().any(|line| line.contains("v1") && line.contains("promoted") && line.contains("ops"));
    assert!(promoted, "{history}");
    assert!(shop.json(&["versions", "history", "shop"]).to_string().contains("promoted"));
}

#[test]
fn what_is_named_counts_before_the_environment() {
    let shop = Shop::start();
    let ask = |admin: &str, arguments: &[&str]| {
        command().env("LOCKSTEP_ADMIN", admin).args(["versions", "list"]).args(arguments).output()
    };
    let (file, wrong) = (shop.proxy.config_file(), "http://127.0.0.1:1");
    let file = file.to_str().expect("a path in UTF-8");
    for (admin, arguments) in
        [(shop.url.as_str(), &[][..]), (wrong, &["--admin", &shop.url]), ("", &["--admin", &shop.url])]
    {
        let output = ask(admin, arguments).expect("it runs");
        assert!(output.status.success(), "{admin} {arguments:?}: {output:?}");
    }
    // Its port is one that the system chose; what matters is who is asked.
    let by_file = ask(wrong, &["--config", file]).expect("it runs");
    assert!(!stderr(&by_file).contains(wrong) && !stderr(&by_file).contains("cannot be used"), "{by_file:?}");
}

#[test]
fn refusals_and_silence_are_told_with_exit_code_1() {
    let shop = Shop::start();
    for (arguments, part) in [
        (vec!["versions", "promote", "shop", "v9"], "v9"),
        (vec!["versions", "list", "nobody"], "nobody"),
        (vec!["versions", "reject", "shop", "v1"], "staged"),
    ] {
        let output = shop.ask(&arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(part), "{output:?}");
    }
    let silent = cli(["versions", "list", "--admin", "http://127.0.0.1:1"]);
    assert_eq!(silent.status.code(), Some(1));
    assert!(stderr(&silent).contains("127.0.0.1:1"), "{silent:?}");
}

#[test]
fn explain_tells_where_a_request_goes_and_why() {
    let shop = Shop::start();
    let explain = |more: &[&str]| shop.json(&[&["explain", "--host", HOST, "--path", "/"], more].concat());
    let new = explain(&[]);
    assert_eq!(
        (&new["app"], &new["version"], &new["reason"]),
        (&"shop".into(), &"v2".into(), &"active".into())
    );
    assert_eq!(new["pins"], true);
    let pinned = explain(&["--cookie", &format!("{COOKIE}=v1")]);
    assert_eq!(
        (&pinned["version"], &pinned["reason"], &pinned["state"]),
        (&"v1".into(), &"cookie".into(), &"draining".into())
    );
    assert_eq!(explain(&["--header", "x-deployment-id: v1"])["reason"], "header");
    assert_eq!(explain(&["--query", "dpl=v1"])["reason"], "query");
    let nobody = shop.json(&["explain", "--host", "nobody.test", "--path", "/"]);
    assert_eq!((&nobody["reason"], &nobody["status"]), (&"no_route".into(), &404.into()));
    let table = stdout(&shop.ask(&["explain", "--host", HOST, "--path", "/"]));
    assert!(table.contains("v2") && table.contains("shop"), "{table}");
}

#[test]
fn explain_works_from_a_file_without_an_instance() {
    let config =
        Config::shop(&[("v1", "127.0.0.1:9".parse().expect("an address"))]).set("server.data_dir", "DATA");
    let (_dir, path) = file(&config.text());
    let path = path.to_str().expect("a path in UTF-8");
    let output = cli(["explain", "--host", HOST, "--path", "/", "--config", path, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let explained: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(explained["version"], "v1");
}
