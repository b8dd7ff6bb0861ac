//! A parameter in front is found whatever follows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::routing::pins::query_value;

fuzz_target!(|query: &str| {
    let _any = query_value(query, "dpl");
    assert_eq!(query_value(&format!("dpl=v1&{query}"), "dpl").as_deref(), Some("v1"));
});
