//! Cookie values are parts of the line, and the one that is really there is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::routing::pins::cookie_values;

fuzz_target!(|line: &[u8]| {
    let text = String::from_utf8_lossy(line);
    for value in cookie_values(line, "__plt_dpl") {
        assert!(text.contains(value) && !value.contains(';'));
    }
    let pinned = [line, b"; __plt_dpl=v1"].concat();
    assert_eq!(cookie_values(&pinned, "__plt_dpl").last(), Some("v1"));
});
