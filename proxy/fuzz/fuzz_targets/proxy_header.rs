//! A header lies within the bytes, and no prefix of a good one is malformed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::front::proxy_header::{Parsed, parse};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Parsed::Complete { length, .. }) = parse(bytes) {
        assert!(length > 0 && length <= bytes.len());
        for end in 1..length {
            assert!(matches!(parse(&bytes[..end]), Ok(Parsed::Partial)), "{end} of {length}");
        }
    }
});
