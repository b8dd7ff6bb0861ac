//! The keys of `skew` and of apps that say when versions become active and when they expire.

use std::time::Duration;

use lockstep_controller::{Cleanup, Mode, Policy, ReadyRule, Share};

use super::mapping::Mapping;
use super::value::{choice, duration_in, duration_text, number_in};

pub(super) const CLEANUP: &[(&str, Cleanup)] =
    &[("none", Cleanup::None), ("scale", Cleanup::Scale), ("delete", Cleanup::Delete)];

pub(super) const MODE: &[(&str, Mode)] =
    &[("manage", Mode::Manage), ("observe", Mode::Observe), ("advise", Mode::Advise)];

const MS_100: Duration = Duration::from_millis(100);
const YEAR: Duration = Duration::from_hours(365 * 24);

pub(super) fn built_in() -> Policy {
    Policy {
        ready: ReadyRule { share: Share::ALL, deadline: Duration::from_mins(10) },
        grace: Duration::from_mins(30),
        idle_window: Duration::from_mins(30),
        max_alive: Duration::from_hours(24),
        max_versions: None,
        requires_approval: false,
        cleanup: Cleanup::Scale,
        mode: Mode::Manage,
    }
}

/// Reads the keys that are given over `defaults`.
pub(super) fn read(map: &Mapping<'_>, defaults: &Policy) -> Policy {
    let ready = map.section("ready", &[&["share", "deadline"]]);
    map.or("expire_policy", (), expire_policy);
    let policy = Policy {
        ready: ReadyRule {
            share: ready.or("share", defaults.ready.share, str::parse),
            deadline: ready.or("deadline", defaults.ready.deadline, duration_in(MS_100..=YEAR)),
        },
        grace: map.or("grace", defaults.grace, duration_in(Duration::ZERO..=YEAR)),
        idle_window: map.or("idle_window", defaults.idle_window, duration_in(MS_100..=YEAR)),
        max_alive: map.or("max_alive", defaults.max_alive, duration_in(MS_100..=YEAR)),
        max_versions: map.or("max_versions", defaults.max_versions, max_versions),
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

fn expire_policy(text: &str) -> Result<(), String> {
    if text == "webhook" {
        return Err(String::from("webhook is not available for apps in this release; write http-traffic"));
    }
    choice(&[("http-traffic", ())])(text)
}

fn max_versions(text: &str) -> Result<Option<usize>, String> {
    if text == "unlimited" {
        return Ok(None);
    }
    let number = number_in(1..=100_000)(text).map_err(|error| format!("{error}; or write unlimited"))?;
    Ok(Some(number))
}
