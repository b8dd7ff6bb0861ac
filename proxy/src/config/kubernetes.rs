//! Section `kubernetes`.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_controller::AppId;
use serde_json::{Value, json};

use super::cursor::Cursor;
use super::mapping::Mapping;
use super::model::{Kubernetes, Lease};
use super::value::{HostPattern, duration_in, duration_text, quoted};

pub(super) const KEYS: &[&str] =
    &["enabled", "namespaces", "hosts", "labels", "mint_ids", "adopt", "heartbeat", "lease"];

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

pub(super) fn read(map: &Mapping<'_>) -> Kubernetes {
    let labels = map.section("labels", &[&["app", "version"]]);
    let [app, version] = [("app", "app.kubernetes.io/name"), ("version", "plt.dev/version")]
        .map(|(key, default)| labels.or(key, default.to_owned(), label));
    if app == version {
        labels.error(format!("app and version are both {app}; each needs a label of its own"));
    }
    Kubernetes {
        enabled: map.flag("enabled", false),
        namespaces: namespaces(map),
        hosts: map.get("hosts").map(|at| hosts(&at)).unwrap_or_default(),
        app_label: app,
        version_label: version,
        mint_ids: map.flag("mint_ids", false),
        adopt: map.flag("adopt", true),
        heartbeat: map.or("heartbeat", Duration::from_secs(10), duration_in(SECOND..=MINUTE)),
        lease: lease(map),
    }
}

fn namespaces(map: &Mapping<'_>) -> Vec<String> {
    let mut namespaces = Vec::new();
    for at in map.list("namespaces") {
        let Some(namespace) = at.parse(namespace) else { continue };
        if namespaces.contains(&namespace) {
            at.error(format!("{namespace} is listed twice"));
        }
        namespaces.push(namespace);
    }
    namespaces
}

fn hosts(at: &Cursor<'_>) -> BTreeMap<String, Vec<HostPattern>> {
    let mut hosts = BTreeMap::new();
    for (name, at) in at.named() {
        if let Err(error) = namespace(name) {
            at.error(error);
        }
        let patterns = at.items().iter().filter_map(|item| item.parse(str::parse)).collect();
        hosts.insert(name.to_owned(), patterns);
    }
    hosts
}

fn lease(map: &Mapping<'_>) -> Lease {
    let map = map.section("lease", &[&["duration", "renew"]]);
    let lease = Lease {
        // Kept in whole seconds by the API.
        duration: map.or("duration", Duration::from_secs(15), whole_seconds),
        renew: map.or("renew", Duration::from_secs(5), duration_in(SECOND..=MINUTE)),
    };
    if lease.renew * 2 > lease.duration
        && let Some(at) = map.get("renew").or_else(|| map.get("duration"))
    {
        at.error(format!(
            "renew ({}) must be at most half of duration ({}), or one slow answer loses the lease",
            duration_text(lease.renew),
            duration_text(lease.duration)
        ));
    }
    lease
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = duration_in(2 * SECOND..=10 * MINUTE)(text)?;
    let whole = duration.subsec_nanos() == 0;
    whole.then_some(duration).ok_or_else(|| format!("{} is not in whole seconds", quoted(text)))
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>
fn namespace(text: &str) -> Result<String, String> {
    let dns = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if dns && AppId::new(text, "any").is_ok() && !text.is_empty() {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is not the name of a namespace: at most 63 of a-z 0-9 -, a letter or digit at both ends",
        quoted(text)
    ))
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn label(text: &str) -> Result<String, String> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let dns = |prefix: &str| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            })
    };
    // Names of labels follow the rule of their values.
    if prefix.is_none_or(dns) && AppId::new("", name).is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not the key of a label; write one such as app.kubernetes.io/name", quoted(text)))
}

pub(super) fn json(of: &Kubernetes) -> Value {
    let texts = |patterns: &[HostPattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "enabled": of.enabled,
        "namespaces": of.namespaces,
        "hosts": of.hosts.iter().map(|(name, hosts)| (name, texts(hosts))).collect::<BTreeMap<_, _>>(),
        "labels": {"app": of.app_label, "version": of.version_label},
        "mint_ids": of.mint_ids,
        "adopt": of.adopt,
        "heartbeat": duration_text(of.heartbeat),
        "lease": {"duration": duration_text(of.lease.duration), "renew": duration_text(of.lease.renew)},
    })
}
