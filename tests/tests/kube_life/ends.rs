//! How versions end, and come back, by what others do in the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lockstep_tests::kube::Rollout;
use lockstep_tests::poll::{SOON, within};
use lockstep_tests::{Origin, until};
use serde_json::{Value, json};

use crate::town::Town;

/// GitOps that scales an expired version up, or applies one anew that had been forgotten, does not promote it.
pub fn brought_back_by_others(town: &Town<'_>) {
    let ops = town.app("ops", &json!({}));
    ops.release(&["v1", "v2"]);
    ops.vapp.expect("v1=expired v2=active");
    town.cluster.scale(&ops.version("v1"), 1);
    ops.vapp.expect("v1=staged v2=active");
    assert_eq!(ops.send(&ops.request()).origin(), "v2");
    assert_eq!(ops.pinned("v1"), "v2", "staged versions are closed");
    town.instance.versions(&["expire", &ops.id(), "v1"]);
    ops.vapp.expect("v1=expired v2=active");

    town.cluster.delete(&ops.version("v1"));
    until("it is a tombstone", || ops.vapp.status()["tombstones"][0]["id"] == "v1");
    ops.deploy(&["v1"]);
    ops.vapp.expect("v2=active v1=staged");
    assert_eq!(ops.send(&ops.request()).origin(), "v2", "newer, but known to be over");
    town.instance.versions(&["promote", &ops.id(), "v1"]);
    ops.serves("v1");
}

/// The newest superseded version that is ready takes over.
pub fn an_active_deployment_is_deleted(town: &Town<'_>) {
    let lost = town.app("lost", &json!({"grace": "1h"}));
    lost.release(&["v1", "v2", "v3"]);
    lost.vapp.expect("v1=draining v2=draining v3=active");
    town.cluster.make_unready("lost-v2");
    town.cluster.endpoints_of(&lost.version("v2"), 0);
    town.cluster.delete(&lost.version("v3"));
    until("v1 takes over", || {
        let answer = lost.send(&lost.request());
        // Its pods are gone before the leader has decided.
        assert!([200, 503].contains(&answer.status()), "{answer:?}");
        answer.header("x-lockstep-version") == Some("v1")
    });
    lost.vapp.expect("v1=active v2=draining");
    town.cluster.delete(&lost.version("v1"));
    town.cluster.delete(&lost.version("v2"));
    until("nothing serves", || lost.send(&lost.request()).status() == 503);
    until("it says so", || {
        let status = lost.vapp.status();
        status["active"].is_null() && status["conditions"].to_string().contains("NoActiveVersion")
    });
    lost.release(&["v4"]);
}

/// `cleanup: delete` leaves neither Deployment nor Service.
pub fn deleted_in_the_end(town: &Town<'_>) {
    let tidy = town.app("tidy", &json!({"cleanup": "delete"}));
    tidy.release(&["v1", "v2"]);
    let v1 = tidy.version("v1");
    until("its Deployment is deleted", || town.cluster.replicas(&v1).is_none());
    until("its Service is deleted", || town.cluster.admin().get(&v1.service_path()).is_err());
    tidy.vapp.expect("v2=active");
    assert_eq!(tidy.vapp.status()["tombstones"][0]["id"], "v1");
    let gone = town.instance.try_versions(&["promote", &tidy.id(), "v1"]);
    assert!(String::from_utf8_lossy(&gone.stderr).contains("gone"), "{gone:?}");
    assert_eq!(tidy.pinned("v1"), "v2");
    assert!(town.cluster.admin().get(&tidy.version("v2").service_path()).is_ok(), "others keep theirs");
}

