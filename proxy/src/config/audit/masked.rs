//! Section `audit` as it may be shown.

use serde_json::{Value, json};

use super::model::{Audit, Sink};
use super::{CAPTURE, COMPRESSION, DURABILITY, FOREVER, WHEN_FULL};
use crate::config::masked::path_text;
use crate::config::value::{duration_text, size_text, word};

/// The section in the shape of the file, with every default.
pub(in crate::config) fn json(audit: &Audit) -> Value {
    let (pointers, patterns) = audit.bodies.redact.shown();
    let max_body = u64::try_from(audit.bodies.max).unwrap_or(u64::MAX);
    json!({
        "node": audit.node.as_str(),
        "durability": word(DURABILITY, &audit.durability),
        "batch": {
            "records": audit.batch.records,
            "interval": duration_text(audit.batch.interval),
            "bytes": size_text(audit.batch.bytes),
        },
        "compression": word(COMPRESSION, &audit.compression),
        "sink": sink(&audit.sink),
        "disk": {"max": size_text(audit.disk.max), "when_full": word(WHEN_FULL, &audit.disk.when_full)},
        "capture": word(CAPTURE, &audit.bodies.capture),
        "max_body": size_text(max_body),
        "capture_binary": audit.bodies.binary,
        "redact": {"pointers": pointers, "patterns": patterns},
        "sign": audit.sign.as_deref().map(|key| json!({"key": {"file": path_text(key)}})),
    })
}

fn sink(sink: &Sink) -> Value {
    match sink {
        Sink::Dir { path, keep } => json!({
            "kind": "dir",
            "path": path.as_deref().map(path_text),
            "keep": keep.map_or_else(|| FOREVER.to_owned(), duration_text),
        }),
        Sink::S3(s3) => json!({
            "kind": "s3",
            "bucket": s3.bucket,
            "prefix": s3.prefix,
            "region": s3.region,
            "endpoint": s3.endpoint,
            "path_style": s3.path_style,
        }),
    }
}
