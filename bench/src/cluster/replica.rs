//! The replica: started as its StatefulSet would, measured from outside.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lockstep_tests::kube::{Asked, Cluster, SYSTEM, shipped};
use lockstep_tests::process::Signal;
use lockstep_tests::{Config, Lockstep, Request};
use tempfile::TempDir;

use crate::error::{Context as _, Failure, Result};
use crate::layout::{Layout, VERSION_HEADER, host, version};

/// Where the shipped configuration keeps its data.
const DATA: &str = "/var/lib/lockstep";
/// How long a start may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks: one at the metrics costs the replica some milliseconds.
const LOOK: Duration = Duration::from_millis(250);

/// A running replica.
pub(super) struct Replica<'c> {
    cluster: &'c Cluster,
    layout: Layout,
    instance: Lockstep,
    began: Instant,
    at: Timestamp,
}

/// What a start was like.
pub(super) struct Start {
    /// Which one it was.
    pub(super) what: &'static str,
    /// Until it said that it is ready.
    pub(super) ready: Duration,
    /// Until all versions were in the routing table.
    pub(super) complete: Duration,
    /// Seconds that all compiles of the table until then took together, and their number.
    pub(super) compiles: (f64, f64),
    /// MiB of resident memory at the end, and at most.
    pub(super) memory: (f64, f64),
    /// CPU time until then.
    pub(super) cpu: Duration,
    /// Requests to the API until then.
    pub(super) requests: Vec<(String, usize)>,
}

impl<'c> Replica<'c> {
    /// Starts it in a directory that may hold what an earlier one left.
    pub(super) fn start(cluster: &'c Cluster, layout: Layout, dir: TempDir) -> Result<Self> {
        let file = PathBuf::from(shipped("manage/lockstep.yaml"));
        let text = fs::read_to_string(&file).context(|| format!("cannot read {}", file.display()))?;
        let text = text.replace(DATA, &dir.path().join("data").to_string_lossy());
        let kubeconfig = cluster.kubeconfig_of(SYSTEM, "lockstep");
        let (began, at) = (Instant::now(), Timestamp::now());
        // As in the shipped file: a listener and an admin listener.
        let instance = cluster.replica_with(&text, &Config::new(), &kubeconfig, dir);
        Ok(Self { cluster, layout, instance, began, at })
    }

    /// Waits until it routes everything and makes sure of it; says what the start was like.
    pub(super) fn started(&self, what: &'static str) -> Result<Start> {
        self.until(Duration::from_millis(20), "is not ready", || self.instance.readiness() == 200)?;
        let ready = self.began.elapsed();
        let (total, apps) = (self.layout.total() as f64, self.layout.apps as f64);
        self.until(LOOK, "does not route everything", || {
            let metrics = self.instance.metrics();
            let count = |labels| metrics.sum("lockstep_versions", labels);
            count(&[("state", "active")]) >= apps && count(&[]) >= total
        })?;
        let complete = self.began.elapsed();
        let requests = self.asked(self.at..Timestamp::now());
        let (metrics, cpu) = (self.instance.metrics(), self.cpu()?);
        let compile = |part: &str| metrics.sum(&format!("lockstep_table_compile_seconds_{part}"), &[]);
        let start = Start {
            what,
            ready,
            complete,
            compiles: (compile("sum"), compile("count")),
            memory: (self.memory("VmRSS")?, self.memory("VmHWM")?),
            cpu,
            requests,
        };
        self.check()?;
        Ok(start)
    }

    /// CPU time so far.
    pub(super) fn cpu(&self) -> Result<Duration> {
        crate::cpu::time(self.instance.process.pid())
    }

    /// MiB of a line of its `/proc` status.
    pub(super) fn memory(&self, line: &str) -> Result<f64> {
        let path = format!("/proc/{}/status", self.instance.process.pid());
        let status = fs::read_to_string(&path).context(|| format!("cannot read {path}"))?;
        let value = status
            .lines()
            .find_map(|one| one.strip_prefix(line)?.strip_prefix(':')?.split_whitespace().next());
        let kib: Option<f64> = value.and_then(|value| value.parse().ok());
        kib.map(|kib| kib / 1024.0).ok_or_else(|| Failure::new(format!("{path} has no {line}")))
    }

    /// A scrape of its metrics, timed, and its size in bytes.
    pub(super) fn scrape(&self) -> (Duration, usize) {
        let began = Instant::now();
        let size = Request::get("/metrics").send(self.instance.admin).body.len();
        (began.elapsed(), size)
    }

    /// What it asked of the API in a time.
    pub(super) fn asked(&self, time: Range<Timestamp>) -> Vec<(String, usize)> {
        Asked::count(&self.cluster.control_plane.asked(), &time)
    }

    /// Ends it as its orchestrator would, but for the lame duck; returns its directory.
    pub(super) fn end(self) -> Result<TempDir> {
        let Lockstep { mut process, dir, .. } = self.instance;
        process.signal(Signal::Int);
        let status = process.wait(PATIENCE);
        if status.success() { Ok(dir) } else { Err(Failure::new(format!("the replica ended with {status}"))) }
    }

    fn until(&self, pause: Duration, otherwise: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        while !holds() {
            if self.began.elapsed() > PATIENCE {
                let metrics = self.instance.metrics();
                let routed = metrics.sum("lockstep_versions", &[]);
                return Err(Failure::new(format!("the replica {otherwise}: {routed} versions are routed")));
            }
            sleep(pause);
        }
        Ok(())
    }

    /// Every app answers with its newest version, and with another one to a visitor who is pinned to that.
    fn check(&self) -> Result<()> {
        let active = self.layout.active();
        for app in self.layout.apps() {
            let pin = version(app % self.layout.versions);
            let request = Request::get("/").host(&host(app));
            self.answers(&request, &active)?;
            self.answers(&request.pinned(&pin), &pin)?;
        }
        Ok(())
    }

    fn answers(&self, request: &Request, expected: &str) -> Result<()> {
        let answer = self.instance.send(request);
        let by = answer.header(VERSION_HEADER);
        if answer.status() == 200 && by == Some(expected) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{expected} should answer {request:?}, not {by:?} with {}",
            answer.status()
        )))
    }
}
