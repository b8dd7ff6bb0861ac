use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn check(text: &str) -> Result<Config, ConfigErrors> {
    parse(text, Path::new("lockstep.yaml"), &HashMap::new())
}

fn errors(text: &str) -> Vec<String> {
    check(text).err().map(|errors| errors.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

const SERVER: &str = "server: {listen: [{addr: '127.0.0.1:0'}]}\n";

#[test]
fn every_mistake_is_reported_at_its_place() {
    let text = include_str!("mistakes.yaml");
    let mut expected = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let marks = content.split_once("#! ").map_or("", |(_, marks)| marks);
        for mark in marks.split(" ;; ").filter(|mark| !mark.is_empty()) {
            let (at, part) = mark.split_once(" ~ ").unwrap();
            let (column, path) = at.split_once(' ').unwrap();
            expected.push((format!("lockstep.yaml:{line}:{column} {path}: "), part));
        }
    }
    let found = errors(text);
    let listing = found.join("\n");
    for (place, part) in &expected {
        let said = found.iter().any(|error| error.starts_with(place.as_str()) && error.contains(part));
        assert!(said, "{place}{part}\nis missing in\n{listing}");
    }
    assert_eq!(found.len(), expected.len(), "{listing}");
    let lines = check(text).unwrap_err().iter().map(|error| error.place).collect::<Vec<_>>();
    assert!(lines.is_sorted());
}

#[test]
fn the_shipped_file_is_valid_and_holds_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/lockstep.yaml");
    let shipped = load(&path).unwrap();
    let bare = "server: {listen: [{addr: '0.0.0.0:8080'}]}
apps:
  - {name: shop, hosts: [shop.example.com, '*.shop.example.com'], versions: [
      {id: v1, endpoints: ['127.0.0.1:9001']}, {id: v2, endpoints: ['127.0.0.1:9002', '127.0.0.1:9003']}]}
ai: {providers: {local: {kind: openai, base_url: 'http://127.0.0.1:11434/v1'}}, models: {llama3: {targets: [{provider: local}]}}}";
    assert_eq!(check(bare).unwrap(), shipped);

    let text = std::fs::read_to_string(&path).unwrap();
    let json = shipped.to_masked_json();
    let mut keys = Vec::new();
    collect_keys(&json, &mut keys);
    keys.retain(|key| !text.contains(&format!("{key}:")));
    assert_eq!(keys, Vec::<String>::new());
}

fn collect_keys(json: &serde_json::Value, keys: &mut Vec<String>) {
    if let Some(object) = json.as_object() {
        for (key, value) in object {
            keys.push(key.clone());
            collect_keys(value, keys);
        }
    }
    for value in json.as_array().into_iter().flatten() {
        collect_keys(value, keys);
    }
}

#[test]
fn what_is_shown_can_be_read_again() {
    let text = "server: {listen: [{addr: '127.0.0.1:0'}], threads: 4}
skew: {grace: 90s, max_versions: 3}
apps: [{name: shop, namespace: web, versions: [{id: '1.10', endpoints: ['[::1]:1']}], health: {path: /h?a=b}}]";
    let config = check(text).unwrap();
    let shown = config.to_masked_json().to_string();
    assert_eq!(check(&shown).unwrap(), config, "{shown}");
    assert_eq!(config.apps[0].id.to_string(), "web/shop");
    assert_eq!(config.app_specs()[0].versions[0].id.as_str(), "1.10");
}

#[test]
fn apps_override_defaults_key_by_key() {
    let text = format!(
        "{SERVER}skew: {{cookie: {{name: pin, max_age: 1h}}, navigation: latest, ready: {{share: 50%}}}}
apps:
  - {{name: a, hosts: [a], versions: &v [{{id: v1, endpoints: ['127.0.0.1:1']}}]}}
  - {{name: b, hosts: [b], versions: *v, navigation: pinned, cookie: {{max_age: 2h}}, ready: {{deadline: 1m}}}}"
    );
    let config = check(&text).unwrap();
    let [a, b] = [&config.apps[0], &config.apps[1]];
    assert_eq!(
        (a.skew.navigation, b.skew.navigation),
        (model::Navigation::Latest, model::Navigation::Pinned)
    );
    let cookies = [a, b].map(|app| (app.skew.cookie.name.as_str(), app.skew.cookie.max_age.as_secs()));
    assert_eq!(cookies, [("pin", 3600), ("pin", 7200)]);
    let ready = [a, b].map(|app| (app.policy.ready.share.as_fraction(), app.policy.ready.deadline.as_secs()));
    assert_eq!(ready, [(0.5, 600), (0.5, 60)]);
}

#[test]
fn an_app_is_told_of_what_it_combines_with_the_defaults() {
    let cases = [
        ("skew: {max_alive: 1h}\n", "grace: 2h", ["apps[0].grace: grace (2h) is longer than max_alive (1h)"]),
        ("skew: {grace: 1h}\n", "max_alive: 1m", ["apps[0].max_alive: grace (1h)"]),
        ("skew: {cookie: {secure: never}}\n", "cookie: {same_site: none}", ["apps[0].cookie.same_site"]),
        ("skew: {cookie: {name: __host-a, secure: always}}\n", "path: /a", ["apps[0].path: the cookie"]),
    ];
    for (skew, app, expected) in cases {
        let text = format!(
            "{SERVER}{skew}apps: [{{name: a, versions: [{{id: v1, endpoints: ['127.0.0.1:1']}}], {app}}}]"
        );
        let found = errors(&text);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found[0].contains(expected[0]), "{found:?}");
    }
}

