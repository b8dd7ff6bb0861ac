use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::acts::{ActKind, due};
use super::super::fleet::Fleet;
use super::super::plan::plan;
use super::super::status;
use super::*;
use crate::cluster::claim::Claim;
use crate::cluster::found::{ProblemReason, Workload};
use crate::cluster::resource::VersionedAppStatus;
use crate::{Canary, Cleanup, Mode, Policy, VersionStatus};

fn app() -> AppId {
    "web/shop".parse().unwrap()
}

fn id(text: &str) -> VersionId {
    text.parse().unwrap()
}

fn settled() -> Settled {
    Settled {
        hosts: Vec::new(),
        path: "/".to_owned(),
        policy: Policy {
            grace: Duration::from_secs(60),
            idle_window: Duration::from_secs(60),
            max_alive: Duration::from_secs(3600),
            cleanup: Cleanup::Delete,
            ..Policy::default()
        },
        active: None,
        canary: None,
        health_checked: false,
    }
}

fn version(text: &str, revision: u64) -> FoundVersion {
    FoundVersion {
        id: id(text),
        revision,
        workload: Workload {
            deployment: format!("shop-{text}"),
            uid: format!("uid-{text}"),
            service: Some(format!("shop-{text}")),
            desired: 2,
            pods: 2,
            deleting: false,
            template: "t1".to_owned(),
            created: "2026-11-23T17:00:00Z".parse().unwrap(),
        },
        endpoints: [([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 80).into()].into(),
        http2: false,
    }
}

fn found(versions: Vec<FoundVersion>) -> FoundApp {
    let claim = Arc::new(Claim { id: app(), spec: None, hosts: Vec::new(), path: None, expire_policy: None });
    FoundApp { id: app(), claim, versions }
}

/// Decides without any replica: nothing is confirmed.
fn decide(found: &FoundApp, settled: &Settled, problems: &[Problem], written: &AppRecord) -> Decision {
    decide_knowing(None, found, settled, problems, written)
}

fn decide_knowing(
    routed: Option<&AppSnapshot>,
    found: &FoundApp,
    settled: &Settled,
    problems: &[Problem],
    written: &AppRecord,
) -> Decision {
    let app = app();
    let now = "2026-11-23T18:00:00Z".parse().unwrap();
    let fleet = Fleet::new("a", Duration::from_secs(30), Instant::now());
    let world = ClusterWorld {
        app: &app,
        found: Some(found),
        written,
        policy: &settled.policy,
        checks: None,
        fleet: &fleet,
        now: Instant::now(),
        released: &|_| true,
    };
    Case { app: &app, found: Some(found), settled, problems, routed, now }.decide(written, &world)
}

fn states(record: &AppRecord) -> Vec<(&str, VersionState)> {
    record.versions.iter().map(|version| (version.id.as_str(), version.state)).collect()
}

#[test]
fn without_reports_a_version_waits_however_ready_it_is() {
    let decision = decide(&found(vec![version("v1", 1)]), &settled(), &[], &AppRecord::default());
    assert_eq!(states(&decision.record), [("v1", VersionState::Pending)]);
    let again = decide(&found(vec![version("v1", 1)]), &settled(), &[], &decision.record);
    assert_eq!(states(&again.record), [("v1", VersionState::Pending)]);
    assert!(again.made.is_empty());
}

#[test]
fn what_can_not_be_used_at_the_moment_is_not_gone() {
    let first =
        decide(&found(vec![version("v1", 1), version("v2", 2)]), &settled(), &[], &AppRecord::default());
    let left = found(vec![version("v2", 2)]);
    let problem = |kind, name: &str| Problem {
        kind,
        namespace: "web".to_owned(),
        name: name.to_owned(),
        uid: String::new(),
        reason: ProblemReason::NoPort,
        message: String::new(),
    };
    let cases = [
        (vec![problem("Deployment", "shop-v1")], VersionState::Draining),
        (vec![problem("Service", "shop-v1")], VersionState::Draining),
        (vec![problem("Deployment", "shop-v9")], VersionState::Expiring),
        (vec![], VersionState::Expiring),
    ];
    for (problems, state) in cases {
        let decision = decide(&left, &settled(), &problems, &first.record);
        assert_eq!(decision.record.version(&id("v1")).unwrap().state, state, "{problems:?}");
    }
}

#[test]
fn a_template_that_changes_is_told_once() {
    let first = decide(&found(vec![version("v1", 1)]), &settled(), &[], &AppRecord::default());
    assert!(first.changed.is_empty());
    let mut other = version("v1", 1);
    other.workload.template = "t2".to_owned();
    let changed = decide(&found(vec![other.clone()]), &settled(), &[], &first.record);
    assert_eq!(changed.changed, [id("v1")]);
    assert!(decide(&found(vec![other]), &settled(), &[], &changed.record).changed.is_empty());
}

#[test]
fn a_fixed_version_that_nobody_knows_fixes_nothing() {
    let settled = Settled { active: Some(id("v7")), ..settled() };
    let decision = decide(&found(vec![version("v1", 1)]), &settled, &[], &AppRecord::default());
    assert_eq!(states(&decision.record), [("v1", VersionState::Pending)]);
}

#[test]
fn a_fixed_version_that_nobody_knows_releases_nothing_that_was_held_back() {
    use VersionState::{Active, Staged};
    let both = found(vec![version("v1", 1), version("v2", 2)]);
    let fixed = |text: &str| Settled { active: Some(id(text)), ..settled() };
    let mut record = decide(&found(vec![version("v1", 1)]), &fixed("v1"), &[], &AppRecord::default()).record;
    record.version_mut(&id("v1")).unwrap().state = Active;
    record.active = Some(id("v1"));
    let record = decide(&both, &fixed("v1"), &[], &record).record;
    assert_eq!(states(&record), [("v1", Active), ("v2", Staged)]);
    let record = decide(&both, &fixed("v7"), &[], &record).record;
    assert_eq!(states(&record), [("v1", Active), ("v2", Staged)]);
    let record = decide(&both, &settled(), &[], &record).record;
    assert_eq!(states(&record), [("v1", Active), ("v2", VersionState::Pending)]);
    let record = decide(&both, &fixed("v7"), &[], &record).record;
    assert_eq!(states(&record), [("v1", Active), ("v2", VersionState::Pending)], "it waits as it is");
}

#[test]
fn a_fixed_version_that_is_gone_keeps_no_app_from_having_any() {
    use VersionState::{Active, Expiring, Pending, Staged};
    let fixed = Settled { active: Some(id("v1")), ..settled() };
    let mut record = decide(&found(vec![version("v1", 1)]), &fixed, &[], &AppRecord::default()).record;
    record.version_mut(&id("v1")).unwrap().state = Active;
    record.active = Some(id("v1"));
    let both = found(vec![version("v1", 1), version("v2", 2)]);
    let record = decide(&both, &fixed, &[], &record).record;
    assert_eq!(states(&record), [("v1", Active), ("v2", Staged)]);
    let alone = found(vec![version("v2", 2)]);
    let record = decide(&alone, &fixed, &[], &record).record;
    assert_eq!(states(&record), [("v1", Expiring), ("v2", Staged)]);
    let record = decide(&alone, &fixed, &[], &record).record;
    assert_eq!(states(&record), [("v1", Expiring), ("v2", Pending)]);
}

#[test]
fn what_is_rescued_while_it_is_scaled_down_comes_back_whole() {
    let mut record = decide(&found(vec![version("v1", 1)]), &settled(), &[], &AppRecord::default()).record;
    record.version_mut(&id("v1")).unwrap().state = VersionState::Expiring;
    // It is seen with its replicas, then promoted, and seen so once more: then it is at zero.
    let there = found(vec![version("v1", 1)]);
    let mut record = decide(&there, &settled(), &[], &record).record;
    let rescued = record.version_mut(&id("v1")).unwrap();
    (rescued.state, rescued.workload.restore) = (VersionState::Pending, true);
    let record = decide(&there, &settled(), &[], &record).record;
    let mut down = version("v1", 1);
    (down.workload.desired, down.endpoints) = (0, [].into());
    let acts = due(&record, Some(&found(vec![down])), &settled().policy);
    assert_eq!(acts.first().map(|act| &act.kind), Some(&ActKind::ScaleUp { replicas: 2 }));
}

#[test]
fn acts_follow_from_what_is_written_and_what_is_there() {
    let down = ActKind::ScaleDown;
    let up = ActKind::ScaleUp { replicas: 3 };
    let delete = ActKind::Delete { service: Some("shop-v1".to_owned()) };
    // State, released, vanished, restore; desired and pods; what is to be done.
    let cases = [
        (VersionState::Expiring, true, false, false, 2, 2, Cleanup::Delete, Some(&down)),
        (VersionState::Expiring, false, false, false, 2, 2, Cleanup::Delete, None),
        (VersionState::Expiring, true, true, false, 2, 2, Cleanup::Delete, None),
        (VersionState::Expiring, true, false, false, 2, 2, Cleanup::None, None),
        (VersionState::Expiring, true, true, false, 0, 1, Cleanup::Delete, None),
        (VersionState::Expiring, true, true, false, 0, 0, Cleanup::Delete, Some(&delete)),
        (VersionState::Expiring, true, true, false, 0, 0, Cleanup::Scale, None),
        (VersionState::Expired, true, true, false, 0, 0, Cleanup::Delete, None),
        (VersionState::Draining, false, false, false, 2, 2, Cleanup::Delete, None),
        (VersionState::Pending, false, false, true, 0, 0, Cleanup::Scale, Some(&up)),
        (VersionState::Pending, false, false, true, 1, 0, Cleanup::Scale, None),
        (VersionState::Pending, false, false, false, 0, 0, Cleanup::Scale, None),
    ];
    for case in cases {
        let (state, released, vanished, restore, desired, pods, cleanup, wanted) = case;
        let mut there = version("v1", 1);
        (there.workload.desired, there.workload.pods) = (desired, pods);
        let app = found(vec![there]);
        let mut record = decide(&app, &settled(), &[], &AppRecord::default()).record;
        let known = record.version_mut(&id("v1")).unwrap();
        known.state = state;
        known.workload.replicas = Some(3);
        (known.workload.released, known.workload.vanished, known.workload.restore) =
            (released, vanished, restore);
        for (mode, acts) in [(Mode::Manage, true), (Mode::Advise, true), (Mode::Observe, false)] {
            let policy = Policy { cleanup, mode, ..settled().policy };
            let due: Vec<_> = due(&record, Some(&app), &policy).into_iter().map(|act| act.kind).collect();
            assert_eq!(due.first(), wanted.filter(|_| acts), "{case:?} {mode:?}");
        }
        assert!(due(&record, None, &settled().policy).is_empty());
    }
}

#[test]
fn a_plan_is_written_as_people_would() {
    let mut record = decide(&found(vec![version("v1", 1)]), &settled(), &[], &AppRecord::default()).record;
    let known = record.version_mut(&id("v1")).unwrap();
    known.state = VersionState::Expiring;
    known.workload.released = true;
    let app_found = found(vec![version("v1", 1)]);
    let steps = plan(&app(), &due(&record, Some(&app_found), &settled().policy));
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].command, "kubectl --namespace web scale deployment/shop-v1 --replicas=0");
    let manifest: serde_json::Value = serde_yaml::from_str(steps[0].manifest.as_ref().unwrap()).unwrap();
    assert_eq!(manifest["spec"]["replicas"], 0);
}

