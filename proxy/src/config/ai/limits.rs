//! `ai.timeouts`, `ai.retry`, `ai.cooldown` and `ai.limits`.

use std::time::Duration;

use super::model::{Cooldown, Limits, Retry, RetryOn, Timeouts};
use crate::config::mapping::Mapping;
use crate::config::value::{duration_in, number_in, quoted, size_in};

pub(super) const TIMEOUTS: &[&str] = &["connect", "first_event", "idle", "total"];

const RETRY: &[&str] = &["per_target", "total", "on", "backoff", "wait"];

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Timeouts of a section over others.
pub(super) fn timeouts(map: &Mapping<'_>, over: Timeouts) -> Timeouts {
    let read = |key, default| map.or(key, default, duration_in(MS * 10..=DAY));
    Timeouts {
        connect: read("connect", over.connect),
        first_event: read("first_event", over.first_event),
        idle: read("idle", over.idle),
        total: read("total", over.total),
    }
}

/// The timeouts that hold where nothing else is written.
pub(super) const fn built_in() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(3),
        first_event: MINUTE,
        idle: MINUTE,
        total: Duration::from_mins(10),
    }
}

pub(super) fn retry(map: &Mapping<'_>) -> Retry {
    let map = map.section("retry", &[RETRY]);
    let backoff = map.section("backoff", &[&["base", "max"]]);
    let on = match map.get("on") {
        Some(at) => {
            let mut on = RetryOn::default();
            for at in at.items() {
                at.parse(|text| add(&mut on, text));
            }
            on
        }
        None => RetryOn {
            connect: true,
            reset: true,
            timeout: true,
            statuses: [408, 409, 429].into(),
            server_errors: true,
        },
    };
    Retry {
        per_target: map.or("per_target", 2, number_in(1..=20)),
        total: map.or("total", 5, number_in(1..=100)),
        on,
        base: backoff.or("base", MS * 200, duration_in(MS..=MINUTE)),
        max: backoff.or("max", Duration::from_secs(5), duration_in(MS..=MINUTE * 10)),
        wait: map.or("wait", Duration::from_secs(5), duration_in(Duration::ZERO..=MINUTE * 10)),
    }
}

fn add(on: &mut RetryOn, text: &str) -> Result<(), String> {
    match text {
        "connect" => on.connect = true,
        "reset" => on.reset = true,
        "timeout" => on.timeout = true,
        "5xx" => on.server_errors = true,
        _ => {
            let status = text.parse().ok().filter(|status| (400..=599).contains(status));
            let status = status.ok_or_else(|| {
                format!(
                    "{} is not allowed; write connect, reset, timeout, 5xx or a status from 400 to 599",
                    quoted(text)
                )
            })?;
            on.statuses.insert(status);
        }
    }
    Ok(())
}

pub(super) fn cooldown(map: &Mapping<'_>) -> Cooldown {
    let map = map.section("cooldown", &[&["failures", "window", "for"]]);
    Cooldown {
        failures: map.or("failures", 5, number_in(0..=10_000)),
        window: map.or("window", Duration::from_secs(30), duration_in(MS * 100..=DAY)),
        duration: map.or("for", Duration::from_secs(10), duration_in(MS * 100..=DAY)),
    }
}

/// Silence after which a comment is sent.
pub(super) fn keep_alive(map: &Mapping<'_>) -> Option<Duration> {
    let parse = |text: &str| match text {
        "off" => Ok(None),
        _ => duration_in(MS * 100..=DAY)(text).map(Some).map_err(|error| format!("{error}; or write off")),
    };
    map.or("keep_alive", Some(Duration::from_secs(15)), parse)
}

pub(super) fn limits(map: &Mapping<'_>) -> Limits {
    let section = map.section("limits", &[&["body_bytes", "buffered"]]);
    let limits = Limits {
        body_bytes: section.or("body_bytes", 32 << 20, size_in(1 << 10..=1 << 40)),
        buffered: section.or("buffered", 1 << 30, size_in(1 << 10..=1 << 50)),
    };
    if limits.buffered < limits.body_bytes {
        section.error("has buffered below body_bytes: a request of that size could never be taken");
    }
    limits
}
