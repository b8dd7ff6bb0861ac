//! Random lives of an app in a cluster, against what must hold whatever happens. The cluster is a
//! model: Deployments, replicas that lag, pause, vanish and report, a leader that changes, and a
//! wall clock that jumps.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::command::Command;
use super::*;
use crate::{AppId, Canary, Policy, VersionSpec};
use VersionState::{Active, Draining, Expired, Expiring, Pending};

const VERSIONS: [&str; 5] = ["v1", "v2", "v3", "v4", "v5"];
const MAX_ALIVE: u64 = 20_000;

/// A small generator whose runs can be repeated (xorshift64*).
struct Random(u64);

#[derive(Clone, Copy)]
struct Deployment {
    revision: u64,
    desired: usize,
    ready: usize,
}

/// A state of a version, told from an earlier one of the same kind by its time.
type Life = (VersionState, Timestamp);

/// What a replica says of a version: the state that it knows it in, its endpoints if it routes it.
#[derive(Clone, Copy)]
struct Said {
    life: Life,
    routed: Option<usize>,
    traffic: Traffic,
}

/// What a replica knows, does and has last said.
#[derive(Clone, Default)]
struct Replica {
    /// The versions of the record as it last read it.
    known: BTreeMap<VersionId, Life>,
    in_flight: BTreeMap<VersionId, u64>,
    active_at: BTreeMap<VersionId, u64>,
    /// What it said last, and when.
    report: Option<(u64, BTreeMap<VersionId, Said>)>,
}

struct Model {
    random: Random,
    /// True time, in seconds; what people see is `wall`.
    time: u64,
    wall: Timestamp,
    leads_since: u64,
    deployments: BTreeMap<VersionId, Deployment>,
    replicas: Vec<Replica>,
    record: AppRecord,
    spec: AppSpec,
    /// Effective acts since a version was last marked as expiring.
    acts: BTreeMap<VersionId, u32>,
}

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

impl Replica {
    fn routes(&self, version: &VersionId) -> bool {
        self.known.get(version).is_some_and(|(state, _)| matches!(state, Active | Draining | Pending))
    }
}

impl World for Model {
    fn ready(&self, version: &VersionId) -> usize {
        self.deployments.get(version).map_or(0, |deployment| deployment.ready)
    }
    fn desired(&self, version: &VersionId) -> usize {
        self.deployments.get(version).map_or(0, |deployment| deployment.desired)
    }
    fn traffic(&self, version: &VersionId) -> Option<Traffic> {
        let window = Duration::from_secs(self.time - self.leads_since);
        let mut all = Traffic { in_flight: 0, idle_for: window };
        for replica in &self.replicas {
            let said = self.said(replica, version)?;
            all.in_flight += said.traffic.in_flight;
            all.idle_for = all.idle_for.min(said.traffic.idle_for);
        }
        Some(all)
    }
    fn everyone_can_route(&self, version: &VersionId) -> bool {
        self.everyone(version, |said| said.routed.is_some_and(|endpoints| endpoints > 0))
    }
    fn everyone_stopped(&self, version: &VersionId) -> bool {
        self.everyone(version, |said| said.routed.is_none() && said.traffic.in_flight == 0)
    }
    fn workload_gone(&self, version: &VersionId) -> bool {
        self.desired(version) == 0
    }
    fn may_expire(&self, _: &VersionId) -> bool {
        true
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let policy = Policy {
            grace: Duration::from_secs(300),
            idle_window: Duration::from_secs(60),
            max_alive: Duration::from_secs(MAX_ALIVE),
            max_versions: seed.is_multiple_of(3).then_some(2),
            requires_approval: seed.is_multiple_of(5),
            ..Policy::default()
        };
        let canary = Canary { version: "v4".parse().unwrap(), share: "10%".parse().unwrap() };
        Self {
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            time: 1_000_000,
            wall: "2026-11-23T17:00:00Z".parse().unwrap(),
            leads_since: 1_000_000,
            deployments: BTreeMap::new(),
            replicas: vec![Replica::default(); 2],
            record: AppRecord::default(),
            spec: AppSpec {
                id: AppId::new("web", "shop").unwrap(),
                versions: Vec::new(),
                active: None,
                canary: seed.is_multiple_of(7).then_some(canary),
                health_checked: true,
                policy,
            },
            acts: BTreeMap::new(),
        }
    }

    /// What a replica said of the state that a version is in, if that is not too long ago.
    fn said(&self, replica: &Replica, version: &VersionId) -> Option<Said> {
        let (at, report) = replica.report.as_ref()?;
        let life = self.record.version(version).map(|version| (version.state, version.since))?;
        let fresh = self.time - at <= 30 && *at >= self.leads_since;
        report.get(version).copied().filter(|said| fresh && said.life == life)
    }

