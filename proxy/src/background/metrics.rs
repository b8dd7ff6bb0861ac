//! What background jobs report, as metrics.

use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::jobs::{Counts, Ending, Observe, QueueName};
use prometheus::{CounterVec, IntCounterVec, IntGaugeVec};

use crate::metrics::Maker;

/// Metrics of the job queues.
#[derive(Debug)]
pub struct JobMetrics {
    enqueued: IntCounterVec,
    ended: IntCounterVec,
    seconds: CounterVec,
    stalled: IntCounterVec,
    failures: IntCounterVec,
    /// Jobs by queue and state, refreshed on each scrape.
    jobs: IntGaugeVec,
}

impl JobMetrics {
    pub(crate) fn new(make: &Maker<'_>) -> prometheus::Result<Arc<Self>> {
        let queue = ["queue"];
        Ok(Arc::new(Self {
            enqueued: make.counters("jobs_enqueued_total", "Jobs that were accepted.", &queue)?,
            ended: make.counters(
                "jobs_ended_total",
                "Deliveries that ended, by how.",
                &["queue", "result"],
            )?,
            seconds: make.sums("jobs_seconds_total", "Seconds that handlers ran.", &queue)?,
            stalled: make.counters(
                "jobs_stalled_total",
                "Jobs taken back from workers that were gone.",
                &queue,
            )?,
            failures: make.counters(
                "jobs_storage_failures_total",
                "Calls to the storage that failed.",
                &queue,
            )?,
            jobs: make.gauges("jobs", "Jobs by state.", &["queue", "state"])?,
        }))
    }

    /// Notes how many jobs are where.
    pub(crate) fn count(&self, queue: &str, counts: Counts) {
        let Counts { waiting, delayed, active, completed, dead } = counts;
        let states = [
            ("waiting", waiting),
            ("delayed", delayed),
            ("active", active),
            ("completed", completed),
            ("dead", dead),
        ];
        for (state, jobs) in states {
            let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
            self.jobs.with_label_values(&[queue, state]).set(jobs);
        }
    }
}

impl Observe for JobMetrics {
    fn enqueued(&self, queue: &QueueName, jobs: usize) {
        self.enqueued.with_label_values(&[queue.as_str()]).inc_by(wide(jobs));
    }

    fn ended(&self, queue: &QueueName, how: Ending, ran: Duration) {
        self.ended.with_label_values(&[queue.as_str(), how.as_str()]).inc();
        self.seconds.with_label_values(&[queue.as_str()]).inc_by(ran.as_secs_f64());
    }

    fn stalled(&self, queue: &QueueName, jobs: usize) {
        self.stalled.with_label_values(&[queue.as_str()]).inc_by(wide(jobs));
    }

    fn stalled_dead(&self, queue: &QueueName, jobs: usize) {
        self.stalled(queue, jobs);
    }

    fn storage_failed(&self, queue: &QueueName) {
        self.failures.with_label_values(&[queue.as_str()]).inc();
    }
}

fn wide(jobs: usize) -> u64 {
    u64::try_from(jobs).unwrap_or(u64::MAX)
}
