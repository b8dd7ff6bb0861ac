//! A journal whose process is killed 200 times, at any moment, and what is there afterwards.
//!
//! The parent runs this binary again as a child that appends and acknowledges, and tells what was
//! answered through a pipe until it is killed. Each time a copy of the directory is opened and compared
//! with all that was ever told. The next child opens the directory itself as the kill left it.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod child;
mod model;
mod report;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use lockstep_queue::journal::Options;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use model::Model;
use report::Report;

const ROUNDS: u64 = 200;
const DIR: &str = "JOURNAL_CRASH_DIR";
const ROUND: &str = "JOURNAL_CRASH_ROUND";

/// Small segments, so that they come and go all the time.
fn options(dir: &Path) -> Options {
    Options::new(dir)
        .segment_bytes(64 * 1024)
        .max_bytes(256 * 1024 * 1024)
        .sync_within(Duration::from_millis(2))
        .idle_after(Duration::from_millis(5))
}

/// When a child is killed.
enum Until {
    /// Once it has told so much.
    Told(usize),
    /// So long after its start: perhaps before it has opened the journal.
    Elapsed(Duration),
}

fn run_and_kill(dir: &Path, round: u64, until: &Until) -> Vec<Report> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--ignored"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = BufReader::new(child.stderr.take().unwrap());
    let (lines, told) = mpsc::channel();
    let listening = thread::spawn(move || {
        for line in pipe.lines() {
            lines.send(line.unwrap()).unwrap();
        }
    });
    let mut reports = Vec::new();
    match until {
        Until::Told(count) => reports.extend(told.iter().take(*count)),
        Until::Elapsed(time) => {
            let end = Instant::now() + *time;
            let left = || end.saturating_duration_since(Instant::now());
            reports.extend(std::iter::from_fn(|| told.recv_timeout(left()).ok()));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reports.extend(told);
    listening.join().unwrap();
    reports.iter().map(|line| line.parse().unwrap_or_else(|()| panic!("the child said: {line}"))).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn what_was_acknowledged_is_there_exactly_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let mut rng = StdRng::seed_from_u64(4);
    let mut model = Model::default();
    for round in 0..ROUNDS {
        let until = match rng.random_range(0..8) {
            0 => Until::Elapsed(Duration::from_millis(rng.random_range(0..30))),
            _ => Until::Told(rng.random_range(1..100)),
        };
        for report in run_and_kill(&journal, round, &until) {
            model.told(report);
        }
        let copied = dir.path().join("copy");
        if journal.exists() {
            copy(&journal, &copied);
            model.check(&copied, round);
            std::fs::remove_dir_all(&copied).unwrap();
        }
    }
    model.check(&journal, ROUNDS);
    assert!(model.frames() > 2_000 && model.acknowledgements() > 100, "too little to mean anything: {model}");
}

#[test]
#[ignore = "runs in a child of the other test"]
fn the_process_that_is_killed() {
    let dir = std::env::var_os(DIR).unwrap();
    child::run(Path::new(&dir), std::env::var(ROUND).unwrap().parse().unwrap());
}
