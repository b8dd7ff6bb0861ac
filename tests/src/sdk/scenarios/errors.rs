//! Errors with their classes and codes.

use serde_json::{Value, json};

use super::{Stage, has_our_id, ways};
use crate::gateway::KEY;
use crate::provider::CONTENT;
use crate::sdk::{Call, Sdk, Told};

/// A model, then class, status, type, code and parameter of the error.
type Case = (&'static str, &'static str, u16, Value, Value, Value);

fn expect(told: &Told, what: &str, (class, status): (&str, u16), [kind, code, param]: [&Value; 3]) {
    let error = told.error();
    assert!(told.is(class), "{what}: {told:?}");
    assert_eq!(error["status"], status, "{what}: {told:?}");
    assert_eq!([&error["type"], &error["code"], &error["param"]], [kind, code, param], "{what}: {told:?}");
    has_our_id(told);
}

/// What providers refuse.
///
/// # Panics
/// If a caller sees it otherwise than the API has it.
pub fn errors(sdk: &Sdk, stage: &Stage) {
    let invalid = || json!("invalid_request_error");
    let null = || Value::Null;
    let cases: [Case; 11] = [
        ("400", "BadRequestError", 400, invalid(), null(), null()),
        ("422", "UnprocessableEntityError", 422, invalid(), null(), null()),
        (
            "context-length",
            "BadRequestError",
            400,
            invalid(),
            json!("context_length_exceeded"),
            json!("messages"),
        ),
        ("content-filter", "BadRequestError", 400, invalid(), json!("content_filter"), json!("prompt")),
        ("quota", "RateLimitError", 429, json!("insufficient_quota"), json!("insufficient_quota"), null()),
        ("429-after-200", "RateLimitError", 429, json!("requests"), json!("rate_limit_exceeded"), null()),
        ("409", "ConflictError", 409, invalid(), null(), null()),
        ("500", "InternalServerError", 500, json!("server_error"), null(), null()),
        ("html", "InternalServerError", 502, json!("server_error"), null(), null()),
        ("401", "InternalServerError", 502, json!("server_error"), json!("provider_auth_failed"), null()),
        ("unknown-model", "NotFoundError", 404, invalid(), json!("model_not_found"), json!("model")),
    ];
    for (model, class, status, kind, code, param) in &cases {
        for how in [ways(sdk).0, ways(sdk).1].concat() {
            let told = sdk.run(&stage.chat(model).how(how));
            expect(&told, &format!("{model}, {how}"), (class, *status), [kind, code, param]);
            assert!(!told.error().to_string().contains("secret-upstream-name"), "{told:?}");
        }
    }
}

/// What the gateway itself refuses.
///
/// # Panics
/// If the error is another.
pub fn refusals(sdk: &Sdk, stage: &Stage) {
    let invalid = json!("invalid_request_error");
    let (null, param) = (Value::Null, json!("model"));
    let bad = Call::new(&stage.gateway.url(), "lk-wrong", "models.list", json!({}));
    let told = sdk.run(&bad);
    expect(&told, "a bad key", ("AuthenticationError", 401), [&invalid, &json!("invalid_api_key"), &null]);
    let told = sdk.run(&stage.chat("forbidden"));
    expect(&told, "its model", ("NotFoundError", 404), [&invalid, &json!("model_not_found"), &param]);
    let told = sdk.run(&stage.call("models.retrieve", json!({"model": "forbidden"})));
    expect(&told, "retrieved", ("NotFoundError", 404), [&invalid, &json!("model_not_found"), &param]);
    let long = json!({"model": "gpt-test", "messages": [{"role": "user", "content": "x".repeat(2 << 20)}]});
    let told = sdk.run(&stage.call("chat.completions.create", long));
    expect(&told, "a long body", ("APIError", 413), [&invalid, &json!("request_too_large"), &null]);
    let empty = json!({"model": "gpt-test", "messages": []});
    let told = sdk.run(&stage.call("chat.completions.create", empty));
    expect(
        &told,
        "no messages",
        ("BadRequestError", 400),
        [&invalid, &json!("empty_array"), &json!("messages")],
    );
    assert_eq!(stage.provider.count(), 0, "nobody was asked");
    assert!(!format!("{told:?}").contains(KEY));
}

/// Streams that break after they began: an error is raised, and what came before it was delivered.
///
/// # Panics
/// If a truncated answer looks whole.
pub fn broken_streams(sdk: &Sdk, stage: &Stage) {
    let cases = [
        ("cut", "upstream_failed"),
        ("cut-reset", "upstream_failed"),
        ("no-finish", "upstream_failed"),
        ("stall", "upstream_timeout"),
    ];
    for how in ways(sdk).1 {
        for (model, code) in cases {
            let told = sdk.run(&stage.chat(model).how(how));
            assert!(told.is("APIError"), "{model}: {told:?}");
            assert_eq!(
                (&told.error()["code"], &told.error()["type"]),
                (&json!(code), &json!("server_error"))
            );
            let said = told.said();
            assert!(!said.is_empty() && CONTENT.starts_with(&said) && said != CONTENT, "{model}: {said:?}");
        }
        let told = sdk.run(&stage.chat("error-mid").how(how));
        assert!(told.is("APIError") && told.error()["type"] == "server_error", "{told:?}");
        let told = sdk.run(&stage.chat("malformed").how(how));
        assert_eq!((told.said().as_str(), told.error()), (CONTENT, &Value::Null), "one is left out");
    }
}
