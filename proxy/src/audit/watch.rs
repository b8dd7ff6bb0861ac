//! What the audit says of itself: figures for metrics and the admin API, and what is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::journal::Journal;
use lockstep_queue::ship::{Shipper, Tail};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use prometheus::{Counter, Gauge, IntCounter, IntGauge};
use serde_json::{Value, json};

use super::Audit;
use super::late::LateEnds;
use super::lines::Lines;
use crate::config::audit::model;
use crate::metrics::Maker;

/// Records that wait longer than this are a problem once their batch is full: uploads fail then.
const LATE: Duration = Duration::from_secs(60);
/// A journal that is fuller than this share of its limit is a problem.
const NEARLY_FULL: u64 = 80;

/// Watches a journal and its shipper.
#[derive(Debug)]
pub struct Watch {
    journal: Journal,
    shipper: Shipper,
    limit: u64,
    /// How long records wait before anything is wrong.
    patience: Duration,
    /// The name in records.
    node: Arc<str>,
    late: Arc<LateEnds>,
    /// Why nothing is shipped any more.
    stopped: OnceCell<String>,
}

/// Metrics of the audit, refreshed on each scrape.
#[derive(Debug)]
pub struct AuditMetrics {
    /// Held while counters are brought up to date: two at once would both add what is missing.
    refreshing: Mutex<()>,
    frames: IntCounter,
    rejected: IntCounter,
    dropped: IntCounter,
    commits: IntCounter,
    commit_seconds: Counter,
    bytes_on_disk: IntGauge,
    open: IntGauge,
    late_ends: IntGauge,
    lost_ends: IntCounter,
    oldest: Gauge,
    records: IntCounter,
    batches: IntCounter,
    bytes: IntCounter,
    retries: IntCounter,
    refusals: IntCounter,
    conflicts: IntCounter,
    in_flight: IntGauge,
}

impl Watch {
    /// Watches an audit and its shipper, both made from this configuration.
    #[must_use]
    pub fn new(audit: &Audit, shipper: Shipper, config: &model::Audit) -> Self {
        let Audit { journal, node, late, .. } = audit.clone();
        let (limit, patience) = (config.disk.max, config.batch.interval + LATE);
        Self { journal, shipper, limit, patience, node, late, stopped: OnceCell::new() }
    }

