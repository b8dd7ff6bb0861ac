//! The journal against a bare loop that writes and syncs the same bytes in the same groups.
//!
//! For each number of appenders and size of a frame, the journal runs with so many appends in flight.
//! Then the loop writes as many bytes as the journal did, with as many syncs, at the beginning of a file
//! of zeros that is there already. The rounds alternate; the ratio is that of the medians.
//!
//! `cargo run --release -p lockstep-queue --example journal_throughput [rounds]`
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use lockstep_queue::journal::{Journal, Kind, Options};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const SINGLE: Kind = Kind::single::<0>();
/// About this much is written in each run.
const BYTES: usize = 48 * 1024 * 1024;
/// At most so many frames, or one at a time would take long.
const FRAMES: usize = 16_000;
const HEADER: usize = 32;

/// One run.
struct Run {
    frames: usize,
    bytes: u64,
    syncs: u64,
    seconds: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(5), |rounds| rounds.parse())?;
    let dir = tempfile::tempdir_in(".")?;
    println!("appenders  frame  frames/sync    journal/s       bare/s  ratio");
    for size in [1024, 4096] {
        for appenders in [1, 16, 64, 256] {
            let mut runs = Vec::new();
            for _ in 0..rounds {
                let run = journal(dir.path(), appenders, size)?;
                let bare = bare(dir.path(), &run)?;
                runs.push((run, bare));
            }
            print(appenders, size, &runs);
        }
    }
    Ok(())
}

fn print(appenders: usize, size: usize, runs: &[(Run, f64)]) {
    let median = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or_default()
    };
    let number = |number: usize| u32::try_from(number).map_or(f64::INFINITY, f64::from);
    let frames: usize = runs.iter().map(|(run, _)| run.frames).sum();
    let syncs: u64 = runs.iter().map(|(run, _)| run.syncs).sum();
    let per_sync = number(frames) / number(usize::try_from(syncs).unwrap_or(usize::MAX));
    let journal = median(runs.iter().map(|(run, _)| number(run.frames) / run.seconds).collect());
    let bare = median(runs.iter().map(|(run, seconds)| number(run.frames) / seconds).collect());
    println!("{appenders:9}  {size:5}  {per_sync:11.1}  {journal:11.0}  {bare:11.0}  {:5.2}", journal / bare);
}

fn journal(dir: &Path, appenders: usize, size: usize) -> Result<Run, Box<dyn Error>> {
    let path = dir.join("journal");
    let (journal, _) = Journal::open(Options::new(&path))?;
    // The first segment begins with its note, which is not to be measured.
    let runtime = Runtime::new()?;
    runtime.block_on(journal.append(SINGLE, 0, ""))?;
    let before = journal.stats();
    let each = FRAMES.min(BYTES / size).min(2000 * appenders) / appenders;
    let body = Bytes::from(vec![b'x'; size - HEADER]);
    let start = Instant::now();
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..appenders {
            let (journal, body) = (journal.clone(), body.clone());
            tasks.spawn(async move {
                for _ in 0..each {
                    journal.append(SINGLE, 0, body.clone()).await?;
                }
                Ok::<_, lockstep_queue::journal::JournalError>(())
            });
        }
        tasks.join_all().await.into_iter().collect::<Result<(), _>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let after = journal.stats();
    runtime.block_on(journal.shutdown())?;
    std::fs::remove_dir_all(&path)?;
    Ok(Run {
        frames: each * appenders,
        bytes: after.bytes - before.bytes,
        syncs: after.commits - before.commits,
        seconds,
    })
}

/// Seconds that the bare loop takes.
fn bare(dir: &Path, run: &Run) -> Result<f64, Box<dyn Error>> {
    let path = dir.join("bare");
    let group = usize::try_from(run.bytes / run.syncs)?;
    std::fs::write(&path, vec![0; usize::try_from(run.bytes)?])?;
    let file = File::options().write(true).open(&path)?;
    file.sync_all()?;
    let bytes = vec![b'x'; group];
    let start = Instant::now();
    for number in 0..run.syncs {
        file.write_all_at(&bytes, number * u64::try_from(group)?)?;
        file.sync_data()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(seconds)
}