#[test]
fn what_is_not_seen_any_more_is_missed_once() {
    let both = found(vec![version("v1", 1), version("v2", 2)]);
    let begun = decide(&both, &settled(), &[], &AppRecord::default());
    assert_eq!(begun.missed(&AppRecord::default()).count(), 0);
    let alone = found(vec![version("v1", 1)]);
    let after = decide(&alone, &settled(), &[], &begun.record);
    assert_eq!(after.missed(&begun.record).map(|version| version.id.as_str()).collect::<Vec<_>>(), ["v2"]);
    assert_eq!(decide(&alone, &settled(), &[], &after.record).missed(&after.record).count(), 0);
}

/// What a replica knows; the active version is the first that is named so.
fn routed(states: &[(&str, VersionState)]) -> AppSnapshot {
    let status = |(text, state): &(&str, VersionState)| VersionStatus {
        id: id(text),
        state: *state,
        endpoints: [].into(),
        http2: false,
    };
    let active = states.iter().find(|(_, state)| *state == VersionState::Active).map(|(text, _)| id(text));
    let versions = states.iter().map(status).collect();
    AppSnapshot { id: app(), active, canary: None, versions, grant: None }
}

#[test]
fn states_that_were_lost_are_as_they_were_known() {
    use VersionState::{Active, Draining, Expired, Pending, Staged};
    let mut off = version("v2", 2);
    (off.workload.desired, off.workload.pods, off.endpoints) = (0, 0, [].into());
    let rolled_back = found(vec![version("v1", 1), off]);
    let both = found(vec![version("v1", 1), version("v2", 2)]);
    let cases: [(&FoundApp, &[_], &[_], Option<&str>); 6] = [
        (&rolled_back, &[("v1", Active), ("v2", Expired)], &[("v1", Active), ("v2", Expired)], Some("v1")),
        (&both, &[("v1", Active), ("v2", Pending)], &[("v1", Active), ("v2", Pending)], Some("v1")),
        (&both, &[("v1", Draining), ("v2", Active)], &[("v1", Draining), ("v2", Active)], Some("v2")),
        (&both, &[("v1", Active), ("v2", Staged)], &[("v1", Active), ("v2", Staged)], Some("v1")),
        // Ids that are over are remembered also without a Deployment.
        (
            &both,
            &[("v0", Expired), ("v1", Active)],
            &[("v0", Expired), ("v1", Active), ("v2", Pending)],
            Some("v1"),
        ),
        // Known by a replica that was away for long: what serves takes its place.
        (&rolled_back, &[("v1", Draining), ("v2", Active)], &[("v1", Active), ("v2", Draining)], Some("v1")),
    ];
    for (found, known, expected, active) in cases {
        let decision = decide_knowing(Some(&routed(known)), found, &settled(), &[], &AppRecord::default());
        assert_eq!(states(&decision.record), expected, "{known:?}");
        assert_eq!(decision.record.active, active.map(id), "{known:?}");
        assert_eq!(decision.missed(&AppRecord::default()).count(), 0);
        let again =
            decide_knowing(Some(&routed(&[("v2", Active)])), found, &settled(), &[], &decision.record);
        assert_eq!(states(&again.record), expected, "what is written counts");
    }
}

