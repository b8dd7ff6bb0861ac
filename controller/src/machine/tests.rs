use std::cell::RefCell;
use std::collections::HashMap;

use jiff::{SignedDuration, ToSpan as _};

use super::command::{Command, CommandError};
use super::*;
use crate::{AppId, Canary, Cleanup, Policy, VersionSpec};
use VersionState::{Active, Draining, Expired, Expiring, Pending, Staged};

/// An app, a clock and a world that a test moves by hand.
pub(super) struct Bench {
    pub(super) spec: AppSpec,
    pub(super) record: AppRecord,
    now: Timestamp,
    ready: HashMap<String, usize>,
    traffic: RefCell<HashMap<String, Traffic>>,
    routes_record: bool,
}

impl World for Bench {
    fn ready(&self, version: &VersionId) -> usize {
        self.ready.get(version.as_str()).copied().unwrap_or(0)
    }
    fn desired(&self, version: &VersionId) -> usize {
        self.spec.version(version).map_or(0, |version| version.endpoints.len())
    }
    fn traffic(&self, version: &VersionId) -> Option<Traffic> {
        let none = Traffic { in_flight: 0, idle_for: Duration::MAX };
        Some(self.traffic.borrow().get(version.as_str()).copied().unwrap_or(none))
    }
    fn everyone_can_route(&self, _: &VersionId) -> bool {
        true
    }
    fn everyone_stopped(&self, version: &VersionId) -> bool {
        self.routes_record && self.traffic(version).is_some_and(|traffic| traffic.in_flight == 0)
    }
    fn workload_gone(&self, _: &VersionId) -> bool {
        true
    }
    fn may_expire(&self, _: &VersionId) -> bool {
        true
    }
}

pub(super) fn id(text: &str) -> VersionId {
    text.parse().unwrap()
}

impl Bench {
    pub(super) fn new(versions: &[&str]) -> Self {
        let policy = Policy { cleanup: Cleanup::None, ..Policy::default() };
        let mut bench = Self {
            spec: AppSpec {
                id: AppId::new("", "shop").unwrap(),
                versions: Vec::new(),
                active: None,
                canary: None,
                health_checked: false,
                policy,
            },
            record: AppRecord::default(),
            now: "2026-11-23T17:00:00Z".parse().unwrap(),
            ready: HashMap::new(),
            traffic: RefCell::default(),
            routes_record: true,
        };
        bench.versions(versions);
        bench
    }

    fn versions(&mut self, versions: &[&str]) {
        let version = |(revision, text): (u64, &&str)| VersionSpec {
            id: id(text),
            revision,
            endpoints: [([127, 0, 0, 1], 9001).into(), ([127, 0, 0, 1], 9002).into()].into(),
        };
        self.spec.versions = (1..).zip(versions).map(version).collect();
    }

    fn step(&mut self, act: impl FnOnce(&mut Step<'_>, &AppSpec)) -> Vec<Transition> {
        let mut record = std::mem::take(&mut self.record);
        let mut step = Step::new(&mut record, self.now, CONTROLLER);
        act(&mut step, &self.spec);
        step.advance(&self.spec, self);
        let made = step.finish();
        self.record = record;
        made
    }

    pub(super) fn reconcile(&mut self) {
        self.step(|step, spec| step.reconcile(spec));
    }

    pub(super) fn deploy(&mut self, versions: &[&str]) {
        self.versions(versions);
        self.reconcile();
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.step(|_, _| {});
    }

    pub(super) fn command(&mut self, version: &str, command: Command) -> Result<(), CommandError> {
        let mut result = Ok(());
        self.step(|step, spec| result = step.command(spec, version, command));
        result
    }

    pub(super) fn busy(&self, version: &str, in_flight: u64, idle: u64) {
        let traffic = Traffic { in_flight, idle_for: Duration::from_secs(idle) };
        self.traffic.borrow_mut().insert(version.to_owned(), traffic);
    }

    #[track_caller]
    pub(super) fn expect(&self, expected: &[(&str, VersionState)]) {
        let found: Vec<_> = self.record.versions.iter().map(|v| (v.id.as_str(), v.state)).collect();
        assert_eq!(found, expected);
        let active: Vec<_> = self.record.in_state(Active);
        assert_eq!(self.record.active.as_ref(), active.first(), "the record names the active version");
        assert!(active.len() <= 1);
    }
}

#[test]
fn first_sight_activates_the_newest_and_drains_the_rest() {
    let mut app = Bench::new(&["v1", "v2", "v3"]);
    app.spec.policy.requires_approval = true;
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Draining), ("v3", Active)]);
}

