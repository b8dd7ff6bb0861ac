//! The keys of `skew` and of apps that say when versions become active and when they expire.

use std::time::Duration;

use http::Uri;
use lockstep_controller::{Cleanup, Mode, Policy, ReadyRule, Webhook};

use super::mapping::Mapping;
use super::value::{choice, duration_in, duration_text, number_in, quoted};

pub(super) const CLEANUP: &[(&str, Cleanup)] =
    &[("none", Cleanup::None), ("scale", Cleanup::Scale), ("delete", Cleanup::Delete)];

pub(super) const MODE: &[(&str, Mode)] =
    &[("manage", Mode::Manage), ("observe", Mode::Observe), ("advise", Mode::Advise)];

/// Whether a webhook is asked.
pub(super) const EXPIRE: &[(&str, bool)] = &[("http-traffic", false), ("webhook", true)];

const MS_100: Duration = Duration::from_millis(100);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Reads the keys that are given over `defaults`.
pub(super) fn read(map: &Mapping<'_>, defaults: &Policy) -> Policy {
    let ready = map.section("ready", &[&["share", "deadline"]]);
    let policy = Policy {
        ready: ReadyRule {
            share: ready.or("share", defaults.ready.share, str::parse),
            deadline: ready.or("deadline", defaults.ready.deadline, duration_in(MS_100..=YEAR)),
        },
        grace: map.or("grace", defaults.grace, duration_in(Duration::ZERO..=YEAR)),
        idle_window: map.or("idle_window", defaults.idle_window, duration_in(MS_100..=YEAR)),
        max_alive: map.or("max_alive", defaults.max_alive, duration_in(MS_100..=YEAR)),
        max_versions: map.or("max_versions", defaults.max_versions, max_versions),
        webhook: webhook(map, defaults.webhook.as_ref()),
        requires_approval: map.flag("requires_approval", defaults.requires_approval),
        cleanup: map.or("cleanup", defaults.cleanup, choice(CLEANUP)),
        mode: map.or("mode", defaults.mode, choice(MODE)),
    };
    if let Some(at) = map.get("grace").or_else(|| map.get("max_alive"))
        && policy.grace > policy.max_alive
    {
        let (grace, max_alive) = (duration_text(policy.grace), duration_text(policy.max_alive));
        at.error(format!(
            "grace ({grace}) is longer than max_alive ({max_alive}), which ends it; it may be equal"
        ));
    }
    policy
}

/// Whether these keys themselves want a webhook to be asked.
pub(super) fn asks_webhook(map: &Mapping<'_>) -> bool {
    map.get("expire_policy").is_some_and(|at| at.is_scalar() && at.text() == Some("webhook"))
}

/// Keys `expire_policy` and `webhook`.
fn webhook(map: &Mapping<'_>, default: Option<&Webhook>) -> Option<Webhook> {
    let asks = map.or("expire_policy", default.is_some(), choice(EXPIRE));
    let given = map.get("webhook");
    match (&given, asks) {
        (Some(at), false) => at.error("has an effect with expire_policy: webhook only"),
        (None, true) if default.is_none() => {
            if let Some(at) = map.get("expire_policy") {
                at.error("webhook needs to know whom to ask: webhook: {url: \"https://…\"}");
            }
        }
        _ => {}
    }
    let map = map.section("webhook", &[&["url", "timeout"]]);
    let url = match map.get("url") {
        Some(at) => at.parse(url),
        None if given.is_some() && default.is_none() => map.required("url").and(None),
        None => default.map(|default| default.url.clone()),
    };
    let timeout = default.map_or(Duration::from_secs(10), |default| default.timeout);
    let timeout = map.or("timeout", timeout, duration_in(MS_100..=Duration::from_mins(5)));
    Some(Webhook { url: url?, timeout }).filter(|_| asks)
}

fn url(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>().ok();
    let valid = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    valid.then(|| text.to_owned()).ok_or_else(|| {
        format!(
            "{} is not the URL of a webhook; write one such as https://example.com/may-expire",
            quoted(text)
        )
    })
}

fn max_versions(text: &str) -> Result<Option<usize>, String> {
    if text == "unlimited" {
        return Ok(None);
    }
    let number = number_in(1..=100_000)(text).map_err(|error| format!("{error}; or write unlimited"))?;
    Ok(Some(number))
}
