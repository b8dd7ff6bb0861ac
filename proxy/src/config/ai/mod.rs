//! Section `ai`.

mod keys;
mod limits;
mod masked;
pub mod model;
mod models;
mod providers;

use std::net::SocketAddr;

use super::mapping::Mapping;
use super::model::Listener;
use super::value::{PathPrefix, choice};
use limits::TIMEOUTS;
use model::{Ai, Auth};
use providers::Providers;

pub(super) const KEYS: &[&str] = &[
    "hosts",
    "path",
    "auth",
    "allow_anonymous",
    "keys",
    "providers",
    "models",
    "default_provider",
    "timeouts",
    "retry",
    "cooldown",
    "keep_alive",
    "limits",
];

pub(super) use masked::json;

const AUTH: &[(&str, Auth)] =
    &[("keys", Auth::Keys), ("passthrough", Auth::Passthrough), ("none", Auth::None)];

/// Reads the section; what is wrong in it is noted, whatever comes out.
pub(super) fn read(map: &Mapping<'_>, listen: &[Listener]) -> Ai {
    let timeouts = limits::timeouts(&map.section("timeouts", &[TIMEOUTS]), limits::built_in());
    let providers = Providers::read(map);
    let path = map.get("path").and_then(|at| at.parse(str::parse));
    let ai = Ai {
        hosts: map.list("hosts").iter().filter_map(|at| at.parse(str::parse)).collect(),
        path: path.or_else(|| "/v1".parse().ok()).unwrap_or_else(PathPrefix::root),
        auth: auth(map, &providers),
        allow_anonymous: map.flag("allow_anonymous", false),
        keys: keys::read(map),
        models: models::read(map, &providers, timeouts),
        default_provider: map.get("default_provider").and_then(|at| providers.find(&at)),
        providers: providers.all,
        timeouts,
        retry: limits::retry(map),
        cooldown: limits::cooldown(map),
        keep_alive: limits::keep_alive(map),
        limits: limits::limits(map),
    };
    if let (Some(at), Some(open)) = (map.get("auth"), exposed(&ai, listen)) {
        at.error(format!(
            "lets everybody who reaches {open} spend your money; listen on loopback only, or say allow_anonymous: true"
        ));
    }
    ai
}

/// Where others than this machine may call without a key, though nothing says that they may.
pub(crate) fn exposed(ai: &Ai, listen: &[Listener]) -> Option<SocketAddr> {
    let open = ai.auth == Auth::None && !ai.allow_anonymous;
    listen.iter().map(|listener| listener.addr).find(|addr| open && !addr.ip().is_loopback())
}

fn auth(map: &Mapping<'_>, providers: &Providers) -> Auth {
    let Some(at) = map.get("auth") else { return Auth::Keys };
    let auth = at.parse(choice(AUTH)).unwrap_or(Auth::Keys);
    if auth == Auth::Passthrough && !providers.all.iter().any(|provider| provider.accepts_caller_key) {
        at.error("sends the caller's own key on, and no provider has accepts_caller_key: true");
    }
    auth
}

#[cfg(test)]
mod tests;
