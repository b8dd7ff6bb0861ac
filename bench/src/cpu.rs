//! CPU time of the machine, and of a process with its threads and descendants, read from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::error::{Context as _, Failure, Result};

/// What `/proc/PID/stat` says.
struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

/// User and system time of a process and its descendants so far, their threads included, to the
/// nanosecond.
pub fn time(root: u32) -> Result<Duration> {
    Ok(family(root)?.iter().map(spent).sum())
}

/// By the process's own clock. Where it has ended just now, what `/proc` said last, which shows hundredths
/// of a second.
fn spent(stat: &Stat) -> Duration {
    let pid = i32::try_from(stat.pid).map(Pid::from_raw).ok();
    let time = pid.and_then(|pid| clock_gettime(clock_getcpuclockid(pid).ok()?).ok());
    time.map_or_else(|| duration(stat.ticks), Duration::from)
}

/// The time that all cores together were busy so far, for the host's other guests too.
pub fn machine() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context(|| "cannot read /proc/stat".to_owned())?;
    let fields = text.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
    // user nice system idle iowait irq softirq steal
    let ticks = fields.take(8).enumerate().filter(|(index, _)| ![3, 4].contains(index));
    Ok(duration(ticks.filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum()))
}

fn duration(ticks: u64) -> Duration {
    Duration::from_nanos(ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)))
}

/// The time of each thread of a process that has this name, by its number.
pub fn threads(pid: u32, name: &str) -> Result<HashMap<u32, Duration>> {
    let tasks = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&tasks).context(|| format!("process {pid} has ended"))?;
    let time = |thread: u32| {
        let is_it = fs::read_to_string(format!("{tasks}/{thread}/comm")).ok()?.trim_end() == name;
        let text = fs::read_to_string(format!("{tasks}/{thread}/schedstat")).ok().filter(|_| is_it)?;
        let nanos = text.split_ascii_whitespace().next()?.parse().ok()?;
        Some((thread, Duration::from_nanos(nanos)))
    };
    let threads = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(threads.filter_map(time).collect())
}

/// A process and its descendants.
pub fn pids(root: u32) -> Result<Vec<u32>> {
    Ok(family(root)?.iter().map(|stat| stat.pid).collect())
}

fn family(root: u32) -> Result<Vec<Stat>> {
    let mut rest = all()?;
    let mut family: Vec<Stat> = rest.extract_if(.., |stat| stat.pid == root).collect();
    if family.is_empty() {
        return Err(Failure::new(format!("process {root} has ended")));
    }
    loop {
        let pids: Vec<u32> = family.iter().map(|stat| stat.pid).collect();
        let before = family.len();
        family.extend(rest.extract_if(.., |stat| pids.contains(&stat.parent)));
        if family.len() == before {
            return Ok(family);
        }
    }
}

fn all() -> Result<Vec<Stat>> {
    let entries = fs::read_dir("/proc").context(|| "cannot list processes".to_owned())?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process may end between the listing and the reading.
    Ok(pids.filter_map(read).collect())
}

fn read(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat { pid, parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}