#[test]
fn an_older_version_that_is_seen_later_serves_until_the_newer_is_ready() {
    let mut app = Bench::new(&["v1"]);
    app.spec.health_checked = true;
    app.reconcile();
    app.expect(&[("v1", Pending)]);
    app.ready.insert("v0".to_owned(), 2);
    app.deploy(&["v0", "v1"]);
    app.expect(&[("v1", Pending), ("v0", Active)]);
    app.ready.insert("v1".to_owned(), 2);
    app.pass(1);
    app.expect(&[("v1", Active), ("v0", Draining)]);
}

#[test]
fn first_sight_leaves_the_canary_staged() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.spec.canary = Some(Canary { version: id("v2"), share: "10%".parse().unwrap() });
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Staged)]);
}

#[test]
fn a_new_version_supersedes_and_a_reload_undoes_nothing() {
    let mut app = Bench::new(&["v1"]);
    app.reconcile();
    app.deploy(&["v1", "v2"]);
    app.expect(&[("v1", Draining), ("v2", Active)]);
    app.command("v1", Command::Promote).unwrap();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Draining)]);
}

#[test]
fn a_version_inserted_below_the_active_one_waits() {
    let mut app = Bench::new(&["v1", "v3"]);
    app.reconcile();
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Draining), ("v3", Active), ("v2", Staged)]);
    assert_eq!(app.record.version(&id("v2")).unwrap().reason, Cause::Superseded);
}

#[test]
fn readiness_gates_activation_and_a_newer_one_overtakes() {
    let mut app = Bench::new(&["v1"]);
    app.spec.health_checked = true;
    app.reconcile();
    app.expect(&[("v1", Pending)]);
    app.ready.insert("v1".into(), 2);
    app.pass(1);
    app.expect(&[("v1", Active)]);
    app.deploy(&["v1", "v2"]);
    app.ready.insert("v2".into(), 1);
    app.pass(601);
    app.expect(&[("v1", Active), ("v2", Pending)]);
    assert!(app.record.version(&id("v2")).unwrap().stalled);
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Active), ("v2", Staged), ("v3", Pending)]);
    app.ready.insert("v3".into(), 2);
    app.pass(1);
    app.expect(&[("v1", Draining), ("v2", Staged), ("v3", Active)]);
}

#[test]
fn half_the_endpoints_are_enough_where_the_policy_says_so() {
    let mut app = Bench::new(&["v1"]);
    app.spec.health_checked = true;
    app.spec.policy.ready.share = "50%".parse().unwrap();
    app.ready.insert("v1".into(), 1);
    app.reconcile();
    app.expect(&[("v1", Active)]);
}

#[test]
fn approval_is_waited_for() {
    let mut app = Bench::new(&["v1"]);
    app.spec.policy.requires_approval = true;
    app.reconcile();
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Active), ("v2", Staged), ("v3", Staged)]);
    app.command("v2", Command::Reject).unwrap();
    app.command("v3", Command::Approve).unwrap();
    app.pass(1);
    app.expect(&[("v1", Draining), ("v2", Expired), ("v3", Active)]);
    let refused = app.command("v1", Command::Approve);
    assert!(matches!(refused, Err(CommandError::State { state: Draining, .. })));
}

#[test]
fn the_fixed_version_is_active_whatever_comes() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.spec.active = Some(id("v1"));
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Staged)]);
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Active), ("v2", Staged), ("v3", Staged)]);
    assert!(matches!(app.command("v2", Command::Promote), Err(CommandError::Fixed { .. })));
    app.spec.active = Some(id("v2"));
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active), ("v3", Staged)]);
    app.spec.active = None;
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Draining), ("v3", Active)]);
}

