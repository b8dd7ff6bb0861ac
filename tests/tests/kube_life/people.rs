//! What people decide: approval, canaries, ends.

use lockstep_tests::until;
use serde_json::json;

use crate::town::{Tenant, Town};

/// A new version waits for approval; rejected, it ends, and can be had all the same.
pub fn approve_and_reject(town: &Town<'_>) {
    let gate = town.app("gate", &json!({"requiresApproval": true, "preview": {"access": "open"}}));
    let id = gate.id();
    gate.release(&["v1"]);
    gate.deploy(&["v2"]);
    gate.vapp.expect("v1=active v2=staged");
    assert_eq!(gate.send(&gate.request()).origin(), "v1");
    until("it can be looked at", || gate.pinned("v2") == "v2");
    assert!(town.instance.versions(&["approve", &id, "v2"]).contains("v2"));
    gate.serves("v2");
    gate.vapp.expect("v1=expired v2=active");

    gate.deploy(&["v3"]);
    gate.vapp.expect("v1=expired v2=active v3=staged");
    let again = town.instance.try_versions(&["approve", &id, "v2"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("staged"), "{again:?}");
    town.instance.versions(&["reject", &id, "v3"]);
    gate.vapp.expect("v1=expired v2=active v3=expired");
    assert_eq!(town.cluster.replicas(&gate.version("v3")), Some(0));
    assert_eq!(gate.send(&gate.request()).origin(), "v2");
    town.instance.versions(&["promote", &id, "v3"]);
    gate.serves("v3");
    let history = town.instance.versions(&["history", &id]);
    for part in ["awaiting_approval", "approved", "rejected", "promoted", "ops"] {
        assert!(history.contains(part), "{part} in {history}");
    }
}

/// A share of new visitors, who stay; then everyone.
pub fn try_a_canary_by_spec(town: &Town<'_>) {
    let bird = town.app("bird", &json!({"canary": {"version": "v2", "share": "50%"}}));
    bird.release(&["v1"]);
    bird.vapp.expect_condition("CanaryWithoutEffect", "v2");
    bird.deploy(&["v2"]);
    bird.vapp.expect("v1=active v2=staged");
    until("it has an effect", || bird.vapp.condition("CanaryWithoutEffect").is_none());
    assert_eq!(bird.vapp.status()["canary"], json!({"version": "v2", "share": "50%"}));
    until("the canary sings", || share_of_v2(&bird) > 0);
    let many = share_of_v2(&bird);
    assert!((20..=80).contains(&many), "{many} of 100 at 50%");
    assert_eq!(bird.pinned("v2"), "v2", "who came by the share stays");

    bird.vapp.edit(&json!({"canary": null}));
    bird.serves("v2");
    bird.vapp.expect("v1=expired v2=active");
    assert_eq!(share_of_v2(&bird), 100);

    bird.vapp.edit(&json!({"canary": {"version": "v3", "share": "1%"}, "grace": "1h"}));
    bird.deploy(&["v3"]);
    bird.vapp.expect("v1=expired v2=active v3=staged");
    town.instance.versions(&["promote", &bird.id(), "v3"]);
    bird.serves("v3");
    bird.vapp.expect("v1=expired v2=draining v3=active");
}

fn share_of_v2(bird: &Tenant<'_>) -> usize {
    let arrive = || {
        let first = bird.send(&bird.request().page_load());
        let pin = first.pins_to().expect("a pin at first sight");
        assert_eq!(first.origin(), pin);
        assert_eq!(bird.pinned(&pin), pin, "the share is sticky");
        pin
    };
    (0..100).filter(|_| arrive() == "v2").count()
}

/// A version that must go goes, whoever is on it.
pub fn expire_at_once(town: &Town<'_>) {
    let leak = town.app("leak", &json!({"grace": "1h", "idleWindow": "1h", "onExpired": "reject_unsafe"}));
    leak.release(&["v1", "v2"]);
    leak.vapp.expect("v1=draining v2=active");
    let active = town.instance.try_versions(&["expire", "--now", &leak.id(), "v2"]);
    assert!(!active.status.success(), "the active one never expires: {active:?}");
    assert_eq!(leak.pinned("v1"), "v1");
    let shown = town.instance.versions(&["expire", "--now", &leak.id(), "v1"]);
    assert!(shown.contains("expiring") && shown.contains("routed no more"), "{shown}");
    leak.vapp.expect("v1=expired v2=active");
    assert_eq!(town.cluster.replicas(&leak.version("v1")), Some(0));
    assert_eq!(leak.pinned("v1"), "v2");
    let unsafe_ = lockstep_tests::Request::post("/", "x").host("leak.test").pinned("v1");
    assert_eq!(leak.send(&unsafe_).status(), 409, "a stale form does not write through new code");
}
