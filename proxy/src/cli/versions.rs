//! `lockstep versions`: see and change the versions of apps.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

use super::client::{Client, segment};
use super::{Instance, Outcome, render};

/// See and change the versions of apps.
#[derive(Debug, Subcommand)]
pub(super) enum Versions {
    /// Show the versions of one app, or of all.
    List {
        /// The app: its name, or namespace/name.
        app: Option<String>,
        #[command(flatten)]
        instance: Instance,
    },
    /// Make a version the active one.
    Promote(Target),
    /// Let a staged version go on to become active.
    Approve(Target),
    /// End a staged version.
    Reject(Target),
    /// End a version once its grace is over and it is idle.
    Expire {
        #[command(flatten)]
        target: Target,
        /// Skip grace and idleness.
        #[arg(long)]
        now: bool,
    },
    /// Show the last changes of state of an app.
    History {
        /// The app: its name, or namespace/name.
        app: String,
        #[command(flatten)]
        instance: Instance,
    },
}

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The app: its name, or namespace/name.
    app: String,
    /// The version.
    version: String,
    #[command(flatten)]
    instance: Instance,
}

#[derive(Debug, Serialize, Deserialize)]
struct Apps {
    apps: Vec<App>,
}

/// What is shown of an app; all else that the API says is kept for `--json`.
#[derive(Debug, Serialize, Deserialize)]
struct App {
    app: String,
    namespace: String,
    versions: Vec<Version>,
    /// What is to be done in the cluster by whoever applies changes there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    plan: Vec<Advice>,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Advice {
    command: String,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    id: String,
    state: String,
    reason: String,
    actor: String,
    ready: usize,
    desired: usize,
    in_flight: u64,
    since: Timestamp,
    /// It is pending for longer than it should be.
    #[serde(default)]
    stalled: bool,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct History {
    app: String,
    namespace: String,
    history: Vec<Transition>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Transition {
    at: Timestamp,
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    to: String,
    reason: String,
    actor: String,
}

pub(super) fn run(versions: &Versions) -> Outcome {
    match versions {
        Versions::List { app, instance } => list(app.as_deref(), instance),
        Versions::Promote(target) => change(target, "promote"),
        Versions::Approve(target) => change(target, "approve"),
        Versions::Reject(target) => change(target, "reject"),
        Versions::Expire { target, now } => change(target, if *now { "expire?now=true" } else { "expire" }),
        Versions::History { app, instance } => history(app, instance),
    }
}

fn list(app: Option<&str>, instance: &Instance) -> Outcome {
    let client = Client::new(instance)?;
    let apps = match app {
        Some(app) => vec![client.get(&format!("apps/{}/versions", segment(app)))?],
        None => client.get::<Apps>("apps")?.apps,
    };
    if instance.json {
        render::json(&Apps { apps });
    } else {
        show(&apps);
    }
    Ok(ExitCode::SUCCESS)
}

fn change(target: &Target, command: &str) -> Outcome {
    let path = format!("apps/{}/versions/{}/{command}", segment(&target.app), segment(&target.version));
    let app: App = Client::new(&target.instance)?.post(&path)?;
    if target.instance.json {
        render::json(&app);
    } else {
        let hint = app.versions.iter().find(|version| version.id == target.version).and_then(Version::hint);
        show(&[app]);
        if let Some(hint) = hint {
            render::line(&hint);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Version {
    /// What is still to happen before the command has its effect.
    fn hint(&self) -> Option<String> {
        let Self { id, ready, desired, .. } = self;
        match self.state.as_str() {
            "pending" => Some(match self.more.get("restoresTo") {
                Some(replicas) => {
                    format!(
                        "{id} is scaled up to {replicas}, and becomes active once its endpoints are ready"
                    )
                }
                None if *desired == 0 => {
                    format!("{id} has no replicas; it becomes active once it is scaled up and ready")
                }
                None => format!("{id} becomes active once its endpoints are ready; {ready} of {desired} are"),
            }),
            "draining" if self.more.contains_key("expiryAskedBy") => {
                Some(format!("{id} expires once its grace is over and it is idle; --now skips both"))
            }
            "expiring" => Some(format!("{id} is routed no more; it expires once nothing runs on it")),
            _ => None,
        }
    }
}

fn history(app: &str, instance: &Instance) -> Outcome {
    let history: History = Client::new(instance)?.get(&format!("apps/{}/history", segment(app)))?;
    if instance.json {
        render::json(&history);
        return Ok(ExitCode::SUCCESS);
    }
    let rows = history.history.into_iter().map(|transition| {
        let from = transition.from.unwrap_or_else(|| "-".to_owned());
        let at = transition.at.round(Unit::Second).unwrap_or(transition.at);
        [at.to_string(), transition.version, from, transition.to, transition.reason, transition.actor]
    });
    render::table(["AT", "VERSION", "FROM", "TO", "REASON", "ACTOR"], rows);
    Ok(ExitCode::SUCCESS)
}

fn show(apps: &[App]) {
    let rows = apps.iter().flat_map(|app| {
        let name =
            if app.namespace.is_empty() { app.app.clone() } else { format!("{}/{}", app.namespace, app.app) };
        app.versions.iter().map(move |version| {
            [
                name.clone(),
                version.id.clone(),
                if version.stalled { format!("{}, stalled", version.state) } else { version.state.clone() },
                version.reason.clone(),
                version.actor.clone(),
                format!("{}/{}", version.ready, version.desired),
                version.in_flight.to_string(),
                age(version.since),
            ]
        })
    });
    render::table(["APP", "VERSION", "STATE", "REASON", "ACTOR", "READY", "IN FLIGHT", "FOR"], rows);
    let mut advice = apps.iter().flat_map(|app| &app.plan).peekable();
    if advice.peek().is_some() {
        render::line("\nTo be done in the cluster:");
    }
    advice.for_each(|step| render::line(&format!("  {}", step.command)));
}

/// Time since then, in its largest unit, as `kubectl` shows ages.
fn age(since: Timestamp) -> String {
    let seconds = Timestamp::now().duration_since(since).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_at_zero_is_not_told_to_have_none_of_none() {
        let hint = |desired: usize, more: &str| {
            let text = format!(
                r#"{{"id": "v1", "state": "pending", "reason": "promoted", "actor": "ops", "ready": 0,
                    "desired": {desired}, "inFlight": 0, "since": "2026-11-23T17:00:00Z"{more}}}"#
            );
            serde_json::from_str::<Version>(&text).unwrap().hint().unwrap()
        };
        let cases = [
            (0, r#", "restoresTo": 1"#, "v1 is scaled up to 1, and"),
            (0, "", "v1 has no replicas"),
            (2, "", "0 of 2 are"),
        ];
        for (desired, more, expected) in cases {
            assert!(hint(desired, more).contains(expected), "{}", hint(desired, more));
        }
    }
}
