use super::*;
use crate::record::WorkloadRecord;
use crate::{Canary, Policy};
use VersionState::{Draining, Expired, Expiring, Staged};

/// What is said of version 2 as the canary, while version 1 or 3 is active.
fn told(
    active: &str,
    share: &str,
    state: VersionState,
    reason: Cause,
    (asked, has_canary): (bool, bool),
) -> Option<&'static str> {
    let now = "2026-11-23T17:00:00Z".parse().unwrap();
    let version = |revision: u64, state, reason| VersionRecord {
        id: format!("v{revision}").parse().unwrap(),
        state,
        reason,
        actor: String::new(),
        revision,
        since: now,
        drained_at: None,
        expired_at: None,
        endpoints: [].into(),
        present: true,
        expiry_asked_by: asked.then(|| "ops".to_owned()),
        stalled: false,
        workload: WorkloadRecord::default(),
    };
    let of = |revision| version(revision, VersionState::Active, Cause::Ready);
    let record = AppRecord {
        active: Some(active.parse().unwrap()),
        versions: vec![of(1), version(2, state, reason), of(3)],
        ..AppRecord::default()
    };
    let settled = Settled {
        hosts: Vec::new(),
        path: "/".to_owned(),
        policy: Policy::default(),
        active: None,
        canary: Some(Canary { version: "v2".parse().unwrap(), share: share.parse().unwrap() }),
        health_checked: false,
    };
    let causes = Causes {
        app: &"web/shop".parse().unwrap(),
        record: &record,
        settled: &settled,
        has_canary,
        problems: &[],
        figures: &BTreeMap::new(),
        repaired: &[],
        failed: &[],
        awaited: &[],
        unanswered: &[],
    };
    causes.held().iter().find(|held| held.kind == "CanaryWithoutEffect").map(|held| held.reason)
}

#[test]
fn a_canary_without_effect_is_told_why() {
    let cases = [
        ("v1", Staged, Cause::Canary, false, None),
        ("v1", VersionState::Pending, Cause::Promoted, false, None),
        // Not older, but not the next by itself.
        ("v1", Staged, Cause::Returned, false, Some("NotPromoted")),
        ("v1", Staged, Cause::Superseded, false, Some("NotPromoted")),
        ("v1", Draining, Cause::Superseded, false, Some("NotPromoted")),
        ("v1", Expired, Cause::Confirmed, false, Some("NotPromoted")),
        // It is waited for something that the condition of another part, or the spec itself, tells.
        ("v1", Staged, Cause::Held, false, None),
        ("v1", Draining, Cause::AwaitingApproval, false, None),
        ("v1", Draining, Cause::Traffic, true, Some("EndAsked")),
        ("v1", Expiring, Cause::Now, false, Some("EndAsked")),
        ("v3", Staged, Cause::Held, false, Some("NotNewer")),
        ("v3", Staged, Cause::AwaitingApproval, false, Some("NotNewer")),
        ("v3", Draining, Cause::Superseded, false, Some("NotNewer")),
    ];
    for (active, state, reason, asked, expected) in cases {
        for share in ["10%", "100%"] {
            let told = told(active, share, state, reason, (asked, true));
            assert_eq!(told, expected, "{active} {state} {reason:?}");
        }
    }
}

#[test]
fn a_canary_that_not_every_replica_knows_has_no_effect_yet() {
    let told = |state, reason| told("v1", "10%", state, reason, (false, false));
    assert_eq!(told(Staged, Cause::Canary), Some("NotEverywhere"));
    assert_eq!(told(Staged, Cause::Held), None);
    assert_eq!(told(VersionState::Pending, Cause::Promoted), None);
}
