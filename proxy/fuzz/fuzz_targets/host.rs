//! What comes out is a host in its normal form: the same once more, without port or capitals.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::routing::host::normalize;

fuzz_target!(|authority: &str| {
    if let Some(host) = normalize(authority) {
        assert!(!host.is_empty() && host.is_ascii());
        assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
    }
});