#[test]
fn the_fixed_version_holds_back_what_is_pending() {
    let mut app = Bench::new(&["v1"]);
    app.spec.health_checked = true;
    app.ready.insert("v1".into(), 2);
    app.reconcile();
    app.deploy(&["v1", "v2"]);
    app.expect(&[("v1", Active), ("v2", Pending)]);
    app.spec.active = Some(id("v1"));
    app.ready.insert("v2".into(), 2);
    app.reconcile();
    app.pass(3600);
    app.expect(&[("v1", Active), ("v2", Pending)]);
    assert!(!app.record.version(&id("v2")).unwrap().stalled, "it is ready");
    app.spec.active = None;
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active)]);
    // A rollback is not waited for: it drains as before.
    app.ready.insert("v1".into(), 1);
    app.command("v1", Command::Promote).unwrap();
    app.expect(&[("v1", Pending), ("v2", Active)]);
    app.spec.active = Some(id("v2"));
    app.ready.insert("v1".into(), 2);
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active)]);
    assert_eq!(app.record.version(&id("v1")).unwrap().reason, Cause::Superseded);
}

#[test]
fn draining_versions_expire_when_idle_after_their_grace() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.busy("v1", 0, 1900);
    app.pass(1799);
    app.expect(&[("v1", Draining), ("v2", Active)]);
    app.busy("v1", 1, 0);
    app.pass(2000);
    app.expect(&[("v1", Draining), ("v2", Active)]);
    app.busy("v1", 0, 1799);
    app.pass(1);
    app.expect(&[("v1", Draining), ("v2", Active)]);
    app.busy("v1", 0, 1800);
    app.pass(1);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
    app.busy("v1", 0, 1801);
    app.routes_record = false;
    app.pass(1);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
    app.routes_record = true;
    app.pass(1);
    app.expect(&[("v1", Expired), ("v2", Active)]);
}

#[test]
fn traffic_brings_an_idle_version_back_with_its_grace_spent() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.pass(1800);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
    app.busy("v1", 1, 0);
    app.pass(1);
    app.expect(&[("v1", Draining), ("v2", Active)]);
    app.busy("v1", 0, 1800);
    app.pass(1);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
}

#[test]
fn max_alive_ends_a_version_whatever_runs_on_it() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.busy("v1", 3, 0);
    app.pass(86_400);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
    app.pass(59);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
    app.pass(1);
    app.expect(&[("v1", Expired), ("v2", Active)]);
}

#[test]
fn the_oldest_beyond_max_versions_go_first() {
    let mut app = Bench::new(&["v1", "v2", "v3", "v4"]);
    app.spec.policy.max_versions = Some(1);
    app.reconcile();
    app.expect(&[("v1", Expiring), ("v2", Expiring), ("v3", Draining), ("v4", Active)]);
    app.pass(1);
    app.expect(&[("v1", Expired), ("v2", Expired), ("v3", Draining), ("v4", Active)]);
}

#[test]
fn expire_waits_for_grace_unless_told_now() {
    let mut app = Bench::new(&["v1", "v2", "v3"]);
    app.reconcile();
    app.command("v1", Command::Expire { now: false }).unwrap();
    app.command("v2", Command::Expire { now: true }).unwrap();
    app.expect(&[("v1", Draining), ("v2", Expiring), ("v3", Active)]);
    assert!(matches!(app.command("v3", Command::Expire { now: true }), Err(CommandError::State { .. })));
    app.pass(1800);
    app.expect(&[("v1", Expiring), ("v2", Expired), ("v3", Active)]);
    assert!(matches!(app.command("v9", Command::Promote), Err(CommandError::UnknownVersion { .. })));
}

#[test]
fn what_comes_back_after_its_expiry_is_staged() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.deploy(&["v2"]);
    app.pass(1);
    app.expect(&[("v1", Expired), ("v2", Active)]);
    assert!(matches!(app.command("v1", Command::Promote), Err(CommandError::Gone { .. })));
    app.deploy(&["v2", "v1"]);
    app.expect(&[("v1", Staged), ("v2", Active)]);
    assert_eq!(app.record.version(&id("v1")).unwrap().reason, Cause::Returned);
    app.command("v1", Command::Promote).unwrap();
    app.expect(&[("v1", Active), ("v2", Draining)]);
}

#[test]
fn an_app_that_was_gone_begins_anew() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.deploy(&[]);
    app.pass(1);
    app.expect(&[("v1", Expired), ("v2", Expired)]);
    app.deploy(&["v1", "v2"]);
    app.expect(&[("v1", Draining), ("v2", Active)]);
}