    /// The records that end from now on.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail::new(self.journal.clone(), Arc::new(Lines::new(Arc::clone(&self.node))))
    }

    /// Nothing is shipped any more, mostly because the journal can't be used any more either.
    pub fn stopped(&self, why: String) {
        // The first cause is the one to mend.
        let _known = self.stopped.set(why);
    }

    /// Everything in numbers.
    #[must_use]
    pub fn stats(&self) -> Value {
        let (journal, shipped) = (self.journal.stats(), self.shipper.stats());
        json!({
            "journal": {
                "frames": journal.frames,
                "rejected": journal.rejected,
                "dropped": journal.dropped,
                "commits": journal.commits,
                "slowest_commit_ms": journal.slowest_commit.as_secs_f64() * 1000.0,
                "bytes_on_disk": journal.bytes_on_disk,
                "capacity": journal.capacity,
                "limit": self.limit,
                "open_calls": journal.open_groups,
                "late_ends": self.late.waiting(),
                "lost_ends": self.late.lost(),
            },
            "shipped": {
                "records": shipped.records,
                "batches": shipped.batches,
                "bytes": shipped.bytes,
                "retries": shipped.retries,
                "refusals": shipped.refusals,
                "conflicts": shipped.conflicts,
                "changed": shipped.changed,
                "in_flight": shipped.in_flight,
                "oldest_unshipped_seconds": shipped.oldest_unshipped.map(|age| age.as_secs_f64()),
            },
            "problems": self.problems(),
        })
    }

    /// What is wrong at the moment.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let (journal, shipped) = (self.journal.stats(), self.shipper.stats());
        let stopped = self.stopped.get().map(|why| format!("records are not shipped any more: {why}"));
        let mut problems: Vec<String> = stopped.into_iter().collect();
        if journal.no_segment {
            problems.push("the audit journal can't grow; the log says what the disk says".to_owned());
        }
        let used = journal.bytes_on_disk.saturating_mul(100) / journal.capacity.max(1);
        if used >= NEARLY_FULL {
            problems.push(format!(
                "the audit journal has used over {NEARLY_FULL} % of what audit.disk.max lets it take"
            ));
        }
        let lost = self.late.lost();
        if lost > 0 {
            problems.push(format!(
                "{lost} calls could not be ended in the audit journal and hold on to it until the next start"
            ));
        }
        if shipped.oldest_unshipped.is_some_and(|age| age > self.patience) {
            problems.push(format!(
                "records wait for audit.sink for over {} s; the log says why uploads fail",
                self.patience.as_secs()
            ));
        }
        if shipped.conflicts > 0 {
            problems
                .push("objects found another one under their key: something else writes there".to_owned());
        }
        problems
    }

    /// Brings the metrics up to date.
    pub fn refresh(&self, metrics: &AuditMetrics) {
        let _one_at_a_time = metrics.refreshing.lock();
        let (journal, shipped) = (self.journal.stats(), self.shipper.stats());
        advance(&metrics.frames, journal.frames);
        advance(&metrics.rejected, journal.rejected);
        advance(&metrics.dropped, journal.dropped);
        advance(&metrics.commits, journal.commits);
        let commit_seconds = journal.commit_time.as_secs_f64() - metrics.commit_seconds.get();
        metrics.commit_seconds.inc_by(commit_seconds.max(0.0));
        metrics.bytes_on_disk.set(signed(journal.bytes_on_disk));
        metrics.open.set(i64::try_from(journal.open_groups).unwrap_or(i64::MAX));
        metrics.late_ends.set(i64::try_from(self.late.waiting()).unwrap_or(i64::MAX));
        advance(&metrics.lost_ends, self.late.lost());
        metrics.oldest.set(shipped.oldest_unshipped.unwrap_or_default().as_secs_f64());
        advance(&metrics.records, shipped.records);
        advance(&metrics.batches, shipped.batches);
        advance(&metrics.bytes, shipped.bytes);
        advance(&metrics.retries, shipped.retries);
        advance(&metrics.refusals, shipped.refusals);
        advance(&metrics.conflicts, shipped.conflicts);
        metrics.in_flight.set(signed(shipped.in_flight));
    }
}

impl AuditMetrics {
    pub(crate) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| make.counter(&format!("audit_{name}"), help);
        let gauge = |name: &str, help: &str| make.gauge(&format!("audit_{name}"), help);
        Ok(Self {
            refreshing: Mutex::default(),
            frames: counter("journal_frames_total", "Frames written to the audit journal.")?,
            rejected: counter(
                "journal_rejected_total",
                "Frames refused for want of room, of which a call has several.",
            )?,
            dropped: counter(
                "journal_dropped_total",
                "Frames dropped for want of room: two or more for each call without a record.",
            )?,
            commits: counter("journal_commits_total", "Syncs of the audit journal.")?,
            commit_seconds: make.sum("audit_journal_commit_seconds_total", "Time spent in syncs.")?,
            bytes_on_disk: gauge("journal_bytes", "Bytes in the audit journal.")?,
            open: gauge("open_calls", "Calls that have begun and not ended.")?,
            late_ends: gauge("late_ends", "Ends of calls that wait for room in the journal.")?,
            lost_ends: counter("lost_ends_total", "Ends of calls that could not even wait.")?,
            oldest: make.float("audit_oldest_unshipped_seconds", "Age of the oldest record not shipped.")?,
            records: counter("shipped_records_total", "Records that the sink confirmed.")?,
            batches: counter("shipped_batches_total", "Objects that the sink confirmed.")?,
            bytes: counter("shipped_bytes_total", "Bytes of those objects.")?,
            retries: counter("upload_retries_total", "Uploads that failed and are tried again soon.")?,
            refusals: counter("upload_refusals_total", "Uploads that the sink refused for good.")?,
            conflicts: counter("upload_conflicts_total", "Objects whose key was taken by another.")?,
            in_flight: gauge("uploads_in_flight", "Uploads under way.")?,
        })
    }
}

