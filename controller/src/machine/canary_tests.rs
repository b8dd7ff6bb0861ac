//! What becomes of a canary, and of its visitors.

use super::command::Command;
use super::tests::{Bench, id};
use super::*;
use crate::Canary;
use VersionState::{Active, Draining, Expired, Expiring, Pending, Staged};

/// An app whose second version is the canary.
fn with_canary() -> Bench {
    let mut app = Bench::new(&["v1"]);
    app.reconcile();
    app.spec.canary = Some(Canary { version: id("v2"), share: "10%".parse().unwrap() });
    app.deploy(&["v1", "v2"]);
    app.expect(&[("v1", Active), ("v2", Staged)]);
    app
}

/// The same, whose canary has ended and waits for somebody to decide on it.
fn that_awaits_approval() -> Bench {
    let mut app = with_canary();
    app.spec.policy.requires_approval = true;
    app.spec.canary = None;
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app
}

#[test]
fn visitors_of_a_canary_that_ends_keep_it() {
    // Another one takes its place: it was found wanting, and does not become active.
    for first_named in [false, true] {
        let mut app = with_canary();
        app.spec.canary = Some(Canary { version: id("v3"), share: "10%".parse().unwrap() });
        if first_named {
            app.reconcile();
            app.expect(&[("v1", Active), ("v2", Draining)]);
        }
        app.deploy(&["v1", "v2", "v3"]);
        app.expect(&[("v1", Active), ("v2", Draining), ("v3", Staged)]);
    }
    let mut app = with_canary();
    app.spec.canary = Some(Canary { version: id("v3"), share: "100%".parse().unwrap() });
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    // It becomes the canary once more: then the other one is over.
    let mut app = with_canary();
    app.spec.canary = Some(Canary { version: id("v3"), share: "10%".parse().unwrap() });
    app.deploy(&["v1", "v2", "v3"]);
    app.spec.canary = Some(Canary { version: id("v2"), share: "10%".parse().unwrap() });
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Staged), ("v3", Draining)]);
    // A newer one is active meanwhile.
    let mut app = with_canary();
    app.deploy(&["v1", "v2", "v3"]);
    app.spec.canary = None;
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Draining), ("v3", Active)]);
    // A newer one comes before it is ready.
    let mut app = with_canary();
    app.spec.health_checked = true;
    app.spec.canary = None;
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Pending)]);
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Active), ("v2", Draining), ("v3", Pending)]);
}

#[test]
fn visitors_of_a_canary_that_was_to_become_active_keep_it() {
    // It is promoted, and ends before it is ready.
    let promoted = || {
        let mut app = with_canary();
        app.spec.health_checked = true;
        app.command("v2", Command::Promote).unwrap();
        app.spec.canary = None;
        app.expect(&[("v1", Active), ("v2", Pending)]);
        app
    };
    let mut app = promoted();
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Active), ("v2", Draining), ("v3", Pending)]);
    let mut app = promoted();
    app.command("v2", Command::Expire { now: false }).unwrap();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    // Another one is fixed, until it is not.
    let mut app = with_canary();
    app.spec.active = Some(id("v1"));
    app.spec.canary = None;
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.spec.active = None;
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active)]);
}

#[test]
fn a_canary_waits_for_approval_with_its_visitors() {
    let mut app = that_awaits_approval();
    app.command("v2", Command::Approve).unwrap();
    app.expect(&[("v1", Draining), ("v2", Active)]);
    // A share that is the whole says that all may have it.
    let mut app = with_canary();
    app.spec.policy.requires_approval = true;
    app.spec.canary = Some(Canary { version: id("v2"), share: "100%".parse().unwrap() });
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active)]);
}

#[test]
fn visitors_of_what_waited_long_are_not_cut_when_it_is_rejected() {
    let mut app = that_awaits_approval();
    app.busy("v2", 1, 0);
    app.pass(100_000);
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.command("v2", Command::Reject).unwrap();
    app.pass(3600);
    assert!(!app.record.version(&id("v2")).unwrap().workload.released, "a stream runs on it");
    app.busy("v2", 0, 0);
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Expired)]);
}

