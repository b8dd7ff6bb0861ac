//! What Lockstep spends on shipping records: the CPU time of its control threads, which do nothing else
//! under load. It comes later than the calls that left the records, so it is counted until all is shipped.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::contender::Running;
use crate::cpu;
use crate::error::Result;

/// The name of the control threads.
const THREADS: &str = "control";
/// When they did (almost) nothing for so long, longer than batches stay open, all is shipped.
const STILL: Duration = Duration::from_millis(1_300);
const ALMOST_NOTHING: Duration = Duration::from_millis(8);
/// How long is waited for that.
const PATIENCE: Duration = Duration::from_secs(90);

/// The CPU time of control threads so far.
pub struct Shipping(HashMap<u32, Duration>);

impl Shipping {
    /// As it is now; nothing for a contender that keeps no records.
    pub fn now(running: &Running) -> Result<Self> {
        let id = running.id().filter(|_| running.contender.records());
        id.map_or(Ok(HashMap::new()), |id| cpu::threads(id, THREADS)).map(Self)
    }

    /// What came since an earlier moment. Threads that have ended meanwhile had long been idle.
    pub fn since(&self, earlier: &Self) -> Duration {
        let grown = |(thread, time): (&u32, &Duration)| {
            time.saturating_sub(earlier.0.get(thread).copied().unwrap_or_default())
        };
        self.0.iter().map(grown).sum()
    }
}

/// Waits until all records are shipped. Returns the time spent since an earlier moment.
pub async fn shipped(running: &Running, earlier: &Shipping) -> Result<Duration> {
    let begun = Instant::now();
    let mut last = Shipping::now(running)?;
    while running.contender.records() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(STILL).await;
        let now = Shipping::now(running)?;
        let idle = now.since(&last) < ALMOST_NOTHING;
        last = now;
        if idle {
            break;
        }
    }
    Ok(last.since(earlier))
}
