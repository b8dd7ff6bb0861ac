//! gRPC over HTTP/2, with a server of `@grpc/grpc-js` and grpcurl as the client.

use std::process::Output;

use lockstep_tests::certificates::Certificate;
use lockstep_tests::servers::Server;
use lockstep_tests::{Config, HOST, Lockstep, app, tools};
use serde_json::json;

struct Calls {
    _servers: [Server; 2],
    proxy: Lockstep,
    certificate: Certificate,
}

impl Calls {
    fn start() -> Self {
        let servers = [Server::node("grpc-server.js", &["v1"]), Server::node("grpc-server.js", &["v2"])];
        let dir = tempfile::tempdir().expect("a directory");
        let certificate = Certificate::write(dir.path(), "tls", &[HOST]);
        let shop = app("shop").version("v1", &[servers[0].addr]).version("v2", &[servers[1].addr]);
        let listen = json!([
            {"addr": "127.0.0.1:0"},
            {"addr": "127.0.0.1:0", "tls": {"certificates": [certificate.entry()]}},
        ]);
        let config = Config::new().app(shop.set("upstream.http2", true)).set("server.listen", listen);
        Self { proxy: Lockstep::start_in(dir, &config), _servers: servers, certificate }
    }

    fn call(&self, tls: bool, method: &str, headers: &[&str], message: &str) -> Output {
        let mut command = tools::go_tool("grpcurl");
        command.args(["-v", "-max-time", "20", "-authority", HOST]);
        let addr = if tls {
            command.args(["-servername", HOST, "-cacert"]).arg(&self.certificate.cert);
            self.proxy.tls_addr()
        } else {
            command.arg("-plaintext");
            self.proxy.addr()
        };
        headers.iter().for_each(|header| {
            command.args(["-H", header]);
        });
        command.arg("-import-path").arg(tools::clients()).args(["-proto", "echo.proto", "-d", message]);
        command.args([&addr.to_string(), &format!("test.Echo/{method}")]).output().expect("grpcurl runs")
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether a line holds all of the parts, whatever grpcurl's spacing.
fn has(output: &str, part: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    squeeze(output).contains(&squeeze(part))
}

#[test]
fn calls_pass_with_their_trailers_and_follow_the_pin() {
    let calls = Calls::start();
    for tls in [false, true] {
        let newest = text(&calls.call(tls, "Unary", &[], r#"{"text": "hi", "number": 7}"#));
        assert!(has(&newest, r#""text": "v2: hi", "number": 7"#), "{newest}");
        assert!(has(&newest, "Response trailers received: x-trailer: v2"), "{newest}");
        assert!(has(&newest, "x-lockstep-version: v2"), "{newest}");
        let pinned = text(&calls.call(tls, "Unary", &["x-deployment-id: v1"], r#"{"text": "hi"}"#));
        assert!(has(&pinned, r#""text": "v1: hi""#), "{pinned}");
        assert!(has(&pinned, "x-lockstep-latest: v2"), "{pinned}");
    }
}

#[test]
fn streams_pass_in_both_directions() {
    let calls = Calls::start();
    let counted = calls.call(false, "Count", &["x-deployment-id: v1"], r#"{"number": 200}"#);
    assert!(counted.status.success(), "{}", text(&counted));
    assert_eq!(text(&counted).matches("\"text\": \"v1\"").count(), 200);
    let messages = (1..=50).map(|number| format!("{{\"number\": {number}}}")).collect::<String>();
    let chat = calls.call(true, "Chat", &[], &messages);
    assert!(chat.status.success(), "{}", text(&chat));
    assert!(has(&text(&chat), "Sent 50 requests and received 50 responses"), "{}", text(&chat));
}

#[test]
fn a_failed_call_keeps_its_status_and_details() {
    let calls = Calls::start();
    let failed = calls.call(false, "Fail", &[], "{}");
    assert!(!failed.status.success());
    let failed = text(&failed);
    assert!(has(&failed, "Code: FailedPrecondition"), "{failed}");
    assert!(has(&failed, "no, and why: ü"), "{failed}");
    assert!(has(&failed, "x-trailer: v2"), "{failed}");
}