/// A webhook that says no keeps an idle version.
pub fn a_webhook_has_a_say(town: &Town<'_>) {
    let (agrees, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let judge = Origin::answering("judge", {
        let (agrees, asked) = (Arc::clone(&agrees), Arc::clone(&asked));
        move |request, reply| {
            let question: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            assert_eq!(question, json!({"app": "hook", "namespace": "web", "version": "v1"}));
            asked.fetch_add(1, Ordering::AcqRel);
            let answer = json!({"idle": agrees.load(Ordering::Acquire)});
            reply.respond(200, &[("content-type", "application/json")], answer.to_string())
        }
    });
    let webhook = json!({"url": format!("http://{}/idle", judge.addr), "timeout": "2s"});
    let hook = town.app("hook", &json!({"expirePolicy": "webhook", "webhook": webhook}));
    hook.release(&["v1", "v2"]);
    until("it is asked", || asked.load(Ordering::Acquire) > 0);
    let early =
        within(Duration::from_secs(3), || (hook.vapp.states() != "v1=draining v2=active").then_some(()));
    assert!(early.is_none(), "the answer was no: {}", hook.vapp.states());
    agrees.store(true, Ordering::Release);
    hook.vapp.expect("v1=expired v2=active");
    assert!(asked.load(Ordering::Acquire) > 1);
}

/// What was there before Lockstep is its first version once there is a second one.
pub fn a_predecessor_is_adopted(town: &Town<'_>) {
    let old = town.app("old", &json!({"grace": "1h"}));
    let before = old.version("v0").without_label("plt.dev/version").named("old");
    town.cluster.deploy(&before);
    // Ages have whole seconds, and only an older one is a predecessor.
    let made = |rollout: &Rollout| {
        let object = town.cluster.admin().get(&rollout.path()).expect("a Deployment");
        object["metadata"]["creationTimestamp"].as_str().map(str::to_owned)
    };
    let first = old.version("v1");
    until("it is younger", || {
        town.cluster.deploy(&first);
        let younger = made(&first) > made(&before);
        if !younger {
            town.cluster.delete(&first);
        }
        younger
    });
    old.serves("v1");
    let drains = within(SOON, || {
        let states = old.vapp.states();
        states.ends_with("=draining v1=active").then_some(states)
    });
    let states = drains.unwrap_or_else(|| panic!("the one before does not drain: {:#}", old.vapp.status()));
    let adopted = states.split('=').next().unwrap_or_default();
    let answer = old.send(&old.request().pinned(adopted));
    assert_eq!(answer.header("x-lockstep-version"), Some(adopted));
    assert!(answer.origin().starts_with("old-"), "{answer:?}");
}

/// The plan is there until the cluster shows that it was done.
pub fn advice_is_taken(town: &Town<'_>) {
    let plan = town.app("plan", &json!({"mode": "advise", "cleanup": "delete"}));
    plan.release(&["v1", "v2"]);
    plan.vapp.expect("v1=expiring v2=active");
    let steps = ["scale deployment/plan-v1 --replicas=0", "delete deployment/plan-v1 service/plan-v1"];
    for step in steps {
        until(step, || {
            plan.vapp.status()["plan"][0]["command"].as_str().is_some_and(|text| text.contains(step))
        });
        assert!(town.cluster.replicas(&plan.version("v1")).is_some(), "nothing was done by itself");
        let view = || town.instance.api("apps/web%2Fplan/versions");
        until("the API shows it", || view()["plan"] == plan.vapp.status()["plan"]);
        let view = view();
        let listed = town.instance.versions(&["list", &plan.id()]);
        let command = view["plan"][0]["command"].as_str().unwrap_or_default();
        assert!(listed.contains(command), "{command} in {listed}");
        match view["plan"][0]["manifest"].as_str() {
            Some(manifest) => apply(town, manifest),
            None => {
                let words: Vec<_> = command.split_whitespace().skip(1).collect();
                town.cluster.kubectl(&words);
            }
        }
    }
    plan.vapp.expect("v2=active");
    assert!(plan.vapp.status()["plan"].is_null(), "it was done");
}

/// As somebody would who keeps manifests: a part of one, applied by the server.
fn apply(town: &Town<'_>, manifest: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("plan.yaml");
    std::fs::write(&file, manifest).expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    town.cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", file]);
}
