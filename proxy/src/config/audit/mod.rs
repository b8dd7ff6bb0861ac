//! Section `audit`.

mod masked;
pub mod model;

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::journal::WhenFull;
use lockstep_queue::ship::{Ed25519Signer, check_prefix};
use regex::{Regex, RegexBuilder};

use super::cursor::Cursor;
use super::mapping::Mapping;
use super::secret;
use super::value::{choice, duration_in, number_in, size_in};
use crate::audit::Durability;
use crate::audit::body::{BodyRules, Capture};
use crate::audit::redact::{Pointer, Redactor};
pub(super) use masked::json;
use model::{Audit, Batch, Compression, Disk, NodeName, S3, Sink};

pub(super) const KEYS: &[&str] = &[
    "node",
    "durability",
    "batch",
    "compression",
    "sink",
    "disk",
    "capture",
    "max_body",
    "capture_binary",
    "redact",
    "sign",
];

const DURABILITY: &[(&str, Option<Durability>)] =
    &[("strict", Some(Durability::Strict)), ("fast", Some(Durability::Fast)), ("off", None)];
const COMPRESSION: &[(&str, Compression)] =
    &[("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
const CAPTURE: &[(&str, Capture)] = &[("full", Capture::Full), ("metadata", Capture::Metadata)];
const WHEN_FULL: &[(&str, WhenFull)] = &[("reject", WhenFull::Reject), ("drop", WhenFull::Drop)];

/// A regular expression takes no more than this once it is compiled.
const MAX_PATTERN: usize = 1 << 20;
/// How it is written that shipped records are never removed.
const FOREVER: &str = "forever";
/// The journal needs four segments of 16 MiB to work at all.
const MIN_DISK: u64 = 64 << 20;

/// Reads the section; what is wrong in it is noted, whatever comes out.
pub(super) fn read(map: &Mapping<'_>) -> Audit {
    let max_body = map.or("max_body", 32 << 20, size_in(0..=128 << 20));
    let bodies = BodyRules {
        capture: map.or("capture", Capture::Full, choice(CAPTURE)),
        max: usize::try_from(max_body).unwrap_or(usize::MAX),
        binary: map.flag("capture_binary", false),
        redact: redact(&map.section("redact", &[&["pointers", "patterns"]])),
    };
    Audit {
        node: map.get("node").and_then(|at| node(&at)).unwrap_or_else(NodeName::of_host),
        durability: map.or("durability", Some(Durability::Strict), choice(DURABILITY)),
        batch: batch(&map.section("batch", &[&["records", "interval", "bytes"]])),
        compression: map.or("compression", Compression::Gzip, choice(COMPRESSION)),
        sink: sink(map),
        disk: disk(&map.section("disk", &[&["max", "when_full"]])),
        bodies: Arc::new(bodies),
        sign: map.section("sign", &[&["key"]]).get("key").and_then(|at| signing_key(&at)),
    }
}

/// A name as it is written, or where it comes from.
fn node(at: &Cursor<'_>) -> Option<NodeName> {
    if at.is_scalar() {
        return at.parse(NodeName::parse);
    }
    let given = secret::token(at)?;
    NodeName::parse(given.expose()).map_err(|error| at.error(error)).ok()
}

/// The file of a key with which objects can be signed.
fn signing_key(at: &Cursor<'_>) -> Option<PathBuf> {
    let at = at.mapping(&[&["file"]]).required("file")?;
    let path = at.file()?;
    let wrong = |error: &dyn Display| at.error(format!("{}: {error}", path.display()));
    let pem = std::fs::read(&path).map_err(|error| wrong(&error)).ok()?;
    Ed25519Signer::from_pem(&pem).map_err(|error| wrong(&error)).ok()?;
    Some(path)
}

fn redact(map: &Mapping<'_>) -> Redactor {
    let pointers = map.list("pointers").iter().filter_map(|at| at.parse(Pointer::parse)).collect();
    let patterns = map.list("patterns").iter().filter_map(|at| at.parse(pattern)).collect();
    Redactor::new(pointers, patterns)
}

fn pattern(text: &str) -> Result<Regex, String> {
    let compiled = RegexBuilder::new(text).size_limit(MAX_PATTERN).build();
    let regex = compiled.map_err(|error| format!("is no regular expression: {error}"))?;
    if regex.is_match("") {
        return Err("matches the empty text, so it would mask everything".to_owned());
    }
    Ok(regex)
}

fn batch(map: &Mapping<'_>) -> Batch {
    Batch {
        records: map.or("records", 100, number_in(1..=100_000)),
        interval: map.or(
            "interval",
            Duration::from_secs(5),
            duration_in(Duration::from_millis(100)..=Duration::from_hours(1)),
        ),
        bytes: map.or("bytes", 16 << 20, size_in(1 << 10..=1 << 30)),
    }
}

fn disk(map: &Mapping<'_>) -> Disk {
    Disk {
        max: map.or("max", 10 << 30, size_in(MIN_DISK..=1 << 46)),
        when_full: map.or("when_full", WhenFull::Reject, choice(WHEN_FULL)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SinkKind {
    Dir,
    S3,
}

fn sink(map: &Mapping<'_>) -> Sink {
    const KINDS: &[(&str, SinkKind)] = &[("dir", SinkKind::Dir), ("s3", SinkKind::S3)];
    const OF_DIR: &[&str] = &["kind", "path", "keep"];
    const OF_S3: &[&str] = &["kind", "bucket", "prefix", "region", "endpoint", "path_style"];
    let Some(at) = map.get("sink") else { return Sink::Dir { path: None, keep: None } };
    // Each kind has keys of its own, so the kind is looked up first.
    let s3_keys = at.entry("kind").is_some_and(|kind| kind == "s3");
    let map = at.mapping(&[if s3_keys { OF_S3 } else { OF_DIR }]);
    let kind = map.required("kind").and_then(|at| at.parse(choice(KINDS)));
    match kind {
        Some(SinkKind::S3) => Sink::S3(s3(&map)),
        Some(SinkKind::Dir) | None => Sink::Dir {
            path: map.get("path").and_then(|at| at.parse(super::server::directory)),
            keep: map.or("keep", None, keep),
        },
    }
}

fn keep(text: &str) -> Result<Option<Duration>, String> {
    if text == FOREVER {
        return Ok(None);
    }
    let kept = duration_in(Duration::from_hours(1)..=Duration::from_hours(100 * 365 * 24))(text);
    kept.map(Some).map_err(|error| format!("{error}; or write {FOREVER}"))
}

fn s3(map: &Mapping<'_>) -> S3 {
    S3 {
        bucket: map.required("bucket").and_then(|at| at.parse(bucket)).unwrap_or_default(),
        prefix: map.or("prefix", String::new(), prefix),
        region: map.get("region").and_then(|at| at.parse(plain)),
        endpoint: map.get("endpoint").and_then(|at| at.parse(endpoint)),
        path_style: map.flag("path_style", false),
    }
}

/// The naming rules of Amazon S3 for buckets, as far as they are the same everywhere.
fn bucket(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    let valid = (3..=255).contains(&text.len()) && text.bytes().all(allowed);
    valid.then(|| text.to_owned()).ok_or("must be the name of a bucket: at least 3 of a-z 0-9 . - _")
}

fn prefix(text: &str) -> Result<String, String> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be of ASCII characters without spaces".to_owned());
    }
    let slash = if text.is_empty() || text.ends_with('/') { "" } else { "/" };
    let prefix = format!("{text}{slash}");
    check_prefix(&prefix).map(|()| prefix).map_err(|error| error.to_string())
}

fn plain(text: &str) -> Result<String, &'static str> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    valid.then(|| text.to_owned()).ok_or("must be the name of a region, such as eu-west-1")
}

fn endpoint(text: &str) -> Result<String, &'static str> {
    let uri = text.parse::<http::Uri>().ok();
    let valid = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some()
            && uri.query().is_none()
    });
    valid.then(|| text.trim_end_matches('/').to_owned()).ok_or("must be a URL such as https://s3.example.com")
}

#[cfg(test)]
mod tests;
