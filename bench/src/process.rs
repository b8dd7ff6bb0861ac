//! Child processes: started with their output in a file, ended with all their descendants.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::cpu;
use crate::error::{Context as _, Failure, Result};

/// How long a process may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(3);
/// How soon it is asked again whether it listens.
const AGAIN: Duration = Duration::from_millis(50);
/// Open files of a proxy with 10 000 streams, on both of its sides, and some.
const FILES: u64 = 65_536;

/// A running child; dropping it ends it and its descendants.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command. Its output goes to `name.log` in `dir`.
    pub fn start(mut command: Command, name: &str, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).context(|| format!("cannot create {}", log.display()))?;
        let copy = file.try_clone().context(|| "cannot duplicate a file".to_owned())?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
        let child = child.context(|| format!("cannot start {name}"))?;
        Ok(Self { child, log })
    }

    /// Starts a command that first prints `lines` lines, and returns them.
    pub fn start_talking(mut command: Command, name: &str, lines: usize) -> Result<(Self, Vec<String>)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context(|| format!("cannot start {name}"))?;
        let output = child.stdout.take();
        let process = Self { child, log: PathBuf::new() };
        let output = output.ok_or_else(|| Failure::new(format!("{name} has no output")))?;
        let said: std::io::Result<Vec<_>> = BufReader::new(output).lines().take(lines).collect();
        Ok((process, said.context(|| format!("cannot read what {name} says"))?))
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// If it ends instead, or does not listen in time.
    pub async fn listens(&mut self, address: SocketAddr, within: Duration) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < within && self.is_alive() {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            sleep(AGAIN).await;
        }
        Err(Failure::new(format!("does not listen: {}", self.last_words())))
    }

    /// The end of what it printed.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(5);
        lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let family = cpu::pids(self.id()).unwrap_or_default();
        signal(self.id(), Signal::TERM);
        let asked = Instant::now();
        while self.is_alive() && asked.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        if self.is_alive() {
            family.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        }
        let _ended = self.child.wait();
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _gone = kill_process(pid, signal);
    }
}

/// A port that is free now, for programs that cannot say which one the system gave them.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.context(|| "no free port".to_owned())
}

/// Raises the limit of open files as far as needed, or as far as allowed; children inherit it.
pub fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let enough = maximum.is_none_or(|maximum| maximum >= FILES);
    let wanted = if enough { maximum } else { Some(FILES) };
    // Without it a run with many versions or streams reports its own failures.
    if setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: wanted }).is_err() {
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
