use std::path::Path;
use std::time::Duration;

use lockstep_controller::cluster::resource::VersionedAppSpec;
use serde_json::json;

use super::*;
use crate::config::{Config, parse};

const FILE: &str = "
server: {listen: [{addr: 127.0.0.1:0}]}
skew: {grace: 1m, cookie: {name: pin}}
kubernetes: {enabled: true}
apps:
  - name: shop
    namespace: web
    hosts: [file.example]
    grace: 2m
    cookie: {max_age: 1h}
    upstream: {retries: 5}
    preview: {access: token, token: {value: secret}}
";

fn config(text: &str) -> Config {
    parse(text, Path::new("test.yaml"), &HashMap::new()).unwrap()
}

fn claim(app: &str, spec: Option<Value>) -> Claim {
    let spec = spec.map(|spec| serde_json::from_value::<VersionedAppSpec>(spec).unwrap());
    let hosts = vec!["label.example".to_owned()];
    Claim { id: app.parse().unwrap(), spec, hosts, path: Some("/label".to_owned()), expire_policy: None }
}

fn hosts(app: &App) -> Vec<&str> {
    app.hosts.iter().map(HostPattern::as_str).collect()
}

#[test]
fn the_spec_wins_over_the_file_and_the_file_over_labels() {
    let apps = config(FILE).cluster_apps;
    let other = apps.resolve(&claim("web/other", None)).unwrap();
    assert_eq!((hosts(&other), other.path.as_str()), (vec!["label.example"], "/label"));
    assert_eq!((other.policy.grace, other.skew.cookie.name.as_str()), (Duration::from_mins(1), "pin"));

    let asking = Claim { expire_policy: Some("webhook".to_owned()), ..claim("web/other", None) };
    let errors = apps.resolve(&asking).unwrap_err();
    assert!(errors.len() == 1 && errors[0].starts_with("spec.expirePolicy: "), "{errors:?}");
    let url = json!({"webhook": {"url": "https://ci.example/may"}});
    let asking = Claim { spec: claim("web/other", Some(url)).spec, ..asking };
    assert!(apps.resolve(&asking).unwrap().policy.webhook.is_some());

    let shop = apps.resolve(&claim("web/shop", None)).unwrap();
    assert_eq!((hosts(&shop), shop.path.as_str()), (vec!["file.example"], "/label"));
    assert_eq!((shop.policy.grace, shop.upstream.retries), (Duration::from_mins(2), 5));

    let spec = json!({
        "hosts": [], "maxAlive": "3h", "canary": {"version": "v3", "share": "10%"},
        "cookie": {"sameSite": "strict"}, "upstream": {"connectTimeout": "1s"}, "preview": {"access": "open"},
    });
    let shop = apps.resolve(&claim("web/shop", Some(spec))).unwrap();
    assert!(shop.hosts.is_empty());
    assert_eq!((shop.policy.grace, shop.policy.max_alive), (Duration::from_mins(2), Duration::from_hours(3)));
    let cookie = &shop.skew.cookie;
    assert_eq!((cookie.name.as_str(), cookie.max_age), ("pin", Duration::from_hours(1)));
    assert_eq!((shop.upstream.retries, shop.upstream.connect_timeout), (5, Duration::from_secs(1)));
    assert_eq!(shop.canary.unwrap().version.as_str(), "v3");
    assert_eq!(shop.skew.preview, crate::config::model::Preview::Open);
}

#[test]
fn mistakes_are_told_all_at_once_with_their_places() {
    let apps = config(FILE).cluster_apps;
    let cases = [
        (
            json!({"cookie": {"name": "a b"}, "maxAlive": "-1h"}),
            &["spec.cookie.name: ", "spec.maxAlive: "][..],
        ),
        (json!({"maxAlive": "1m"}), &["test.yaml:9:12 grace, in the app's entry: grace (2m) is longer"]),
        (json!({"hosts": ["http://x"]}), &["spec.hosts[0]: \"http://x\" is not a host"]),
        (json!({"upstream": {"tls": true, "ca": "/etc/passwd"}}), &["spec.upstream.ca: files can be named"]),
        (
            json!({"preview": {"access": "token", "token": {"env": "HOME"}}}),
            &["spec.preview.token.env: environment variables can be named"],
        ),
        (json!({"hosts": 7}), &["spec: "]),
    ];
    for (spec, expected) in cases {
        let errors = apps.resolve(&claim("web/shop", Some(spec.clone()))).unwrap_err();
        assert_eq!(errors.len(), expected.len(), "{spec}: {errors:?}");
        for (error, expected) in errors.iter().zip(expected) {
            assert!(error.starts_with(expected), "{error}");
        }
    }
    let bad =
        Claim { hosts: vec!["no host".to_owned()], path: Some("nope".to_owned()), ..claim("web/x", None) };
    let errors = apps.resolve(&bad).unwrap_err();
    assert!(errors[0].starts_with("lockstep.dev/hosts"), "{errors:?}");
    assert!(errors[1].starts_with("lockstep.dev/path"), "{errors:?}");
}

#[test]
fn what_the_file_names_for_an_app_is_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "from-file").unwrap();
    let text = FILE.replace("{value: secret}", "{file: token}");
    let config = parse(&text, &dir.path().join("test.yaml"), &HashMap::new()).unwrap();
    assert!(config.files().contains(&dir.path().join("token")));
    let spec = json!({"maxAlive": "3h"});
    config.cluster_apps.resolve(&claim("web/shop", Some(spec))).unwrap();
}

#[test]
fn entries_without_versions_need_kubernetes() {
    let text = FILE.replace("enabled: true", "enabled: false");
    let errors = parse(&text, Path::new("test.yaml"), &HashMap::new()).unwrap_err();
    assert!(errors.to_string().contains("apps[0].versions: is missing"), "{errors}");
}

#[test]
fn the_section_is_checked() {
    let section = "{enabled: true, namespaces: [web, web, Bad], hosts: {web: [x.example, '1:2']}, \
                   labels: {app: 'a b', version: x/y}, heartbeat: 5m, lease: {duration: 4s, renew: 3s}, nope: 1}";
    let text = format!("server: {{listen: [{{addr: 127.0.0.1:0}}]}}\nkubernetes: {section}\n");
    let errors = parse(&text, Path::new("test.yaml"), &HashMap::new()).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    let expected =
        ["namespaces[1]", "namespaces[2]", "hosts.web[1]", "labels.app", "heartbeat", "lease.renew", "nope"];
    assert_eq!(paths, expected.map(|path| format!("kubernetes.{path}")));
}
