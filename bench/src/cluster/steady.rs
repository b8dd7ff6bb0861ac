//! The steady state: nothing changes in the cluster.

use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lockstep_tests::kube::{Asked, Cluster};

use super::replica::Replica;
use crate::error::{Failure, Result};
use crate::report;

/// Nothing is written for so long once all is settled.
const QUIET: SignedDuration = SignedDuration::from_secs(20);
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was seen of it.
pub(super) struct Steady {
    /// How long it was watched.
    pub(super) seconds: f64,
    /// CPU time in it.
    pub(super) cpu: Duration,
    /// Requests to the API in it.
    pub(super) requests: Vec<(String, usize)>,
    /// MiB of resident memory at its end, and at most since the start.
    pub(super) memory: (f64, f64),
    /// A scrape of the metrics: how long it took, and its size in bytes.
    pub(super) scrape: (Duration, usize),
}

/// Waits until states and Events are written.
pub(super) fn settle(cluster: &Cluster) -> Result<()> {
    let (began, at) = (Instant::now(), Timestamp::now());
    loop {
        let asked = cluster.control_plane.asked();
        let leads = asked.iter().any(|one| one.what == "update leases" || one.what == "create leases");
        let last = asked.iter().filter(|one| writes(one)).map(|one| one.at).fold(at, Timestamp::max);
        if leads && Timestamp::now().duration_since(last) >= QUIET {
            let seconds = began.elapsed().as_secs_f64();
            report::say(&format!("settled after {seconds:.0} s, the last {} of them quiet", QUIET.as_secs()));
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(Failure::new("the cluster does not come to rest"));
        }
        sleep(Duration::from_secs(1));
    }
}

/// Watches a replica for a while.
pub(super) fn watch(replica: &Replica<'_>, time: Duration) -> Result<Steady> {
    let (began, at, cpu) = (Instant::now(), Timestamp::now(), replica.cpu()?);
    sleep(time);
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), replica.cpu()?.saturating_sub(cpu));
    Ok(Steady {
        seconds,
        cpu,
        requests: replica.asked(at..Timestamp::now()),
        memory: (replica.memory("VmRSS")?, replica.memory("VmHWM")?),
        scrape: replica.scrape(),
    })
}

/// Whether something is written but Leases.
fn writes(asked: &Asked) -> bool {
    let reads = ["get ", "list ", "watch "].iter().any(|verb| asked.what.starts_with(verb));
    !reads && !asked.what.ends_with(" leases")
}
