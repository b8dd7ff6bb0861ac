//! What the leader knows of all replicas: their reports, how fresh they are, and since when it has
//! been watching. Time is that of the leader's own monotonic clock, and only of changes that it saw
//! itself: what it found when it took over says nothing until it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::report::{Life, Report, Said};
use crate::{AppId, Traffic, VersionId};

/// The replicas, as the leader sees them.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// This replica: without a report of its own nothing is known.
    own: String,
    /// How long a report counts.
    fresh_for: Duration,
    /// Since when nothing could be missed: the leader took over, or a replica went with what it knew.
    watched_since: Instant,
    replicas: BTreeMap<String, Replica>,
}

#[derive(Debug, Clone)]
struct Replica {
    /// Tells one state of its Lease from another.
    revision: String,
    report: Option<Report>,
    /// When its Lease was last seen to change; `None` if it was not since the leader took over.
    changed: Option<Instant>,
    /// When it was seen first, or when its pod was last seen to exist.
    present: Instant,
}

impl Fleet {
    /// What is known at the moment of taking over: nothing.
    #[must_use]
    pub fn new(own: &str, fresh_for: Duration, now: Instant) -> Self {
        Self { own: own.to_owned(), fresh_for, watched_since: now, replicas: BTreeMap::new() }
    }

    /// Takes a replica's Lease in, as it was found (`listed`) or as it changed.
    pub fn observe(
        &mut self,
        replica: &str,
        revision: &str,
        report: Option<Report>,
        listed: bool,
        now: Instant,
    ) {
        let known = self.replicas.get(replica);
        if known.is_some_and(|known| known.revision == revision) {
            return;
        }
        let process = |report: &Option<Report>| report.as_ref().map(|report| report.process.clone());
        if known.is_some_and(|known| process(&known.report) != process(&report)) {
            self.watched_since = now;
        }
        let changed = if listed && known.is_none() { None } else { Some(now) };
        let replica_now = Replica { revision: revision.to_owned(), report, changed, present: now };
        self.replicas.insert(replica.to_owned(), replica_now);
    }

    /// The Lease of a replica is gone, and what it knew with it.
    pub fn remove(&mut self, replica: &str, now: Instant) {
        if self.replicas.remove(replica).is_some() {
            self.watched_since = now;
        }
    }

    /// Only these replicas have a Lease.
    pub fn retain(&mut self, listed: &[String], now: Instant) {
        let gone: Vec<_> = self.replicas.keys().filter(|name| !listed.contains(name)).cloned().collect();
        for replica in gone {
            self.remove(&replica, now);
        }
    }

    /// Replicas that have not been heard of for a while: whether their pods exist decides.
    #[must_use]
    pub fn silent(&self, now: Instant) -> Vec<String> {
        let silent = self.replicas.iter().filter(|(_, replica)| {
            let heard = replica.changed.map_or(replica.present, |changed| changed.max(replica.present));
            now.duration_since(heard) >= self.fresh_for
        });
        silent.map(|(name, _)| name.clone()).collect()
    }