#[test]
fn what_waits_for_a_decision_does_not_end_without_one() {
    let mut app = that_awaits_approval();
    // It takes nobody's place, and goes back to where it waits once its visitors are gone.
    app.busy("v2", 1, 0);
    app.pass(100_000);
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.busy("v2", 0, 1800);
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Staged)]);
    app.command("v2", Command::Approve).unwrap();
    app.expect(&[("v1", Draining), ("v2", Active)]);
    // Unless a newer one is active, or somebody asks for its end.
    let mut app = that_awaits_approval();
    app.deploy(&["v1", "v2", "v3"]);
    app.command("v3", Command::Approve).unwrap();
    app.expect(&[("v1", Draining), ("v2", Draining), ("v3", Active)]);
    app.pass(3600);
    app.expect(&[("v1", Expiring), ("v2", Expiring), ("v3", Active)]);
    let mut app = with_canary();
    app.spec.active = Some(id("v1"));
    app.spec.canary = None;
    app.reconcile();
    app.command("v2", Command::Expire { now: false }).unwrap();
    app.pass(3600);
    app.expect(&[("v1", Active), ("v2", Expiring)]);
}

#[test]
fn a_canary_that_ended_takes_over_last() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active)]);
    for canary in ["v3", "v4"] {
        app.spec.canary = Some(Canary { version: id(canary), share: "10%".parse().unwrap() });
        app.deploy(&["v1", "v2", "v3"]);
    }
    app.expect(&[("v1", Draining), ("v2", Active), ("v3", Draining)]);
    app.spec.versions.retain(|version| version.id != id("v2"));
    app.reconcile();
    assert_eq!(app.record.active, Some(id("v1")), "what was good enough for all");
}

#[test]
fn a_canary_is_judged_afresh_when_it_ends() {
    for end in [None, Some("100%")] {
        let mut app = Bench::new(&["v1"]);
        app.reconcile();
        app.spec.canary = Some(Canary { version: id("v2"), share: "10%".parse().unwrap() });
        app.deploy(&["v1", "v2"]);
        app.expect(&[("v1", Active), ("v2", Staged)]);
        app.spec.canary = end.map(|share| Canary { version: id("v2"), share: share.parse().unwrap() });
        app.reconcile();
        app.expect(&[("v1", Draining), ("v2", Active)]);
    }
}

#[test]
fn a_canary_may_be_promoted_whatever_its_entry_says() {
    let mut app = Bench::new(&["v1"]);
    app.reconcile();
    app.spec.canary = Some(Canary { version: id("v2"), share: "10%".parse().unwrap() });
    app.deploy(&["v1", "v2"]);
    app.expect(&[("v1", Active), ("v2", Staged)]);
    // Not ready yet: it waits.
    app.spec.health_checked = true;
    app.command("v2", Command::Promote).unwrap();
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Pending)]);
}

#[test]
fn a_version_that_was_rolled_back_may_be_the_canary_again() {
    let mut app = Bench::new(&["v1", "v2"]);
    app.reconcile();
    app.command("v1", Command::Promote).unwrap();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.spec.canary = Some(Canary { version: id("v2"), share: "10%".parse().unwrap() });
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Staged)]);
    app.spec.canary = Some(Canary { version: id("v1"), share: "10%".parse().unwrap() });
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active)]);
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active)]);
}

#[test]
fn whatever_a_newer_version_waits_for_it_may_be_the_canary() {
    let alone = Bench::new(&["v2"]);
    let mut awaiting = Bench::new(&["v1"]);
    awaiting.reconcile();
    awaiting.spec.policy.requires_approval = true;
    awaiting.deploy(&["v1", "v2"]);
    awaiting.spec.policy.requires_approval = false;
    for (why, mut app) in [("alone", alone), ("awaiting", awaiting)] {
        app.spec.canary = Some(Canary { version: id("v2"), share: "10%".parse().unwrap() });
        app.reconcile();
        let v2 = app.record.version(&id("v2")).unwrap();
        assert_eq!((v2.state, v2.reason), (Staged, Cause::Canary), "{why}");
        app.spec.canary = None;
        app.reconcile();
        assert_eq!(app.record.active, Some(id("v2")), "{why}");
    }
}