#[test]
fn the_last_spec_that_could_be_used_is_told_while_the_present_one_can_not() {
    let spec = |path: &str| VersionedAppSpec { path: Some(path.to_owned()), ..VersionedAppSpec::default() };
    let claim = Arc::new(Claim {
        id: app(),
        spec: Some(spec("/good")),
        hosts: Vec::new(),
        path: None,
        expire_policy: None,
    });
    let knows = AppSnapshot {
        grant: Some(Arc::new(crate::cluster::grants::Grant { claim, hosts: Vec::new() })),
        ..routed(&[])
    };
    let refused = Problem {
        kind: "VersionedApp",
        namespace: "web".to_owned(),
        name: "shop".to_owned(),
        uid: String::new(),
        reason: ProblemReason::InvalidSettings,
        message: String::new(),
    };
    let mut resource = VersionedApp::new("shop", spec("bad"));
    let settled = settled();
    let now = "2026-11-23T18:00:00Z".parse().unwrap();
    let told = |routed, problems: &[Problem], resource: &VersionedApp| {
        let app = app();
        let case = Case { app: &app, found: None, settled: &settled, problems, routed, now };
        case.accepted(resource).map(|spec| *spec)
    };
    assert_eq!(told(Some(&knows), std::slice::from_ref(&refused), &resource), Some(spec("/good")));
    assert_eq!(told(Some(&knows), &[], &resource), None, "the present one can be used");
    assert_eq!(told(None, std::slice::from_ref(&refused), &resource), None);
    resource.status.get_or_insert_default().accepted = Some(Box::new(spec("/older")));
    assert_eq!(told(None, &[refused], &resource), Some(spec("/older")), "who knows none leaves it");
}

#[test]
fn a_canary_is_given_to_visitors_once_every_replica_knows_it_and_then_stays() {
    let canary = Canary { version: id("v2"), share: "10%".parse().unwrap() };
    let settled = Settled { canary: Some(canary), ..settled() };
    let versions = found(vec![version("v1", 1), version("v2", 2)]);
    let mut decision = decide(&versions, &settled, &[], &AppRecord::default());
    let mut resource = VersionedApp::new("", VersionedAppSpec::default());
    assert!(!decision.canary_is_known && status::canary(&settled, &resource, &decision).is_none());
    decision.canary_is_known = true;
    let given = status::canary(&settled, &resource, &decision);
    assert_eq!(
        given.as_ref().map(|canary| (canary.version.as_str(), canary.share.as_str())),
        Some(("v2", "10%"))
    );
    resource.status = Some(VersionedAppStatus { canary: given.clone(), ..VersionedAppStatus::default() });
    decision.canary_is_known = false;
    assert_eq!(status::canary(&settled, &resource, &decision), given, "a replica that is silent for a while");
    let other = Canary { version: id("v1"), share: "10%".parse().unwrap() };
    let other = Settled { canary: Some(other), ..settled };
    assert_eq!(status::canary(&other, &resource, &decision), None);
}
