//! What replicas, workloads and those who have a say add to the state machine: each guard by itself.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::command::Command;
use super::*;
use crate::{AppId, Cleanup, Policy, VersionSpec};
use VersionState::{Active, Draining, Expired, Expiring, Pending, Staged};

/// One version, as it is in the cluster and as replicas tell of it.
#[derive(Clone, Copy)]
struct There {
    desired: usize,
    ready: usize,
    pods: usize,
    traffic: Option<Traffic>,
    can_route: bool,
    stopped: bool,
    may_expire: bool,
}

struct Bench {
    spec: AppSpec,
    record: AppRecord,
    now: Timestamp,
    there: BTreeMap<VersionId, There>,
}

const IDLE: Traffic = Traffic { in_flight: 0, idle_for: Duration::MAX };

/// Two of two are ready, nothing runs, and all replicas agree to everything.
const WELL: There = There {
    desired: 2,
    ready: 2,
    pods: 2,
    traffic: Some(IDLE),
    can_route: true,
    stopped: true,
    may_expire: true,
};

impl World for Bench {
    fn ready(&self, version: &VersionId) -> usize {
        self.there.get(version).map_or(0, |there| there.ready)
    }
    fn desired(&self, version: &VersionId) -> usize {
        self.there.get(version).map_or(0, |there| there.desired)
    }
    fn traffic(&self, version: &VersionId) -> Option<Traffic> {
        self.there.get(version).map_or(Some(IDLE), |there| there.traffic)
    }
    fn everyone_can_route(&self, version: &VersionId) -> bool {
        self.there.get(version).is_some_and(|there| there.can_route)
    }
    fn everyone_stopped(&self, version: &VersionId) -> bool {
        self.there.get(version).is_none_or(|there| there.stopped)
    }
    fn workload_gone(&self, version: &VersionId) -> bool {
        let scales = self.spec.policy.cleanup == Cleanup::Scale;
        self.there.get(version).is_none_or(|there| !scales || there.desired + there.pods == 0)
    }
    fn may_expire(&self, version: &VersionId) -> bool {
        self.there.get(version).is_none_or(|there| there.may_expire)
    }
}

fn id(text: &str) -> VersionId {
    text.parse().unwrap()
}

impl Bench {
    /// An app whose last version is active, and the others draining.
    fn new(versions: &[&str]) -> Self {
        let spec = AppSpec {
            id: AppId::new("web", "shop").unwrap(),
            versions: Vec::new(),
            active: None,
            canary: None,
            health_checked: true,
            policy: Policy::default(),
        };
        let now = "2026-11-23T17:00:00Z".parse().unwrap();
        let mut bench = Self { spec, record: AppRecord::default(), now, there: BTreeMap::new() };
        for version in versions {
            bench.there.insert(id(version), WELL);
            bench.pass(1);
        }
        bench
    }

    fn of(&mut self, version: &str) -> &mut There {
        self.there.get_mut(&id(version)).unwrap()
    }

    fn step(&mut self, command: Option<(&str, Command)>) {
        let version = |(revision, id): (u64, &VersionId)| VersionSpec {
            id: id.clone(),
            revision,
            endpoints: [].into(),
        };
        self.spec.versions = (1..).zip(self.there.keys()).map(version).collect();
        let mut record = std::mem::take(&mut self.record);
        let mut step = Step::new(&mut record, self.now, CONTROLLER);
        step.reconcile(&self.spec);
        if let Some((id, command)) = command {
            step.command(&self.spec, id, command).unwrap();
        }
        step.advance(&self.spec, self);
        self.record = record;
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.step(None);
    }

    #[track_caller]
    fn expect(&self, expected: &[(&str, VersionState)]) {
        let found: Vec<_> = self.record.versions.iter().map(|v| (v.id.as_str(), v.state)).collect();
        assert_eq!(found, expected);
        assert_eq!(self.record.active.as_ref(), self.record.in_state(Active).first());
    }

    fn remembered(&self, version: &str) -> &WorkloadRecord {
        &self.record.version(&id(version)).unwrap().workload
    }
}

#[test]
fn nothing_becomes_active_before_every_replica_can_route_it() {
    let mut app = Bench::new(&["v1"]);
    app.there.insert(id("v2"), There { can_route: false, ..WELL });
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Pending)]);
    *app.of("v2") = There { ready: 1, ..WELL };
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Pending)]);
    *app.of("v2") = WELL;
    app.pass(1);
    app.expect(&[("v1", Draining), ("v2", Active)]);
}

#[test]
fn what_keeps_a_draining_version_keeps_it_up_to_max_alive() {
    let busy = Traffic { in_flight: 1, idle_for: Duration::ZERO };
    let lately = Traffic { in_flight: 0, idle_for: Duration::from_secs(1799) };
    let cases = [
        ("unknown", There { traffic: None, ..WELL }),
        ("a stream", There { traffic: Some(busy), ..WELL }),
        ("lately used", There { traffic: Some(lately), ..WELL }),
        ("the webhook", There { may_expire: false, ..WELL }),
    ];
    for (why, there) in cases {
        let mut app = Bench::new(&["v1", "v2"]);
        *app.of("v1") = there;
        app.pass(86_000);
        assert_eq!(app.record.in_state(Draining), [id("v1")], "{why}");
        app.pass(1000);
        assert_eq!(app.record.in_state(Expiring), [id("v1")], "{why}");
        assert_eq!(app.record.version(&id("v1")).unwrap().reason, Cause::MaxAlive);
    }
}