    fn everyone(&self, version: &VersionId, holds: impl Fn(Said) -> bool) -> bool {
        self.replicas.iter().all(|replica| self.said(replica, version).is_some_and(&holds))
    }

    fn any_version(&mut self) -> VersionId {
        VERSIONS[usize::try_from(self.random.below(5)).unwrap()].parse().unwrap()
    }

    fn any_replica(&mut self) -> Option<usize> {
        let count = u64::try_from(self.replicas.len()).unwrap();
        (count > 0).then(|| usize::try_from(self.random.below(count)).unwrap())
    }

    fn event(&mut self) {
        // No two moments are the same.
        self.wall += SignedDuration::from_nanos(i64::try_from(1 + self.random.below(999)).unwrap());
        let version = self.any_version();
        match self.random.below(24) {
            0 => {
                let revision = self.time;
                self.deployments.entry(version).or_insert(Deployment { revision, desired: 2, ready: 0 });
            }
            1 if self.random.below(4) == 0 => drop(self.deployments.remove(&version)),
            // GitOps, autoscalers and people scale as they like.
            2 if self.random.below(3) == 0 => {
                let desired = usize::try_from(self.random.below(3)).unwrap();
                if let Some(deployment) = self.deployments.get_mut(&version) {
                    deployment.desired = desired;
                    deployment.ready = deployment.ready.min(desired);
                }
            }
            1..=5 => {
                if let Some(deployment) = self.deployments.get_mut(&version) {
                    deployment.ready = deployment.desired;
                }
            }
            6..=8 => self.time_passes(),
            9 => {
                let jump = i64::try_from(self.random.below(4000)).unwrap() - 2000;
                self.wall += SignedDuration::from_secs(jump);
            }
            10..=13 => self.replicas_sync(),
            14..=16 => self.request_starts(&version),
            17..=19 => self.request_ends(&version),
            20 if self.random.below(4) == 0 => {
                if let Some(gone) = self.any_replica() {
                    self.replicas.remove(gone);
                }
            }
            20 if self.replicas.len() < 3 => self.replicas.push(Replica::default()),
            21 if self.random.below(4) == 0 => self.leads_since = self.time,
            22 => self.command(&version),
            _ => {}
        }
    }

    fn time_passes(&mut self) {
        let seconds = [1, 10, 100, 1000][usize::try_from(self.random.below(4)).unwrap()];
        self.time += seconds;
        self.wall += SignedDuration::from_secs(i64::try_from(seconds).unwrap());
    }

    /// Most replicas read the record and report; some lag behind or are paused.
    fn replicas_sync(&mut self) {
        for at in 0..self.replicas.len() {
            let (reads, reports) = (self.random.below(3) > 0, self.random.below(3) > 0);
            let (time, deployments) = (self.time, &self.deployments);
            let replica = &mut self.replicas[at];
            if reads {
                let life = |v: &crate::record::VersionRecord| (v.id.clone(), (v.state, v.since));
                replica.known = self.record.versions.iter().map(life).collect();
            }
            if reports {
                let said = |(id, life): (&VersionId, &Life)| {
                    let endpoints = deployments.get(id).map_or(0, |deployment| deployment.ready);
                    let idle = time - replica.active_at.get(id).copied().unwrap_or(0);
                    let in_flight = replica.in_flight.get(id).copied().unwrap_or(0);
                    let traffic = Traffic { in_flight, idle_for: Duration::from_secs(idle) };
                    let routed = replica.routes(id).then_some(endpoints);
                    (id.clone(), Said { life: *life, routed, traffic })
                };
                replica.report = Some((time, replica.known.iter().map(said).collect()));
            }
        }
    }

    fn request_starts(&mut self, version: &VersionId) {
        let time = self.time;
        let Some(at) = self.any_replica() else { return };
        if self.replicas[at].routes(version) && self.ready(version) > 0 {
            *self.replicas[at].in_flight.entry(version.clone()).or_default() += 1;
            self.replicas[at].active_at.insert(version.clone(), time);
        }
    }

    fn request_ends(&mut self, version: &VersionId) {
        let time = self.time;
        let Some(at) = self.any_replica() else { return };
        if let Some(count) = self.replicas[at].in_flight.get_mut(version).filter(|count| **count > 0) {
            *count -= 1;
            self.replicas[at].active_at.insert(version.clone(), time);
        }
    }

    fn command(&mut self, version: &VersionId) {
        let command = match self.random.below(6) {
            0 => Command::Promote,
            1 => Command::Approve,
            2 => Command::Reject,
            3 => Command::Expire { now: true },
            _ => Command::Expire { now: false },
        };
        self.step(Some((version.clone(), command)));
    }

