//! Section `apps`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use lockstep_controller::AppId;

use super::claims::Claims;
use super::cursor::Cursor;
use super::error::Place;
use super::mapping::Mapping;
use super::model::{App, AuditLevel, Balance, Ejection, Health};
use super::overlay::ClusterEntry;
use super::value::{HostPattern, PathPrefix, Share, choice, duration_in, number_in, quoted};
use super::{cookie, policy, skew, upstream, versions};

const KEYS: &[&str] = &[
    "name",
    "namespace",
    "hosts",
    "path",
    "strip_prefix",
    "versions",
    "active",
    "canary",
    "balance",
    "upstream",
    "health",
    "ejection",
    "audit",
];

pub(super) const BALANCE: &[(&str, Balance)] =
    &[("round_robin", Balance::RoundRobin), ("least_loaded", Balance::LeastLoaded)];

pub(super) const AUDIT: &[(&str, AuditLevel)] =
    &[("none", AuditLevel::None), ("metadata", AuditLevel::Metadata), ("full", AuditLevel::Full)];

const MS_100: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_hours(24);

/// The entries of a file.
#[derive(Default)]
pub(super) struct Apps {
    /// Apps with their versions.
    pub(super) fixed: Vec<Arc<App>>,
    /// Settings of apps that the cluster has.
    pub(super) of_cluster: HashMap<AppId, ClusterEntry>,
}

/// Reads all apps; those with mistakes are left out, the rest is still checked against each other.
/// With `kubernetes`, those without versions are settings of apps that the cluster has.
pub(super) fn read_all(items: &[Cursor<'_>], defaults: &skew::Defaults, kubernetes: bool) -> Apps {
    let mut names = HashMap::new();
    let mut claims = Claims::default();
    let mut apps = Apps::default();
    for item in items {
        let map = item.mapping(&[KEYS, skew::KEYS]);
        if map.is_broken() {
            continue;
        }
        let id = id(&map, &mut names);
        if kubernetes && map.get("versions").is_none() {
            let versions = versions::read_of_cluster(&map);
            if let Some(app) = read(&map, defaults, id, versions, None) {
                let node = Arc::new(item.node().clone());
                apps.of_cluster.insert(app.id.clone(), ClusterEntry { node, app });
            }
            continue;
        }
        let versions = versions::read(&map);
        if let Some(at) = map.get("webhook").or_else(|| map.get("expire_policy"))
            && policy::asks_webhook(&map)
        {
            at.error("webhooks are asked for apps that Kubernetes has; write http-traffic where versions are listed");
        }
        apps.fixed.extend(read(&map, defaults, id, versions, Some(&mut claims)).map(Arc::new));
    }
    apps
}

/// Reads what an app of the cluster gets.
pub(super) fn read_of_cluster(item: &Cursor<'_>, defaults: &skew::Defaults, id: &AppId) -> Option<App> {
    let map = item.mapping(&[KEYS, skew::KEYS]);
    let versions = versions::read_of_cluster(&map);
    read(&map, defaults, Some(id.clone()), versions, None)
}

fn read(
    map: &Mapping<'_>,
    defaults: &skew::Defaults,
    id: Option<AppId>,
    versions: versions::Versions,
    claims: Option<&mut Claims>,
) -> Option<App> {
    let hosts = hosts(map);
    let path = map.get("path").map_or_else(|| Some(PathPrefix::root()), |at| at.parse(str::parse));
    let skew::Defaults { skew, policy } = skew::read(map, defaults);
    if let (Some(hosts), Some(path)) = (&hosts, &path) {
        cookie::check_path(map, &skew.cookie, path);
        if let Some(claims) = claims {
            claims.claim(map, hosts, path);
        }
    }
    let strip_prefix = map.flag("strip_prefix", false);
    let balance = map.or("balance", Balance::RoundRobin, choice(BALANCE));
    let upstream = upstream::read(&map.section("upstream", &[upstream::KEYS]));
    let health = map.get("health").and_then(|at| health(&at));
    let ejection = ejection(&map.section("ejection", &[&["failures", "for", "max_share"]]));
    let audit = map.or("audit", AuditLevel::None, choice(AUDIT));
    let versions::Versions { versions, active, canary } = versions;
    Some(App {
        id: id?,
        hosts: hosts?.into_iter().map(|(host, _)| host).collect(),
        path: path?,
        strip_prefix,
        versions,
        active,
        canary,
        balance,
        upstream,
        health,
        ejection,
        audit,
        skew,
        policy,
    })
}

fn id(map: &Mapping<'_>, names: &mut HashMap<AppId, Place>) -> Option<AppId> {
    let at = map.required("name");
    let name = at.as_ref().and_then(|at| at.parse(|name| AppId::new("", name)));
    // Empty is the same as absent.
    let namespace = map.get("namespace").filter(|at| !at.is_empty());
    let namespace = match namespace {
        Some(at) => at.parse(|text| AppId::new(text, "any").map(|_| text.to_owned()))?,
        None => String::new(),
    };
    let (at, name) = (at?, name?);
    let id = at.parse(|_| AppId::new(&namespace, name.name()))?;
    if let Some(first) = names.get(&id) {
        at.error(format!(
            "the app {id} exists already, at {first}; name and namespace together must be unique"
        ));
        return None;
    }
    names.insert(id.clone(), at.place());
    Some(id)
}

/// The hosts with their places; `None` if one of them is wrong.
fn hosts<'c>(map: &Mapping<'c>) -> Option<Vec<(HostPattern, Cursor<'c>)>> {
    let items = map.list("hosts");
    let count = items.len();
    let hosts: Vec<_> = items.into_iter().filter_map(|at| Some((at.parse(str::parse)?, at))).collect();
    (hosts.len() == count).then_some(hosts)
}

fn health(at: &Cursor<'_>) -> Option<Health> {
    let map = at.mapping(&[&["path", "interval"]]);
    let path = map.required("path").and_then(|at| at.parse(health_path));
    let interval = map.or("interval", Duration::from_secs(5), duration_in(MS_100..=DAY));
    Some(Health { path: path?, interval })
}

fn health_path(text: &str) -> Result<String, String> {
    let valid = text.starts_with('/')
        && text.is_ascii()
        && !text.contains('#')
        && text.parse::<PathAndQuery>().is_ok();
    valid
        .then(|| text.to_owned())
        .ok_or_else(|| format!("{} is not a path; write one such as /healthz", quoted(text)))
}

fn ejection(map: &Mapping<'_>) -> Ejection {
    Ejection {
        failures: map.or("failures", 5, number_in(0..=1_000_000)),
        duration: map.or("for", Duration::from_secs(10), duration_in(MS_100..=DAY)),
        max_share: map.get("max_share").and_then(|at| at.parse(str::parse)).unwrap_or_else(half),
    }
}

/// The default of `ejection.max_share`.
fn half() -> Share {
    "50%".parse().unwrap_or(Share::ALL)
}
