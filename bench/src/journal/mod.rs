//! The journal against a bare loop that writes and syncs the same bytes in the same groups.
//!
//! For each size of a frame and number of appenders, the journal runs with so many appends in flight.
//! Then the loop writes as many bytes as the journal did, with as many syncs: first at the end of a file that grows,
//! then over zeros that are there already. The rounds alternate; a ratio is the median of those of one round.

mod bare;
mod ours;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use self::bare::Place;
use crate::cpu;
use crate::error::{Context as _, Result};
use crate::report::{self, median, sorted};

const COLUMNS: [&str; 9] = [
    "bytes/frame",
    "appenders",
    "frames/sync",
    "journal frames/s",
    "% in sync",
    "appending frames/s",
    "journal x appending",
    "over zeros frames/s",
    "journal x over zeros",
];

/// What to run.
#[derive(Clone, Debug, Args)]
pub struct JournalPlan {
    /// Times that the journal and the loop take turns in each cell.
    #[arg(long, default_value_t = 7)]
    pub rounds: usize,
    /// Bytes of a frame.
    #[arg(long, value_delimiter = ',', default_value = "1024,4096")]
    pub frame: Vec<usize>,
    /// Appends in flight.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    pub appenders: Vec<usize>,
    /// Where to keep files, on the disk that is to be measured [default: the temporary directory].
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// What the journal did in one run.
struct Run {
    frames: u64,
    bytes: u64,
    syncs: u64,
    /// How long it waited for the disk to sync.
    syncing: Duration,
    took: Duration,
}

/// A run and the time that the loop took for the same.
struct Round {
    run: Run,
    appending: Duration,
    over_zeros: Duration,
    /// Cores that other programs kept busy.
    others: f64,
}

/// Runs the plan.
///
/// # Errors
/// If the disk can't be written.
pub fn run(plan: &JournalPlan) -> Result<()> {
    let dir = plan.dir.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in);
    let dir = dir.context(|| "no temporary directory".to_owned())?;
    report::say("The journal beside a loop that writes and syncs the same bytes in the same groups");
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(COLUMNS);
    let mut others = Vec::new();
    for frame in &plan.frame {
        for appenders in &plan.appenders {
            let rounds = (0..plan.rounds).map(|_| round(dir.path(), *frame, (*appenders).max(1)));
            let rounds = rounds.collect::<Result<Vec<_>>>()?;
            others.extend(rounds.iter().map(|round| round.others));
            table.add_row(row(*frame, *appenders, &rounds));
        }
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    report::say(&table.to_string());
    report::disturbance(others.into_iter());
    Ok(())
}

fn round(dir: &Path, frame: usize, appenders: usize) -> Result<Round> {
    let own = std::process::id();
    let (began, machine, spent) = (Instant::now(), cpu::machine()?, cpu::time(own)?);
    let run = ours::run(dir, frame, appenders)?;
    let appending = bare::run(dir, Place::End, run.bytes, run.syncs)?;
    let over_zeros = bare::run(dir, Place::Zeros, run.bytes, run.syncs)?;
    let spent = cpu::time(own)?.saturating_sub(spent);
    let others = cpu::machine()?.saturating_sub(machine).saturating_sub(spent);
    let others = others.as_secs_f64() / began.elapsed().as_secs_f64();
    Ok(Round { run, appending, over_zeros, others })
}

fn row(frame: usize, appenders: usize, rounds: &[Round]) -> [String; 9] {
    let of = |figure: &dyn Fn(&Round) -> f64| median(&sorted(rounds.iter().map(figure)));
    let rate = |round: &Round, took: Duration| number(round.run.frames) / took.as_secs_f64();
    let times = |round: &Round, took: Duration| took.as_secs_f64() / round.run.took.as_secs_f64();
    [
        frame.to_string(),
        appenders.to_string(),
        format!("{:.1}", of(&|round| number(round.run.frames) / number(round.run.syncs))),
        format!("{:.0}", of(&|round| rate(round, round.run.took))),
        format!("{:.0}", of(&|round| 100.0 * times(round, round.run.syncing))),
        format!("{:.0}", of(&|round| rate(round, round.appending))),
        format!("{:.2}", of(&|round| times(round, round.appending))),
        format!("{:.0}", of(&|round| rate(round, round.over_zeros))),
        format!("{:.2}", of(&|round| times(round, round.over_zeros))),
    ]
}

fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