    fn step(&mut self, command: Option<(VersionId, Command)>) {
        let version = |(id, deployment): (&VersionId, &Deployment)| VersionSpec {
            id: id.clone(),
            revision: deployment.revision,
            endpoints: [].into(),
        };
        self.spec.versions = self.deployments.iter().map(version).collect();
        self.spec.versions.sort_by_key(|version| version.revision);
        let before = self.record.clone();
        let mut record = before.clone();
        let mut step = Step::new(&mut record, self.wall, CONTROLLER);
        step.reconcile(&self.spec);
        if let Some((id, command)) = command {
            let _refused = step.command(&self.spec, id.as_str(), command);
        }
        step.advance(&self.spec, self);
        for transition in step.finish().iter().filter(|made| made.to == Expiring) {
            self.acts.insert(transition.version.clone(), 0);
        }
        self.check_idle(&record);
        self.record = record;
        self.check(&before);
        self.act();
    }

    /// What the leader does to workloads, by the record alone.
    fn act(&mut self) {
        let due = |v: &&crate::record::VersionRecord| {
            v.state == Expiring && v.workload.released && !v.workload.vanished
        };
        let due: Vec<_> = self.record.versions.iter().filter(due).cloned().collect();
        for version in due {
            let Some(deployment) = self.deployments.get_mut(&version.id).filter(|d| d.desired > 0) else {
                continue;
            };
            deployment.desired = 0;
            deployment.ready = 0;
            let ended = version.drained_at.unwrap_or(version.since);
            let forced = matches!(version.reason, Cause::MaxAlive | Cause::Now)
                || elapsed(ended, self.wall) >= self.spec.policy.max_alive;
            for replica in &self.replicas {
                let running = replica.in_flight.get(&version.id).copied().unwrap_or(0);
                assert!(forced || running == 0, "{} was taken down with {running} requests", version.id);
                assert!(forced || !replica.routes(&version.id), "{} was still routed", version.id);
            }
            let acts = self.acts.entry(version.id).or_default();
            *acts += 1;
            assert_eq!(*acts, 1, "taken down twice");
            // Nobody is quick enough to bring it back before it was seen gone.
            let mut record = std::mem::take(&mut self.record);
            Step::new(&mut record, self.wall, CONTROLLER).advance(&self.spec, self);
            self.record = record;
        }
    }

    /// What is about to expire as idle was known to be idle, by the states that were written.
    fn check_idle(&self, after: &AppRecord) {
        for version in after.versions.iter().filter(|version| version.reason == Cause::Idle) {
            let was = self.record.version(&version.id).map(|before| before.state);
            if version.state == Expiring && was == Some(Draining) {
                let traffic = self.traffic(&version.id).expect("its traffic was known");
                assert_eq!(traffic.in_flight, 0);
                assert!(traffic.idle_for >= self.spec.policy.idle_window);
            }
        }
    }

    fn check(&self, before: &AppRecord) {
        let active = self.record.in_state(Active);
        assert!(active.len() <= 1, "several are active: {active:?}");
        assert_eq!(self.record.active.as_ref(), active.first());
        assert!(self.record.in_state(Pending).len() <= 1);
        if before.active.is_some() && active.is_empty() {
            let can_serve = |id: &VersionId| self.ready(id) > 0;
            assert!(!self.record.in_state(Draining).iter().any(can_serve), "nothing serves though it could");
            assert!(before.active.as_ref().is_some_and(|id| !self.deployments.contains_key(id)));
        }
        for version in self.record.versions.iter().filter(|version| version.state == Expired) {
            assert!(version.expired_at.is_some());
            let was_alive = before.version(&version.id).is_some_and(|before| before.state != Expired);
            if was_alive && version.reason == Cause::Confirmed {
                assert!(version.workload.released, "{} was over before anybody confirmed", version.id);
            }
        }
        assert_eq!(self.record.clone().repair(self.wall), Vec::<String>::new());
    }
}

#[test]
fn whatever_happens_the_invariants_hold() {
    let mut expired = 0;
    let mut activated = 0;
    for seed in 0..400 {
        let mut model = Model::new(seed);
        for _ in 0..400 {
            model.event();
            if model.random.below(3) == 0 {
                model.step(None);
            }
        }
        expired += model.record.history.iter().filter(|past| past.to == Expired).count();
        activated += model.record.history.iter().filter(|past| past.to == Active).count();
    }
    // The lives are not trivial ones.
    assert!(expired > 100, "{expired}");
    assert!(activated > 400, "{activated}");
}
