//! Conformance with RFC 9113 and RFC 7541, as h2spec sees it. What is known to fail is listed in
//! `h2spec-expected.txt` with the reason; anything else that fails, and anything listed that
//! passes, is an error.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use lockstep_tests::certificates::Certificate;
use lockstep_tests::{Config, HOST, Lockstep, Origin, app, tools};
use serde_json::json;

/// Names of failed cases with what was seen.
fn failures(addr: SocketAddr, tls: bool) -> BTreeMap<String, String> {
    let report = tempfile::NamedTempFile::new().expect("a file");
    let mut command = tools::go_tool("h2spec");
    command.args([
        "--strict",
        "--host",
        &addr.ip().to_string(),
        "--port",
        &addr.port().to_string(),
        "--timeout",
        "3",
    ]);
    command.arg("--junit-report").arg(report.path());
    if tls {
        command.args(["--tls", "--insecure"]);
    }
    let output = command.output().expect("h2spec runs");
    let text = std::fs::read_to_string(report.path()).expect("its report");
    let cases = text.matches("<testcase ").count();
    assert!(cases > 140, "{cases} cases ran: {output:?}");
    text.split("<testcase ").skip(1).filter(|case| case.contains("<error>")).map(describe).collect()
}

fn describe(case: &str) -> (String, String) {
    let attribute = |name: &str| {
        let value = case.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        unescape(value.unwrap_or_default())
    };
    let name = format!("{}: {}", attribute("package"), attribute("classname"));
    let seen = case.split("<error>").nth(1).and_then(|rest| rest.split("</error>").next());
    (name, unescape(seen.unwrap_or_default()))
}

fn unescape(text: &str) -> String {
    let entities = [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#xA;", "\n"),
        ("&#x9;", " "),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

/// The cases that are listed for a listener; a line is `plain` or `tls` and a name, or a reason after
/// `#`.
fn expected(listener: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/h2spec-expected.txt");
    let text = std::fs::read_to_string(file).expect("the list");
    text.lines().filter_map(|line| line.strip_prefix(listener)).map(|name| name.trim().to_owned()).collect()
}

fn conforms(tls: bool) {
    let origin = Origin::echo("v1");
    let dir = tempfile::tempdir().expect("a directory");
    let certificate = Certificate::write(dir.path(), "tls", &[HOST]);
    let listen = json!([
        {"addr": "127.0.0.1:0"},
        {"addr": "127.0.0.1:0", "tls": {"certificates": [certificate.entry()]}},
    ]);
    let any = app("any").hosts(&[]).version("v1", &[origin.addr]);
    let proxy = Lockstep::start_in(dir, &Config::new().app(any).set("server.listen", listen));
    let failed = failures(if tls { proxy.tls_addr() } else { proxy.addr() }, tls);
    let expected = expected(if tls { "tls " } else { "plain " });
    let unexpected: Vec<_> = failed.iter().filter(|(name, _)| !expected.contains(name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    let mended: Vec<_> = expected.iter().filter(|name| !failed.contains_key(*name)).collect();
    assert!(mended.is_empty(), "these pass now, take them off the list: {mended:#?}");
}

#[test]
fn http2_with_prior_knowledge_conforms() {
    conforms(false);
}

#[test]
fn http2_over_tls_conforms() {
    conforms(true);
}
