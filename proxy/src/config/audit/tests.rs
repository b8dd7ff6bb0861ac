use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::config::Config;

fn parse(audit: &str) -> Result<Config, Vec<String>> {
    let environment: HashMap<_, _> = [("POD", "proxy-0"), ("BAD", "a/b")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    let text = format!("server: {{listen: [{{addr: 127.0.0.1:0}}]}}\naudit: {audit}\n");
    crate::config::parse(&text, Path::new("t.yaml"), &environment)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn every_key_has_a_default() {
    let audit = parse("{}").unwrap().audit;
    assert_eq!(audit.durability, Some(Durability::Strict));
    assert_eq!(audit.batch, Batch { records: 100, interval: Duration::from_secs(5), bytes: 16 << 20 });
    assert_eq!((audit.compression, &audit.sink), (Compression::Gzip, &Sink::Dir { path: None, keep: None }));
    assert_eq!(audit.disk, Disk { max: 10 << 30, when_full: WhenFull::Reject });
    assert_eq!(
        (audit.bodies.capture, audit.bodies.max, audit.bodies.binary),
        (Capture::Full, 32 << 20, false)
    );
    assert!(audit.bodies.redact.is_empty() && audit.sign.is_none());
}

#[test]
fn values_are_read() {
    let audit = parse(
        "{node: {env: POD}, durability: off, sink: {kind: s3, bucket: logs, prefix: audit, region: eu-west-1, \
         endpoint: 'http://127.0.0.1:9000/', path_style: true}, redact: {pointers: [/user], patterns: ['\\d{9}']}}",
    )
    .unwrap()
    .audit;
    assert_eq!((audit.node.as_str(), audit.durability), ("proxy-0", None));
    let s3 = S3 {
        bucket: "logs".to_owned(),
        prefix: "audit/".to_owned(),
        region: Some("eu-west-1".to_owned()),
        endpoint: Some("http://127.0.0.1:9000".to_owned()),
        path_style: true,
    };
    assert_eq!(audit.sink, Sink::S3(s3));
    assert_eq!(audit.bodies.redact.shown(), (vec!["/user".to_owned()], vec![r"\d{9}"]));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let cases = [
        ("{node: a/b}", "audit.node"),
        ("{node: {env: BAD}}", "audit.node"),
        ("{durability: sometimes}", "audit.durability"),
        ("{batch: {records: 0}}", "audit.batch.records"),
        ("{sink: {kind: ftp}}", "audit.sink.kind"),
        ("{sink: {}}", "audit.sink.kind"),
        ("{sink: {kind: dir, path: /dev/null/audit}}", "audit.sink.path"),
        ("{sink: {kind: dir, bucket: b}}", "audit.sink.bucket"),
        ("{sink: {kind: s3}}", "audit.sink.bucket"),
        ("{sink: {kind: s3, bucket: logs, endpoint: localhost}}", "audit.sink.endpoint"),
        ("{sink: {kind: s3, bucket: logs, prefix: /a}}", "audit.sink.prefix"),
        ("{sink: {kind: s3, bucket: logs, prefix: a//b}}", "audit.sink.prefix"),
        ("{sink: {kind: s3, bucket: logs, prefix: ../a}}", "audit.sink.prefix"),
        ("{sink: {kind: s3, bucket: logs, prefix: a b}}", "audit.sink.prefix"),
        ("{disk: {max: 1MiB}}", "audit.disk.max"),
        ("{redact: {patterns: ['(']}}", "audit.redact.patterns[0]"),
        ("{redact: {patterns: ['a*']}}", "audit.redact.patterns[0]"),
        ("{redact: {pointers: [user]}}", "audit.redact.pointers[0]"),
        ("{sign: {key: {file: nowhere.pem}}}", "audit.sign.key.file"),
    ];
    for (text, path) in cases {
        let errors = parse(text).unwrap_err();
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(errors[0].contains(&format!(" {path}: ")), "{text}: {errors:?}");
    }
}

#[test]
fn a_key_that_can_not_sign_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.pem");
    let signed = || parse(&format!("{{sign: {{key: {{file: '{}'}}}}}}", file.display()));
    let of_another_kind = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    for pem in [of_another_kind.signing_key.serialize_pem(), of_another_kind.cert.pem(), String::new()] {
        std::fs::write(&file, &pem).unwrap();
        let errors = signed().unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains(" audit.sign.key.file: "), "{errors:?}");
    }
    std::fs::write(&file, include_str!("../../../../queue/tests/support/ed25519.pem")).unwrap();
    assert_eq!(signed().unwrap().audit.sign.as_ref(), Some(&file));
}

#[test]
fn what_keys_begin_with_has_no_more_characters_than_keys_may() {
    let prefix =
        |length| parse(&format!("{{sink: {{kind: s3, bucket: logs, prefix: {}}}}}", "a".repeat(length)));
    // A slash is added.
    assert!(prefix(511).is_ok() && prefix(512).is_err());
}