/// Takes over a count that something else keeps. Whoever reads the counter meanwhile never sees it fall.
fn advance(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use async_trait::async_trait;
    use lockstep_queue::journal::Options;
    use lockstep_queue::ship::{self, DirSink, Object, Put, PutError, Sink};

    use super::*;
    use crate::audit::Durability;
    use crate::audit::contents::{WHOLE, WholeHead, encode};
    use crate::audit::open::tests::config;
    use crate::metrics::Metrics;

    fn watch(dir: &Path) -> Watch {
        watch_with(dir, &config(), Arc::new(DirSink::new(dir.join("audit"))))
    }

    fn watch_with(dir: &Path, config: &model::Audit, sink: Arc<dyn Sink>) -> Watch {
        let (journal, recovery) = Journal::open(Options::new(dir.join("journal"))).unwrap();
        let (lines, options) = (Arc::new(Lines::new("n".into())), ship::Options::new("n").unwrap());
        let shipper = Shipper::new(journal.clone(), &recovery, lines, sink, None, &options).unwrap();
        Watch::new(&Audit::on(journal, config, Durability::Strict), shipper, config)
    }

    /// A sink that never answers.
    struct Stuck;

    #[async_trait]
    impl Sink for Stuck {
        async fn put(&self, _: &Object) -> Result<Put, PutError> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn records_are_late_only_when_their_batch_should_be_shipped() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config();
        config.batch.interval = Duration::from_secs(600);
        for (minutes, is_late) in [(5, false), (12, true)] {
            let watch = watch_with(&dir.path().join(minutes.to_string()), &config, Arc::new(Stuck));
            let at = jiff::Timestamp::now() - Duration::from_secs(minutes * 60);
            let record = encode(&WholeHead { at }, &["{}".into()]).unwrap();
            watch.journal.append(WHOLE, 0, record).await.unwrap();
            let read = async {
                while watch.shipper.stats().oldest_unshipped.is_none() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! {
                () = read => {}
                ended = watch.shipper.run(std::future::pending()) => panic!("{ended:?}"),
            }
            assert_eq!(watch.problems().len(), usize::from(is_late), "{:?}", watch.problems());
            watch.journal.shutdown().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_shipper_that_stopped_is_a_problem_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let watch = watch(dir.path());
        assert_eq!(watch.problems(), Vec::<String>::new());
        watch.stopped("it broke".to_owned());
        let problems = watch.problems();
        assert!(problems.len() == 1 && problems[0].contains("not shipped any more"), "{problems:?}");
        watch.journal.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn counters_never_fall_however_many_scrape() {
        let dir = tempfile::tempdir().unwrap();
        let watch = watch(dir.path());
        watch.journal.append(WHOLE, 0, "x").await.unwrap();
        watch.journal.shutdown().await.unwrap();
        let metrics = Metrics::new().unwrap();
        watch.refresh(&metrics.audit);
        let commits = metrics.audit.commits.get();
        let seconds = metrics.audit.commit_seconds.get();
        assert!(commits > 0 && seconds > 0.0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        watch.refresh(&metrics.audit);
                        assert_eq!(metrics.audit.frames.get(), 1);
                        assert_eq!(metrics.audit.commits.get(), commits);
                        assert!((metrics.audit.commit_seconds.get() - seconds).abs() < 1e-9);
                    }
                });
            }
        });
        // As one saw it that was asked before.
        advance(&metrics.audit.frames, 0);
        assert_eq!(metrics.audit.frames.get(), 1);
    }
}