    /// The pod of a silent replica exists: it lives, and is waited for.
    pub fn still_there(&mut self, replica: &str, now: Instant) {
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.present = now;
        }
    }

    /// The traffic of a version on all replicas; `None` if that is not known.
    #[must_use]
    pub fn traffic(&self, app: &AppId, version: &VersionId, life: Life, now: Instant) -> Option<Traffic> {
        let mut all = Traffic { in_flight: 0, idle_for: now.duration_since(self.watched_since) };
        for said in self.said(app, version, life, now)? {
            all.in_flight += said.in_flight;
            all.idle_for = all.idle_for.min(Duration::from_millis(said.idle_ms));
        }
        Some(all)
    }

    /// Whether a replica says that something runs on a version, or ended less than `time` ago.
    #[must_use]
    pub fn has_run_within(
        &self,
        app: &AppId,
        version: &VersionId,
        life: Life,
        time: Duration,
        now: Instant,
    ) -> bool {
        self.replicas.values().any(|replica| {
            let said = self.fresh(replica, now).and_then(|report| report.said(app, version, life));
            let since_told = replica.changed.map_or(Duration::ZERO, |changed| now.duration_since(changed));
            said.is_some_and(|said| {
                let idle = Duration::from_millis(said.idle_ms).saturating_add(since_told);
                said.in_flight > 0 || idle < time
            })
        })
    }

    /// Whether every replica can send requests to a version.
    #[must_use]
    pub fn everyone_can_route(&self, app: &AppId, version: &VersionId, life: Life, now: Instant) -> bool {
        let said = self.said(app, version, life, now);
        said.is_some_and(|said| said.iter().all(|said| said.routed.is_some_and(|endpoints| endpoints > 0)))
    }

    /// Whether no replica routes a version or has something in flight on it.
    #[must_use]
    pub fn everyone_stopped(&self, app: &AppId, version: &VersionId, life: Life, now: Instant) -> bool {
        let said = self.said(app, version, life, now);
        said.is_some_and(|said| said.iter().all(|said| said.routed.is_none() && said.in_flight == 0))
    }

    /// Replicas that have yet to say anything of a version in this life.
    #[must_use]
    pub fn missing(&self, app: &AppId, version: &VersionId, life: Life, now: Instant) -> Vec<&str> {
        let missing =
            |replica: &&Replica| self.fresh(replica, now).and_then(|r| r.said(app, version, life)).is_none();
        self.replicas.iter().filter(|(_, replica)| missing(replica)).map(|(name, _)| name.as_str()).collect()
    }

    /// What all replicas said; `None` if one of them did not, or this one is not among them.
    fn said(&self, app: &AppId, version: &VersionId, life: Life, now: Instant) -> Option<Vec<Said>> {
        self.replicas.get(&self.own)?;
        self.replicas.values().map(|replica| self.fresh(replica, now)?.said(app, version, life)).collect()
    }

    fn fresh<'r>(&self, replica: &'r Replica, now: Instant) -> Option<&'r Report> {
        let changed = replica.changed?;
        replica.report.as_ref().filter(|_| now.duration_since(changed) < self.fresh_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VersionState;

    struct Bench {
        fleet: Fleet,
        now: Instant,
        revision: u32,
        life: Life,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let life = Life::new(VersionState::Draining, "2026-11-23T17:00:00Z".parse().unwrap());
            Self { fleet: Fleet::new("a", Duration::from_secs(30), now), now, revision: 0, life }
        }

        fn hear(&mut self, replica: &str, routed: Option<u64>, in_flight: u64, idle: u64, listed: bool) {
            self.revision += 1;
            let mut report = Report::new("1");
            let said = Said { life: self.life, routed, in_flight, idle_ms: idle * 1000 };
            report.apps.entry(app()).or_default().insert(version(), said);
            self.fleet.observe(replica, &self.revision.to_string(), Some(report), listed, self.now);
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        /// In flight and seconds of idleness.
        fn traffic(&self) -> Option<(u64, u64)> {
            let traffic = self.fleet.traffic(&app(), &version(), self.life, self.now)?;
            Some((traffic.in_flight, traffic.idle_for.as_secs()))
        }

        fn stopped(&self) -> bool {
            self.fleet.everyone_stopped(&app(), &version(), self.life, self.now)
        }

        fn routed(&self) -> bool {
            self.fleet.everyone_can_route(&app(), &version(), self.life, self.now)
        }
    }

    fn app() -> AppId {
        "web/shop".parse().unwrap()
    }

    fn version() -> VersionId {
        "v1".parse().unwrap()
    }

    #[test]
    fn nothing_is_known_of_nobody_and_of_others_alone() {
        let mut bench = Bench::new();
        assert!(!bench.stopped() && !bench.routed() && bench.traffic().is_none());
        bench.hear("b", None, 0, 100, false);
        assert!(!bench.stopped() && bench.traffic().is_none(), "the leader itself has not reported");
        bench.hear("a", None, 0, 100, false);
        assert!(bench.stopped());
    }

    #[test]
    fn what_was_found_says_nothing_until_it_changes() {
        let mut bench = Bench::new();
        bench.hear("a", Some(1), 0, 100, true);
        assert!(!bench.routed());
        bench.hear("a", Some(1), 0, 100, false);
        assert!(bench.routed());
    }

    #[test]
    fn idleness_is_the_least_of_all_and_no_longer_than_it_was_watched() {
        let mut bench = Bench::new();
        bench.pass(50);
        bench.hear("a", Some(1), 0, 1000, false);
        bench.hear("b", Some(1), 0, 40, false);
        assert_eq!(bench.traffic(), Some((0, 40)));
        bench.hear("b", Some(1), 2, 0, false);
        assert_eq!(bench.traffic(), Some((2, 0)));
        bench.hear("b", Some(1), 0, 2000, false);
        assert_eq!(bench.traffic(), Some((0, 50)), "watched for 50 s only");
        bench.fleet.remove("b", bench.now);
        bench.pass(5);
        assert_eq!(bench.traffic(), Some((0, 5)), "what ran on b is not known");
    }

    #[test]
    fn what_was_not_watched_is_not_idle_but_no_traffic_either() {
        let mut bench = Bench::new();
        bench.pass(1);
        bench.hear("a", None, 0, 100, false);
        let ran = |bench: &Bench, seconds| {
            let time = Duration::from_secs(seconds);
            bench.fleet.has_run_within(&app(), &version(), bench.life, time, bench.now)
        };
        assert_eq!(bench.traffic(), Some((0, 1)));
        assert!(!ran(&bench, 100) && ran(&bench, 101));
        bench.pass(5);
        assert!(!ran(&bench, 105), "it was told 5 s ago");
        bench.hear("b", None, 1, 0, false);
        assert!(ran(&bench, 0), "it runs on b");
        bench.fleet.remove("b", bench.now);
        assert!(!ran(&bench, 105), "b took it with it");
    }

    #[test]
    fn silence_is_never_idle_and_never_a_yes() {
        let mut bench = Bench::new();
        bench.hear("a", None, 0, 100, false);
        bench.hear("b", None, 0, 100, false);
        assert!(bench.stopped());
        bench.pass(29);
        bench.hear("a", None, 0, 100, false);
        assert!(bench.stopped() && bench.fleet.silent(bench.now).is_empty());
        bench.pass(1);
        assert!(!bench.stopped() && bench.traffic().is_none());
        assert_eq!(bench.fleet.silent(bench.now), ["b"]);
        assert_eq!(bench.fleet.missing(&app(), &version(), bench.life, bench.now), ["b"]);
        bench.fleet.still_there("b", bench.now);
        assert!(bench.fleet.silent(bench.now).is_empty(), "its pod was asked for just now");
        assert!(!bench.stopped());
        bench.fleet.remove("b", bench.now);
        assert!(bench.stopped());
    }

    #[test]
    fn another_life_and_another_process_do_not_count() {
        let mut bench = Bench::new();
        bench.pass(100);
        bench.hear("a", None, 0, 200, false);
        assert_eq!(bench.traffic(), Some((0, 100)));
        let other = Life::new(VersionState::Expiring, "2026-11-23T17:00:00Z".parse().unwrap());
        assert!(!bench.fleet.everyone_stopped(&app(), &version(), other, bench.now));
        let mut restarted = Report::new("2");
        let said = Said { life: bench.life, routed: None, in_flight: 0, idle_ms: u64::MAX };
        restarted.apps.entry(app()).or_default().insert(version(), said);
        bench.fleet.observe("a", "x", Some(restarted), false, bench.now);
        bench.pass(1);
        assert_eq!(bench.traffic(), Some((0, 1)), "it forgot what it knew");
    }
}