#[test]
fn a_file_that_can_not_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lockstep.yaml");
    let refused = || load(&path).unwrap_err().to_string();
    assert!(refused().contains("lockstep.yaml: cannot be read: "), "{}", refused());
    std::fs::write(&path, b"server:\n  \xff").unwrap();
    assert!(refused().ends_with("is not UTF-8 in line 2"), "{}", refused());
    std::fs::File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
    assert!(refused().ends_with("is larger than 16MiB"), "{}", refused());
    assert!(load(dir.path()).unwrap_err().to_string().contains("cannot be read"));
    for (text, expected) in [
        ("", "lockstep.yaml:1:1 server.listen: is missing"),
        (
            "- a",
            "lockstep.yaml:1:1: must be a mapping with the keys server, skew, apps, kubernetes, ai, audit",
        ),
        ("server: {", "lockstep.yaml:"),
    ] {
        let found = errors(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn files_are_beside_the_configuration_and_followed() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("a.crt", made.cert.pem());
    write("a.key", made.signing_key.serialize_pem());
    write("b.key", other.signing_key.serialize_pem());
    write("token", "secret\n".to_owned());
    let text = |key: &str, ca: &str| {
        format!(
            "server: {{listen: [{{addr: '127.0.0.1:0', tls: {{certificates: [{{cert: a.crt, key: {key}}}]}}}}]}}
skew: {{preview: {{access: token, token: {{file: token}}}}}}
apps: [{{name: a, versions: [{{id: v1, endpoints: ['127.0.0.1:1']}}], upstream: {{tls: true, ca: {ca}}}}}]"
        )
    };
    let file = dir.path().join("lockstep.yaml");
    let read = |key: &str, ca: &str| parse(&text(key, ca), &file, &HashMap::new());
    let names = ["a.crt", "a.key", "token"].map(|name| dir.path().join(name));
    assert_eq!(read("a.key", "a.crt").unwrap().files(), names.into());

    let refused = read("b.key", "token").unwrap_err();
    let found = refused.iter().map(|error| error.path.as_str()).collect::<Vec<_>>();
    assert_eq!(found, ["server.listen[0].tls.certificates[0].cert", "apps[0].upstream.ca"], "{refused}");
    assert!(refused.files().contains(&dir.path().join("b.key")));
    let refused = read("token", "a.crt").unwrap_err();
    assert_eq!(refused.iter().next().unwrap().path, "server.listen[0].tls.certificates[0].key", "{refused}");
}

#[test]
fn peers_are_trusted_in_every_spelling() {
    let server =
        check("server: {listen: [{addr: '[::]:0'}], trusted_proxies: [10.0.0.0/8, '::1', 192.0.2.1]}");
    let server = server.unwrap().server;
    for (peer, trusted) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("::1", true),
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("127.0.0.1", false),
        ("fe80::1", false),
    ] {
        assert_eq!(server.trusts(peer.parse().unwrap()), trusted, "{peer}");
    }
}

#[test]
fn a_proxy_header_needs_a_trusted_proxy() {
    let found =
        errors("server: {listen: [{addr: '127.0.0.1:0', proxy_protocol: true}], trusted_proxies: []}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("needs server.trusted_proxies"), "{found:?}");
}

#[test]
fn mistakes_are_shown_as_json() {
    let errors = check("'a b': 1").unwrap_err();
    let json = serde_json::to_value(errors.iter().collect::<Vec<_>>()).unwrap();
    let expected = serde_json::json!([
        {"file": "lockstep.yaml", "line": 1, "column": 1, "path": "\"a b\"",
         "message": "unknown key; allowed are server, skew, apps, kubernetes, ai, audit"},
        {"file": "lockstep.yaml", "line": 1, "column": 1, "path": "server.listen", "message": "is missing"},
    ]);
    assert_eq!(json, expected);
}

#[test]
fn mistakes_are_bounded() {
    let mut text = String::from("apps:\n");
    for index in 0..5000 {
        writeln!(text, "  - {{name: '?{index}'}}").unwrap();
    }
    let errors = check(&text).unwrap_err();
    assert_eq!(errors.iter().count(), 1000);
    assert_eq!(errors.count(), 15_000);
    assert!(errors.to_string().ends_with("and 14000 more"));
}

#[test]
fn ten_thousand_versions_are_read() {
    let mut text = format!("{SERVER}apps:\n");
    for app in 0..100 {
        writeln!(text, "  - name: app{app}\n    hosts: [app{app}.example]\n    versions:").unwrap();
        for version in 0..100 {
            writeln!(text, "      - {{id: v{version}, endpoints: ['127.0.0.1:9001']}}").unwrap();
        }
    }
    assert_eq!(check(&text).unwrap().apps.len(), 100);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = check(&text);
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(
        parts in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..60)
    ) {
        let _ = check(&parts.concat());
    }

    #[test]
    fn any_edit_of_a_valid_file_is_read_or_refused(
        at in any::<prop::sample::Index>(),
        remove in 0..40_usize,
        insert in prop::sample::select(PARTS.to_vec()),
    ) {
        let text = include_str!("mistakes.yaml");
        let start = at.index(text.len());
        let end = (start + remove).min(text.len());
        let _ = check(&format!("{}{insert}{}", &text[..start], &text[end..]));
    }
}

/// What YAML is made of, and keys that lead somewhere.
const PARTS: &[&str] = &[
    "server",
    "skew",
    "apps",
    "listen",
    "tls",
    "cookie",
    "versions",
    "name",
    ": ",
    ":",
    "- ",
    "-",
    "\n",
    "\n  ",
    "\n    ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "'",
    "\"",
    "\\",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "!t ",
    "!!str ",
    "? ",
    "#",
    "%TAG ! a\n",
    "---\n",
    "...\n",
    "\t",
    "\r",
    "\u{feff}",
    "\u{85}",
    "ü",
    "~",
    "<<",
    "@",
    "`",
    "a",
    "10s",
    "127.0.0.1:1",
];