#[test]
fn an_expiring_version_is_released_by_all_then_taken_down_then_over() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.of("v1").stopped = false;
    app.pass(1800);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
    app.pass(3600);
    assert!(!app.remembered("v1").released, "a replica has not confirmed");
    app.of("v1").stopped = true;
    app.pass(1);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
    assert!(app.remembered("v1").released);
    *app.of("v1") = There { desired: 0, ready: 0, traffic: None, stopped: false, ..WELL };
    app.pass(1);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
    assert!(app.remembered("v1").vanished && app.remembered("v1").released, "what was confirmed stays so");
    app.of("v1").pods = 0;
    app.pass(1);
    app.expect(&[("v1", Expired), ("v2", Active)]);
}

#[test]
fn only_what_must_go_is_taken_down_without_confirmation() {
    for (now, released) in [(true, true), (false, false)] {
        let mut app = Bench::new(&["v1", "v2"]);
        app.there.insert(id("v3"), There { can_route: false, ..WELL });
        app.pass(1);
        app.of("v3").stopped = false;
        app.step(Some(("v3", Command::Expire { now })));
        app.pass(59);
        assert!(!app.remembered("v3").released);
        app.pass(1);
        assert_eq!(app.remembered("v3").released, released, "now: {now}");
    }
}

#[test]
fn nothing_is_waited_for_longer_than_a_version_may_be_kept() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.of("v1").stopped = false;
    app.pass(1800);
    assert_eq!(app.record.version(&id("v1")).unwrap().reason, Cause::Idle);
    app.pass(86_400 - 1801);
    assert!(!app.remembered("v1").released);
    app.pass(1);
    assert!(app.remembered("v1").released);
}

#[test]
fn with_nothing_to_take_down_it_is_over_when_confirmed() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.spec.policy.cleanup = Cleanup::None;
    app.pass(1800);
    app.pass(1);
    app.expect(&[("v1", Expired), ("v2", Active)]);
    app.pass(3600);
    app.expect(&[("v1", Expired), ("v2", Active)]);
    app.there.remove(&id("v2"));
    app.pass(1);
    app.pass(1);
    assert_eq!(
        app.record.active, None,
        "what is over does not come back, not even when nothing else is there"
    );
}

#[test]
fn what_was_taken_down_and_runs_again_waits() {
    for brought_back_while_expiring in [true, false] {
        let mut app = Bench::new(&["v1", "v2"]);
        app.pass(1800);
        app.pass(1);
        let pods = usize::from(brought_back_while_expiring);
        *app.of("v1") = There { desired: 0, ready: 0, pods, ..WELL };
        app.pass(1);
        *app.of("v1") = WELL;
        app.pass(1);
        app.expect(&[("v1", Staged), ("v2", Active)]);
        assert_eq!(app.record.version(&id("v1")).unwrap().reason, Cause::Returned);
        app.pass(3600);
        app.expect(&[("v1", Staged), ("v2", Active)]);
    }
}

#[test]
fn a_rollback_to_an_expired_version_scales_it_back_first() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.pass(1800);
    *app.of("v1") = There { desired: 0, ready: 0, pods: 0, ..WELL };
    app.pass(1);
    app.expect(&[("v1", Expired), ("v2", Active)]);
    app.step(Some(("v1", Command::Promote)));
    app.expect(&[("v1", Pending), ("v2", Active)]);
    assert!(app.remembered("v1").restore);
    *app.of("v1") = WELL;
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Draining)]);
    assert!(!app.remembered("v1").restore);
}

#[test]
fn a_deleted_active_version_is_replaced_by_what_works() {
    let mut app = Bench::new(&["v1", "v2", "v3"]);
    app.of("v2").ready = 0;
    app.there.remove(&id("v3"));
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Draining), ("v3", Expiring)]);

    let mut app = Bench::new(&["v1", "v2"]);
    app.of("v1").ready = 0;
    app.there.remove(&id("v2"));
    app.pass(1);
    assert_eq!(app.record.active, None, "nothing can serve");
    *app.of("v1") = WELL;
    app.pass(1);
    assert_eq!(app.record.active, Some(id("v1")), "now something can");
}

#[test]
fn an_unready_successor_does_not_keep_visitors_on_a_deleted_version() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.there.remove(&id("v2"));
    app.there.insert(id("v3"), There { ready: 0, ..WELL });
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Expiring), ("v3", Pending)]);
    *app.of("v3") = WELL;
    app.pass(1);
    app.expect(&[("v1", Draining), ("v2", Expired), ("v3", Active)]);
}

#[test]
fn what_has_no_endpoint_keeps_nothing_from_serving() {
    let unready = There { ready: 0, ..WELL };
    for (newest, active) in [
        (There { desired: 0, pods: 0, ..unready }, "v1"),
        (unready, "v1"),
        // It is about to be able to serve.
        (There { ready: 1, ..WELL }, ""),
        (There { can_route: false, ..WELL }, ""),
    ] {
        let mut app = Bench::new(&[]);
        app.there = BTreeMap::from([(id("v1"), WELL), (id("v2"), newest)]);
        app.pass(1);
        assert_eq!(app.record.active.as_ref().map_or("", VersionId::as_str), active);
        assert_eq!(app.record.in_state(Pending), [id("v2")]);
        *app.of("v2") = WELL;
        app.pass(1);
        app.expect(&[("v1", Draining), ("v2", Active)]);
    }
}

#[test]
fn what_somebody_promotes_is_scaled_up_whoever_scaled_it_down() {
    let mut app = Bench::new(&["v1"]);
    app.there.insert(id("v2"), There { desired: 0, ready: 0, pods: 0, ..WELL });
    app.pass(1);
    assert!(!app.remembered("v2").restore, "a version that is at zero stays so by itself");
    app.step(Some(("v2", Command::Promote)));
    app.expect(&[("v1", Active), ("v2", Pending)]);
    assert!(app.remembered("v2").restore);
}