#[test]
fn what_came_back_after_its_end_is_no_canary() {
    let mut app = with_canary();
    app.command("v2", Command::Expire { now: true }).unwrap();
    app.deploy(&["v1"]);
    app.pass(60);
    for canary in [app.spec.canary.clone(), None] {
        app.spec.canary = canary;
        app.deploy(&["v1", "v2"]);
        app.expect(&[("v1", Active), ("v2", Staged)]);
        assert_eq!(app.record.version(&id("v2")).unwrap().reason, Cause::Returned);
    }
    app.command("v2", Command::Promote).unwrap();
    app.expect(&[("v1", Draining), ("v2", Active)]);
}

#[test]
fn an_older_version_is_no_canary() {
    let canary = || Some(Canary { version: id("v2"), share: "10%".parse().unwrap() });
    let reason = |app: &Bench| app.record.version(&id("v2")).unwrap().reason;
    // Named when it comes, named later, named from the first on, and overtaken.
    let mut app = Bench::new(&["v1", "v3"]);
    app.reconcile();
    app.spec.canary = canary();
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Draining), ("v3", Active), ("v2", Staged)]);
    assert_eq!(reason(&app), Cause::Superseded);
    let mut app = Bench::new(&["v1", "v3"]);
    app.reconcile();
    app.deploy(&["v1", "v2", "v3"]);
    app.spec.canary = canary();
    app.reconcile();
    app.expect(&[("v1", Draining), ("v3", Active), ("v2", Staged)]);
    assert_eq!(reason(&app), Cause::Superseded);
    let mut app = Bench::new(&["v1", "v2", "v3"]);
    app.spec.canary = canary();
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Draining), ("v3", Active)]);
    let mut app = with_canary();
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Draining), ("v2", Draining), ("v3", Active)]);
}

#[test]
fn the_whole_share_approves() {
    let mut app = Bench::new(&["v1"]);
    app.spec.policy.requires_approval = true;
    app.reconcile();
    app.deploy(&["v1", "v2", "v3"]);
    app.expect(&[("v1", Active), ("v2", Staged), ("v3", Staged)]);
    app.spec.canary = Some(Canary { version: id("v2"), share: "100%".parse().unwrap() });
    app.spec.active = Some(id("v1"));
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Staged), ("v3", Staged)]);
    app.spec.active = None;
    app.reconcile();
    app.expect(&[("v1", Draining), ("v2", Active), ("v3", Staged)]);
    assert_eq!(app.record.version(&id("v3")).unwrap().reason, Cause::AwaitingApproval);
}

#[test]
fn a_canary_that_is_to_expire_keeps_its_visitors_until_they_have_left() {
    let mut app = with_canary();
    app.busy("v2", 1, 0);
    app.command("v2", Command::Expire { now: false }).unwrap();
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.pass(3600);
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.busy("v2", 0, 1800);
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Expiring)]);
    let mut app = with_canary();
    app.command("v2", Command::Expire { now: true }).unwrap();
    app.expect(&[("v1", Active), ("v2", Expiring)]);
}

#[test]
fn a_canary_that_is_to_expire_is_no_canary_again() {
    let mut app = with_canary();
    app.command("v2", Command::Expire { now: false }).unwrap();
    app.pass(1800);
    app.expect(&[("v1", Active), ("v2", Expiring)]);
    app.busy("v2", 1, 0);
    app.pass(1);
    app.reconcile();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.busy("v2", 0, 1800);
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Expiring)]);
}

#[test]
fn however_long_a_canary_waited_its_end_begins_when_it_is_asked_for() {
    let mut app = that_awaits_approval();
    app.busy("v2", 1, 0);
    app.pass(100_000);
    app.command("v2", Command::Expire { now: false }).unwrap();
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.pass(86_399);
    app.expect(&[("v1", Active), ("v2", Draining)]);
    app.pass(1);
    app.expect(&[("v1", Active), ("v2", Expiring)]);
}
