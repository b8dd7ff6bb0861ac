//! A process with a journal and a shipper is killed again and again: everything that it said is on disk
//! is in the objects exactly once.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that can't go on fails")]

#[cfg(test)]
#[path = "support/plain.rs"]
mod plain;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::journal::{self, Journal, Kind};
use lockstep_queue::ship::{DirSink, Options, Shipper};

use plain::{Plain, texts};

const KILLS: u32 = 50;
/// Where the child works; nothing if the test runs by itself.
const DIR: &str = "SHIP_CRASH_DIR";
/// What the child's records begin with; nothing if it shall only ship what is left.
const ROUND: &str = "SHIP_CRASH_ROUND";

#[test]
fn whatever_is_acknowledged_is_shipped_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let mut child = start(dir.path(), Some(round));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let texts =
            lines.map_while(Result::ok).filter_map(|line| Some(line.strip_prefix("ack ")?.to_owned()));
        // Killed after a random number of records and a little while.
        let most = rand::random_range(0..400);
        let mut texts = texts.peekable();
        texts.peek();
        acknowledged.extend(texts.by_ref().take(most));
        std::thread::sleep(Duration::from_micros(rand::random_range(0..50_000)));
        child.kill().unwrap();
        acknowledged.extend(texts);
        child.wait().unwrap();
    }
    assert!(start(dir.path(), None).wait().unwrap().success());

    let sink = DirSink::new(dir.path().join("out"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let shipped = runtime.block_on(texts(&sink, None));
    // A group that a kill cut short was ended by the next process.
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    shipped.iter().for_each(|text| *times.entry(text.split('+').next().unwrap()).or_default() += 1);
    assert_eq!(times.values().filter(|times| **times != 1).count(), 0, "none twice");
    let whole: BTreeSet<String> = acknowledged.iter().map(|text| format!("{text}+part+end")).collect();
    let shipped: BTreeSet<String> = shipped.into_iter().collect();
    assert!(whole.len() > 1000, "only {} were acknowledged", whole.len());
    assert_eq!(whole.difference(&shipped).next(), None, "none missing");
    println!("{} acknowledged, {} shipped", whole.len(), shipped.len());
}

fn start(dir: &Path, round: Option<u32>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture"]).env(DIR, dir).stdout(Stdio::piped());
    if let Some(round) = round {
        command.env(ROUND, round.to_string());
    }
    command.spawn().unwrap()
}

/// The process that is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let round = std::env::var(ROUND).ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work(Path::new(&dir), round.as_deref()));
}

async fn work(dir: &Path, round: Option<&str>) {
    let options = journal::Options::new(dir.join("journal")).segment_bytes(16 * 1024);
    let (journal, recovery) = Journal::open(options.idle_after(Duration::from_millis(5))).unwrap();
    assert!(recovery.gaps.is_empty(), "{recovery:?}");
    let sink = Arc::new(DirSink::new(dir.join("out")));
    // Other limits in each process: what is sealed stays as it is.
    let options =
        Options::new("node").unwrap().records(rand::random_range(1..20)).age(Duration::from_millis(3));
    let shipper = Shipper::new(journal.clone(), &recovery, Arc::new(Plain), sink, None, &options).unwrap();
    for group in &recovery.open_groups {
        journal.append(Kind::end::<0>(), group.group, "interrupted").await.unwrap();
    }
    let work = async {
        match round {
            Some(round) => append(&journal, round).await,
            None => shipper.flush(Duration::from_secs(60)).await.unwrap(),
        }
    };
    tokio::select! {
        result = shipper.run(std::future::pending()) => panic!("{result:?}"),
        () = work => {}
    }
}

/// Appends groups, three of which are open at any time, and tells which have ended.
async fn append(journal: &Journal, round: &str) {
    let (begin, part, end) = (Kind::begin::<0>(), Kind::part::<0>(), Kind::end::<0>());
    for number in 0u64.. {
        journal.append(begin, number, format!("{round}-{number}")).await.unwrap();
        let _unwatched = journal.append_unsynced(part, number, "part");
        if let Some(number) = number.checked_sub(3) {
            journal.append(end, number, "end").await.unwrap();
            println!("ack {round}-{number}");
        }
    }
}
