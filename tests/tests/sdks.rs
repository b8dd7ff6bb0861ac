//! OpenAI's SDKs against the real binary: for Python the latest of 1.x, 2.x and 3.x, and for Node.

use std::sync::OnceLock;

use lockstep_tests::gateway::{Gateway, KEY, KEY_ID, digest};
use lockstep_tests::sdk::Sdk;
use lockstep_tests::sdk::scenarios::{self, Stage};
use serde_json::json;

/// Each is imported once: that takes a second.
fn sdks() -> &'static [Sdk] {
    static SDKS: OnceLock<Vec<Sdk>> = OnceLock::new();
    SDKS.get_or_init(|| {
        let python = ["python-1", "python-2", "python-3"].map(Sdk::python);
        python.into_iter().chain([Sdk::node()]).collect()
    })
}

fn each(scenario: fn(&Sdk, &Stage), change: impl FnOnce(Gateway) -> Gateway) {
    let stage = Stage::start(change);
    for sdk in sdks() {
        println!("{}", sdk.name);
        stage.provider.forget();
        scenario(sdk, &stage);
    }
}

fn as_it_is(gateway: Gateway) -> Gateway {
    gateway.model("gpt-test", &[("a", "ok")])
}

#[test]
fn chat() {
    each(scenarios::chat, as_it_is);
}

#[test]
fn streams() {
    each(scenarios::streams, as_it_is);
}

#[test]
fn tools() {
    each(scenarios::tools, as_it_is);
}

#[test]
fn embeddings() {
    each(scenarios::embeddings, as_it_is);
}

#[test]
fn responses() {
    each(scenarios::responses, as_it_is);
}

#[test]
fn listed_models() {
    each(scenarios::listed_models, as_it_is);
}

#[test]
fn azure() {
    each(scenarios::azure, as_it_is);
}

#[test]
fn files() {
    each(scenarios::files, as_it_is);
}

#[test]
fn sound() {
    each(scenarios::sound, as_it_is);
}

#[test]
fn errors() {
    each(scenarios::errors, as_it_is);
}

#[test]
fn refusals() {
    each(scenarios::refusals, |gateway| {
        let key = json!({"id": KEY_ID, "sha256": digest(KEY), "models": ["gpt-*"]});
        as_it_is(gateway).set("keys", json!([key])).set("limits", json!({"body_bytes": "1MiB"}))
    });
}

#[test]
fn broken_streams() {
    each(scenarios::broken_streams, |gateway| gateway.set("timeouts", json!({"idle": "300ms"})));
}

#[test]
fn spent_attempts() {
    each(scenarios::spent_attempts, as_it_is);
}

#[test]
fn retries() {
    each(scenarios::retries, |gateway| gateway.set("keys.0.limits", json!({"concurrent": 1})));
}

#[test]
fn timeouts() {
    each(scenarios::timeouts, |gateway| gateway.set("timeouts", json!({"first_event": "500ms"})));
}

#[test]
fn aborts() {
    each(scenarios::aborts, as_it_is);
}
