//! What is measured: all contenders at one size, and the cost of Lockstep as the table grows.

use std::path::Path;
use std::rc::Rc;

use crate::cli::{Kind, Plan};
use crate::contender::{Running, name, program};
use crate::contract;
use crate::error::Result;
use crate::goals::Limit::{AtLeast, AtMost};
use crate::goals::{self, Goal};
use crate::layout::Layout;
use crate::load::Pins;
use crate::report;
use crate::rounds::{self, Entrant, Sample};

const ALL: [Kind; 6] =
    [Kind::Bare, Kind::BareNosteal, Kind::Lockstep, Kind::Nginx, Kind::Haproxy, Kind::Envoy];

/// Versions configured (apps, versions of each) and how many of them have visitors. With ten in use
/// the cost of the table alone shows; the last adds that of having connections to a thousand.
const SCALES: [(usize, usize, usize); 4] = [(1, 10, 10), (100, 10, 10), (1000, 10, 10), (1000, 10, 1000)];
/// The scale that the others are compared with.
const REFERENCE: (usize, usize, usize) = (1, 10, 10);

/// What the design asks of a pinned request.
const PINNED: [Goal; 4] = [
    Goal::new("CPU per request x bare Pingora", "lockstep", "bare", Sample::cpu_per_request, AtMost(1.05)),
    Goal::new("requests/s x bare Pingora", "lockstep", "bare", Sample::throughput, AtLeast(0.97)),
    Goal::new("CPU per request x Envoy", "lockstep", "envoy", Sample::cpu_per_request, AtMost(0.7)),
    Goal::new("CPU per request x nginx", "lockstep", "nginx", Sample::cpu_per_request, AtMost(1.4)),
];

/// What it asks of many versions, none of which costs those that are in use.
const MANY: [Goal; 1] = [Goal::new(
    "CPU per request with 10 000 versions x with 10",
    "lockstep 10000, 10 in use",
    "lockstep 10, 10 in use",
    Sample::cpu_per_request,
    AtMost(1.05),
)];

/// One line of a table, before it runs.
struct Entry {
    label: String,
    kind: Kind,
    layout: Layout,
    in_use: usize,
    /// The labels of the lines that it is compared with.
    against: Vec<String>,
}

/// All contenders at the size that the plan names. Returns what was left out although it was there.
///
/// # Errors
/// If a contender cannot be measured.
pub async fn pinned(plan: &Plan) -> Result<Vec<String>> {
    let layout = Layout { apps: plan.apps.max(1), versions: plan.versions.max(1) };
    let entry = |kind| Entry {
        label: name(kind).to_owned(),
        kind,
        layout,
        in_use: layout.total(),
        against: vec![name(Kind::Bare).to_owned()],
    };
    let entries = ALL.into_iter().filter(|kind| wanted(plan, *kind)).map(entry).collect();
    let title = format!("Pinned requests, {} apps x {} versions, all in use", layout.apps, layout.versions);
    measure(plan, &title, &["CPU x bare"], entries, &PINNED).await
}

/// Lockstep, with bare beside it, at growing numbers of versions.
///
/// # Errors
/// If a contender cannot be measured.
pub async fn scale(plan: &Plan) -> Result<Vec<String>> {
    let kinds = [Kind::Bare, Kind::Lockstep].into_iter().filter(|kind| wanted(plan, *kind));
    let entries = kinds.flat_map(|kind| SCALES.map(|scale| scaled(kind, scale))).collect();
    measure(plan, "The cost of many versions", &["CPU x bare", "CPU x own 10"], entries, &MANY).await
}

fn scaled(kind: Kind, scale: (usize, usize, usize)) -> Entry {
    let label =
        |kind, (apps, versions, in_use)| format!("{} {}, {in_use} in use", name(kind), apps * versions);
    let (apps, versions, in_use) = scale;
    Entry {
        label: label(kind, scale),
        kind,
        layout: Layout { apps, versions },
        in_use,
        against: vec![label(Kind::Bare, scale), label(kind, REFERENCE)],
    }
}

fn wanted(plan: &Plan, kind: Kind) -> bool {
    plan.only.is_empty() || plan.only.contains(&kind)
}

async fn measure(
    plan: &Plan,
    title: &str,
    ratios: &[&str],
    entries: Vec<Entry>,
    goals: &[Goal],
) -> Result<Vec<String>> {
    report::say(&format!("\n{title}"));
    let dir = tempfile::tempdir()
        .map_err(|error| crate::Failure::new(format!("no temporary directory: {error}")))?;
    let (mut entrants, mut left_out) = (Vec::new(), Vec::new());
    for (number, entry) in entries.iter().enumerate() {
        let Some(program) = program(entry.kind, plan.lockstep.as_deref()) else {
            report::say(&format!("  {}: LEFT OUT, its program is not on this machine", entry.label));
            continue;
        };
        match enter(entry, plan, &program, &dir.path().join(number.to_string())).await {
            Ok(entrant) => entrants.push(entrant),
            Err(failure) => {
                report::say(&format!("  {}: LEFT OUT, {failure}", entry.label));
                left_out.push(entry.label.clone());
            }
        }
    }
    rounds::run(&mut entrants, plan, |round| report::progress(round + 1, plan.rounds)).await?;
    report::table(&entrants, ratios);
    goals::print(goals, &entrants);
    Ok(left_out)
}

async fn enter(entry: &Entry, plan: &Plan, program: &Path, dir: &Path) -> Result<Entrant> {
    let running = Running::start(entry.kind, program, entry.layout, plan.threads, dir).await?;
    contract::check(&running).await?;
    Ok(Entrant {
        label: entry.label.clone(),
        against: entry.against.clone(),
        running,
        pins: Rc::new(Pins::new(entry.layout, entry.in_use)),
        samples: Vec::new(),
    })
}
