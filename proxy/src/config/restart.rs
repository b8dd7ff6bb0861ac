//! What a new configuration changes that can't take effect while the process runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::model::{Config, Kubernetes, Listener};

/// Names each changed key that keeps its old value until a restart.
#[must_use]
pub fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let audit = old.audit != new.audit;
    let kubernetes = kubernetes(&old.kubernetes, &new.kubernetes);
    let (old, new) = (&old.server, &new.server);
    let mut changed = Vec::new();
    let mut compare = |key: &str, differs: bool| {
        if differs {
            changed.push(key.to_owned());
        }
    };
    compare("server.data_dir", old.data_dir != new.data_dir);
    compare("server.threads", old.threads != new.threads);
    compare("server.admin.addr", old.admin.addr != new.admin.addr);
    compare("server.admin.tls", old.admin.tls.is_some() != new.admin.tls.is_some());
    compare("audit", audit);
    changed.extend(kubernetes);
    changed.extend(listeners(&old.listen, &new.listen));
    changed
}

/// What is watched and how the leader is found; hosts take effect at once.
fn kubernetes(old: &Kubernetes, new: &Kubernetes) -> Vec<String> {
    let differs = [
        ("enabled", old.enabled != new.enabled),
        ("namespaces", old.namespaces != new.namespaces),
        ("labels", (&old.app_label, &old.version_label) != (&new.app_label, &new.version_label)),
        ("mint_ids", old.mint_ids != new.mint_ids),
        ("adopt", old.adopt != new.adopt),
        ("heartbeat", old.heartbeat != new.heartbeat),
        ("lease", old.lease != new.lease),
    ];
    let changed = differs.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(key, _)| format!("kubernetes.{key}")).collect()
}

fn listeners(old: &[Listener], new: &[Listener]) -> Vec<String> {
    let (old, new) = (by_address(old), by_address(new));
    let mut changed = Vec::new();
    for (addr, before) in &old {
        let Some(after) = new.get(addr) else {
            changed.push(format!("server.listen: {addr} removed"));
            continue;
        };
        if before.len() != after.len() {
            changed.push(format!("server.listen: number of listeners on {addr}"));
        }
        for (before, after) in before.iter().zip(after) {
            let differs = [
                ("redirect_https", before.redirect_https != after.redirect_https),
                ("proxy_protocol", before.proxy_protocol != after.proxy_protocol),
                ("tls", before.tls.is_some() != after.tls.is_some()),
            ];
            let keys = differs.into_iter().filter(|(_, differs)| *differs);
            changed.extend(keys.map(|(key, _)| format!("server.listen: {key} of {addr}")));
        }
    }
    let added = new.keys().filter(|addr| !old.contains_key(addr));
    changed.extend(added.map(|addr| format!("server.listen: {addr} added")));
    changed
}

/// Several listeners may share an address with port 0; their order counts.
fn by_address(listeners: &[Listener]) -> BTreeMap<SocketAddr, Vec<&Listener>> {
    let mut map = BTreeMap::<_, Vec<_>>::new();
    for listener in listeners {
        map.entry(listener.addr).or_default().push(listener);
    }
    map
}

#[cfg(test)]
#[path = "restart_tests.rs"]
mod tests;
