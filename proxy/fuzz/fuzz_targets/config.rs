//! Any text is a configuration or a list of mistakes, and what was accepted reads the same again.
#![no_main]

use std::collections::HashMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lockstep::config::parse;

fuzz_target!(|text: &str| {
    let environment = HashMap::<String, String>::new();
    match parse(text, Path::new("fuzz.yaml"), &environment) {
        Ok(config) => {
            let _masked = config.to_masked_json();
            let _specs = config.app_specs();
        }
        Err(errors) => assert!(errors.count() > 0 && !errors.to_string().is_empty()),
    }
});
