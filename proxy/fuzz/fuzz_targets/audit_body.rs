//! Whatever a body is, a record shows it as JSON on one line that readers of records take; what is masked in a stream of
//! events does not depend on how it is cut.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockstep::audit::json_body::show;
use lockstep::audit::redact::{Masked, Pointer, Redactor, StreamMask};
use regex::Regex;
use serde::de::IgnoredAny;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let pointer = Pointer::parse("/user").expect("a pointer");
    Redactor::new(vec![pointer], vec![Regex::new(r"\d{3}-\d\d").expect("a pattern")])
});

fuzz_target!(|input: (u8, bool, bool, &[u8])| {
    let (size, truncated, binary, body) = input;
    let shown = show(body, truncated, binary);
    if let Some(shown) = &shown {
        assert!(!shown.get().contains('\n'));
        let record = format!("{{\"request\":{{\"body\":{shown}}}}}");
        // As a number beyond all bounds is JSON, too, no values are made of it.
        serde_json::from_str::<IgnoredAny>(&record).expect("a record");
    }
    let bytes = Bytes::copy_from_slice(body);
    for is_json in [false, true] {
        if let Masked::Changed(masked) = REDACTOR.body(&bytes, is_json) {
            std::str::from_utf8(&masked).expect("masked text is text");
        }
    }
    assert_eq!(masked(body, usize::from(size) + 1), masked(body, body.len().max(1)));
});

/// A stream that comes in pieces of one size, masked.
fn masked(stream: &[u8], size: usize) -> Vec<u8> {
    let mut mask = StreamMask::new(REDACTOR.clone());
    let mut output = Vec::new();
    for piece in stream.chunks(size) {
        mask.push(&Bytes::copy_from_slice(piece));
        output.extend_from_slice(&mask.release());
    }
    output.extend_from_slice(&mask.finish());
    output
}