#[test]
fn a_removed_active_version_serves_until_its_successor_is_ready() {
    let mut app = Bench::new(&["v1"]);
    app.spec.health_checked = true;
    app.ready.insert("v1".into(), 2);
    app.reconcile();
    app.deploy(&["v2"]);
    app.expect(&[("v1", Active), ("v2", Pending)]);
    app.ready.insert("v2".into(), 2);
    app.pass(1);
    app.expect(&[("v1", Expiring), ("v2", Active)]);
}

#[test]
fn without_a_newer_one_the_newest_draining_version_takes_over() {
    let mut app = Bench::new(&["v1", "v2", "v3"]);
    app.reconcile();
    app.deploy(&["v1", "v2"]);
    app.expect(&[("v1", Draining), ("v2", Active), ("v3", Expiring)]);
    app.deploy(&[]);
    app.expect(&[("v1", Expiring), ("v2", Expiring), ("v3", Expired)]);
}

#[test]
fn tombstones_are_kept_for_thirty_days() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.deploy(&["v2"]);
    app.pass(1);
    app.pass(29 * 86_400);
    app.expect(&[("v1", Expired), ("v2", Active)]);
    app.pass(86_400);
    app.expect(&[("v2", Active)]);
}

#[test]
fn a_clock_that_is_set_back_expires_nothing() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.now = app.now.checked_sub(48.hours()).unwrap();
    app.step(|_, _| {});
    app.expect(&[("v1", Draining), ("v2", Active)]);
}

#[test]
fn history_says_what_happened_and_is_bounded() {
    let mut app = Bench::new(&["v1"]);
    app.reconcile();
    let made: Vec<_> = app.record.history.iter().map(|t| (t.from, t.to, t.reason)).collect();
    assert_eq!(
        made,
        [
            (None, Staged, Cause::New),
            (Some(Staged), Pending, Cause::New),
            (Some(Pending), Active, Cause::Ready),
        ]
    );
    app.deploy(&["v1", "v2"]);
    for _ in 0..300 {
        app.command("v1", Command::Promote).unwrap();
        app.command("v2", Command::Promote).unwrap();
    }
    assert_eq!(app.record.history.len(), 200);
}

#[test]
fn a_rollback_that_is_taken_back_leaves_its_visitors_where_they_are() {
    for (version, command) in [("v2", Command::Promote), ("v1", Command::Expire { now: false })] {
        let mut app = Bench::new(&["v1"]);
        app.spec.health_checked = true;
        app.ready.extend([("v1".into(), 2), ("v2".into(), 2)]);
        app.reconcile();
        app.deploy(&["v1", "v2"]);
        app.expect(&[("v1", Draining), ("v2", Active)]);
        app.ready.insert("v1".into(), 1);
        app.command("v1", Command::Promote).unwrap();
        app.expect(&[("v1", Pending), ("v2", Active)]);
        app.command(version, command).unwrap();
        app.expect(&[("v1", Draining), ("v2", Active)]);
    }
}

#[test]
fn a_rescue_that_does_not_succeed_has_no_visitors() {
    for end in [Command::Expire { now: false }, Command::Promote] {
        let mut app = Bench::new(&["v1", "v2"]);
        app.reconcile();
        app.command("v1", Command::Expire { now: true }).unwrap();
        app.pass(60);
        app.expect(&[("v1", Expired), ("v2", Active)]);
        app.spec.health_checked = true;
        app.command("v1", Command::Promote).unwrap();
        app.expect(&[("v1", Pending), ("v2", Active)]);
        let of = if end == Command::Promote { "v2" } else { "v1" };
        app.command(of, end).unwrap();
        app.expect(&[("v1", Expiring), ("v2", Active)]);
        // Where some of it runs already, those who have a pin of it from before are back.
        app.pass(60);
        app.command("v1", Command::Promote).unwrap();
        app.ready.insert("v1".into(), 1);
        app.pass(1);
        app.expect(&[("v1", Pending), ("v2", Active)]);
        app.command(of, end).unwrap();
        app.expect(&[("v1", Draining), ("v2", Active)]);
    }
}
