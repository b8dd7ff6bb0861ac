use std::collections::HashMap;
use std::path::Path;

use super::exposed;
use super::model::*;
use crate::config::{Config, ConfigErrors, parse};

fn check(ai: &str) -> Result<Config, ConfigErrors> {
    let environment = HashMap::from([("KEY".to_owned(), "sk-secret".to_owned())]);
    let text = format!("server: {{listen: [{{addr: '0.0.0.0:0'}}]}}\nai:\n{ai}");
    parse(&text, Path::new("lockstep.yaml"), &environment)
}

fn ai(text: &str) -> Ai {
    (**check(text).unwrap().ai.as_ref().unwrap()).clone()
}

const DIGEST: &str = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90";

#[test]
fn the_example_of_the_design_is_read() {
    let text = format!(
        "
  keys:
    - {{id: search-team, sha256: '{DIGEST}', expires: 2027-06-30, labels: {{team: search, cost_center: '42'}},
       models: ['gpt-*'], limits: {{requests_per_minute: 600, concurrent: 50}}}}
  providers:
    openai: {{kind: openai, base_url: 'https://api.openai.com/v1/', api_key: {{env: KEY}}, accepts_caller_key: true}}
    azure: {{kind: azure, base_url: 'https://x.openai.azure.com', api_key: {{env: KEY}}, api_version: 2024-10-21}}
  models:
    gpt-4o:
      targets:
        - {{provider: openai, model: gpt-4o, context_window: 128000, price: {{input: 2.50, output: 10.00, cached_input: 1.25}}}}
        - {{provider: azure, model: gpt-4o-eu, timeouts: {{idle: 5s}}, prefill: true}}
      midstream: continue
    '*': {{targets: [{{provider: openai}}]}}
  default_provider: openai"
    );
    let ai = ai(&text);
    let key = &ai.keys[0];
    assert_eq!(key.expires.unwrap().to_string(), "2027-07-01T00:00:00Z");
    assert!(key.models[0].matches("gpt-4o") && !key.models[0].matches("claude"));
    assert_eq!((key.requests_per_minute, key.concurrent), (Some(600), Some(50)));
    let [any, gpt] = [&ai.models[0], &ai.models[1]];
    assert!(any.pattern.is_some() && any.targets[0].model.is_none());
    assert_eq!((gpt.name.as_str(), gpt.midstream), ("gpt-4o", Midstream::Continue));
    let [first, second] = [&gpt.targets[0], &gpt.targets[1]];
    assert_eq!(first.provider.base.to_string(), "https://api.openai.com/v1");
    assert_eq!((first.provider.base.port, first.provider.base.tls), (443, true));
    assert_eq!((first.timeouts.idle.as_secs(), second.timeouts.idle.as_secs()), (60, 5));
    assert_eq!(second.timeouts.connect, ai.timeouts.connect);
    assert_eq!(ai.default_provider.unwrap().name, first.provider.name);

    let config = check(&text).unwrap();
    let shown = config.to_masked_json().to_string();
    assert!(!shown.contains("sk-secret"), "{shown}");
    assert!(!format!("{config:?}").contains("sk-secret"));
}

#[test]
fn what_is_shown_can_be_read_again() {
    let text = format!(
        "
  hosts: [api.example.com]
  path: /llm/v1
  keys: [{{id: a, sha256: '{DIGEST}', expires: '2027-06-30T12:00:00Z'}}]
  providers: {{z: {{kind: openai, base_url: 'http://[::1]:8080', http2: true}}, a: {{kind: anthropic, base_url: 'http://h/v1', api_key: {{value: k}}}}}}
  models: {{m: {{targets: [{{provider: z, weight: 3}}, {{provider: a, weight: 1}}], strategy: weighted}}}}
  retry: {{on: [reset, 404, 5xx]}}
  keep_alive: off"
    );
    let config = check(&text).unwrap();
    let shown = config.to_masked_json().to_string().replace("\"***\"", "\"k\"");
    assert_eq!(parse(&shown, Path::new("lockstep.yaml"), &HashMap::new()).unwrap(), config, "{shown}");
    let ai = config.ai.unwrap();
    assert!(ai.retry.on.status(503) && ai.retry.on.status(404) && !ai.retry.on.status(429));
    assert_eq!((ai.providers[1].base.host.as_str(), ai.keep_alive), ("::1", None));
}

#[test]
fn what_a_file_allows_is_judged_by_any_listeners() {
    let at = |addr: &str, ai: &str| {
        let text = format!("server: {{listen: [{{addr: '127.0.0.1:0'}}, {{addr: '{addr}'}}]}}\nai: {ai}");
        parse(&text, Path::new("lockstep.yaml"), &HashMap::new()).unwrap()
    };
    let open = at("0.0.0.0:81", "{auth: keys}").server.listen;
    let closed = at("[::1]:81", "{auth: keys}").server.listen;
    let cases = [
        ("{auth: none}", Some("0.0.0.0:81".parse().unwrap())),
        ("{auth: none, allow_anonymous: true}", None),
        ("{auth: keys}", None),
    ];
    for (text, expected) in cases {
        let ai = at("[::1]:81", text).ai.unwrap();
        assert_eq!((exposed(&ai, &open), exposed(&ai, &closed)), (expected, None), "{text}");
    }
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("  {auth: none}", "ai.auth: lets everybody"),
        ("  {auth: some}", "keys, passthrough, none"),
        ("  {auth: passthrough}", "no provider has accepts_caller_key"),
        ("  {keys: [{id: a, sha256: sk-plain}]}", "ai.keys[0].sha256: is not a SHA-256"),
        ("  {keys: [{id: 'a b', sha256: ''}]}", "ai.keys[0].id: \"a b\" is not an id"),
        ("  {keys: [{id: a, sha256: '', expires: '2027-06-30T12:00:00'}]}", "is not a date"),
        (
            "  {providers: {a: {kind: azure, base_url: 'https://x'}}}",
            "ai.providers.a: is of kind azure, which needs",
        ),
        (
            "  {providers: {a: {kind: openai, base_url: 'x'}}}",
            "ai.providers.a.base_url: \"x\" is not a base URL",
        ),
        (
            "  {providers: {a: {kind: openai, base_url: 'http://x', api_key: {env: NO}}}}",
            "ai.providers.a.api_key.env",
        ),
        (
            "  {providers: {a: {kind: openai, base_url: 'http://x', ca: /dev/null}}}",
            "has an effect with https only",
        ),
        ("  {providers: &p {a: 1}, providers: *p}", "twice"),
        ("  {models: {m: {targets: []}}}", "ai.models.m.targets: needs at least one"),
        (
            "  {models: {m: {targets: [{provider: b}]}}}",
            "ai.models.m.targets[0].provider: \"b\" is not one of",
        ),
        ("  {default_provider: b}", "ai.default_provider: \"b\" is not one of"),
        ("  {retry: {on: [6xx]}}", "ai.retry.on[0]: \"6xx\" is not allowed"),
        ("  {limits: {body_bytes: 2GiB}}", "ai.limits: has buffered below body_bytes"),
        ("  {keep_alive: 1}", "or write off"),
        ("  {timeouts: {first_byte: 1s}}", "ai.timeouts.first_byte: unknown key"),
    ];
    for (text, expected) in cases {
        let found = check(text).unwrap_err().to_string();
        assert!(found.contains(expected), "{text}: {found}");
        assert!(!found.contains("sk-plain"), "{found}");
    }
}
